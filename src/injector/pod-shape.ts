/** Whether a manifest has the shape of a pod, as far as the injector reads it. */
import { itemPath, memberPath } from '../api/field-path.ts';
import type { Pod } from './pod.ts';

type Shape =
  | 'text'
  | 'number'
  | 'switch'
  | 'scalar'
  | 'object'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly members: Readonly<Record<string, Shape>>; readonly required?: readonly string[] };

const members = (shape: Readonly<Record<string, Shape>>, ...required: readonly string[]): Shape => ({
  members: shape,
  required,
});

const HANDLER = {
  httpGet: members(
    {
      path: 'text',
      port: 'scalar',
      host: 'text',
      scheme: 'text',
      httpHeaders: { list: members({ name: 'text', value: 'text' }, 'name') },
    },
    'port',
  ),
  tcpSocket: members({ port: 'scalar', host: 'text' }, 'port'),
  grpc: members({ port: 'number', service: 'text' }, 'port'),
  exec: 'object',
  sleep: members({ seconds: 'number' }, 'seconds'),
} as const;
const PROBE = members({ ...HANDLER, timeoutSeconds: 'number' });
const QUANTITIES: Shape = { map: 'scalar' };

const CONTAINER = members(
  {
    name: 'text',
    image: 'text',
    command: { list: 'text' },
    args: { list: 'text' },
    env: { list: members({ name: 'text', value: 'text', valueFrom: 'object' }, 'name') },
    ports: { list: members({ name: 'text', containerPort: 'number', protocol: 'text' }, 'containerPort') },
    restartPolicy: 'text',
    resources: members({ limits: QUANTITIES, requests: QUANTITIES }),
    securityContext: members({
      privileged: 'switch',
      runAsUser: 'number',
      capabilities: members({ add: { list: 'text' }, drop: { list: 'text' } }),
    }),
    volumeMounts: { list: members({ name: 'text', mountPath: 'text', readOnly: 'switch' }, 'name', 'mountPath') },
    livenessProbe: PROBE,
    readinessProbe: PROBE,
    startupProbe: PROBE,
    lifecycle: members({ postStart: members(HANDLER), preStop: members(HANDLER) }),
  },
  'name',
);

const TEXTS: Shape = { map: 'text' };

const POD = members(
  {
    metadata: members({
      name: 'text',
      generateName: 'text',
      namespace: 'text',
      labels: TEXTS,
      annotations: TEXTS,
    }),
    spec: members(
      {
        containers: { list: CONTAINER },
        initContainers: { list: CONTAINER },
        ephemeralContainers: { list: CONTAINER },
        volumes: {
          list: members(
            {
              name: 'text',
              projected: members({
                sources: { list: members({ serviceAccountToken: members({ audience: 'text' }) }) },
              }),
            },
            'name',
          ),
        },
        imagePullSecrets: { list: members({ name: 'text' }) },
        dnsPolicy: 'text',
        hostNetwork: 'switch',
        hostPID: 'switch',
        shareProcessNamespace: 'switch',
        os: members({ name: 'text' }, 'name'),
        nodeName: 'text',
        nodeSelector: TEXTS,
        affinity: 'object',
        securityContext: members({ runAsUser: 'number' }),
        terminationGracePeriodSeconds: 'number',
      },
      'containers',
    ),
  },
  'spec',
);

export type Misfit = { readonly field: string; readonly problem: string };

/** The first field that is not what the API server takes (which drops null members, so null fits nowhere); undefined: `value` is a Pod as far as it is read here. */
export const findMisfit = (value: unknown): Misfit | undefined => compare(value, POD, '');

export const isPod = (value: unknown): value is Pod => findMisfit(value) === undefined;

const NOUNS = { text: 'text', number: 'a number', switch: 'true or false', scalar: 'text or a number' } as const;

function compare(value: unknown, shape: Shape, field: string): Misfit | undefined {
  if (value === undefined) return undefined;
  if (typeof shape === 'string') return compareScalar(value, shape, field);
  if ('list' in shape) {
    if (!Array.isArray(value)) return { field, problem: 'is not a list' };
    return findFirst(value, (item: unknown, index) => compare(item, shape.list, itemPath(field, index)));
  }
  if (!isRecord(value)) return { field, problem: 'is not an object' };
  if ('map' in shape) {
    return findFirst(Object.entries(value), ([key, item]) => compare(item, shape.map, memberPath(field, key)));
  }
  const missing = shape.required?.find(key => value[key] === undefined);
  if (missing !== undefined) return { field: memberPath(field, missing), problem: 'is missing' };
  return findFirst(Object.entries(shape.members), ([key, member]) =>
    compare(value[key], member, memberPath(field, key)),
  );
}

function compareScalar(value: unknown, shape: Extract<Shape, string>, field: string): Misfit | undefined {
  if (shape === 'object') return isRecord(value) ? undefined : { field, problem: 'is not an object' };
  const kind = typeof value;
  const fits =
    shape === 'scalar'
      ? kind === 'string' || kind === 'number'
      : kind === { text: 'string', number: 'number', switch: 'boolean' }[shape];
  return fits ? undefined : { field, problem: `is not ${NOUNS[shape]}` };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function findFirst<T>(items: readonly T[], find: (item: T, index: number) => Misfit | undefined): Misfit | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}
