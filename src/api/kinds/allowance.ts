/** What a cluster policy lets namespaces leave open (S9). */
import { boolean, enumeration, integer, list, object, optional, type Infer } from '../schema.ts';
import { labelSelector, timestamp } from './shared.ts';

const ports = (description: string, example: readonly number[]) =>
  list(integer({ minimum: 1, maximum: 65535 }), { description, example, minItems: 1, maxItems: 64, set: true });

export const allowance = object(
  {
    namespaceSelector: optional({
      ...labelSelector,
      description: 'Namespaces that are allowed this, by their labels; absent: every namespace of the policy.',
    }),
    defaultAction: optional(
      enumeration(['Allow'], {
        description:
          'Allow: connections to ports that no Api selects pass unjudged to the app. Absent: they are reset. Needs until.',
      }),
    ),
    excludePorts: optional(
      ports('TCP ports that pods may leave out of interception; a pod asks by annotation.', [9090]),
    ),
    udpPorts: optional(ports('UDP ports that pods may open; a pod asks by annotation.', [53])),
    privilegedContainers: optional(
      boolean({ description: 'true: pods may hold containers that could undo the interception.' }),
    ),
    until: optional({ ...timestamp, description: 'When the allowance ends; absent: when it is removed.' }),
  },
  {
    description: 'One exception. Each that is in force shows in status and as sallyport_allowances_active.',
    atLeastOneOf: [['defaultAction', 'excludePorts', 'udpPorts', 'privilegedContainers']],
    rules: [
      {
        cel: '!has(self.defaultAction) || has(self.until)',
        test: v => !('defaultAction' in v) || 'until' in v,
        field: 'until',
        problem: 'defaultAction: Allow needs an end',
        fix: 'write until: with the time at which the ports are closed again',
      },
    ],
  },
);
export type Allowance = Infer<typeof allowance>;
