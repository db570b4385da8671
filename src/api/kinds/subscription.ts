/** Kind Subscription: who may call with which key (P9). */
import { defaulted, enumeration, list, object, optional, required, string, type Infer } from '../schema.ts';
import { DNS_SUBDOMAIN, keyRef, targetSelectors, timestamp } from './shared.ts';

const keyHash = (description: string) =>
  object(
    {
      secretKeyRef: required({
        ...keyRef,
        description:
          'A key of a Secret. It holds 64 hex digits, the SHA-256 of the subscription key: printf %s KEY | sha256sum.',
      }),
    },
    { description },
  );

const targetApi = object({
  group: defaulted(enumeration(['sallyport.dev'], { description: 'The group of the target.' }), 'sallyport.dev'),
  kind: required(enumeration(['Api'], { description: 'The kind of the target.' })),
  name: required(
    string({
      description: 'The Api’s name. One that does not exist has no effect and shows TargetNotFound.',
      minLength: 1,
      maxLength: 253,
      pattern: DNS_SUBDOMAIN,
      patternText: 'a Kubernetes object name',
    }),
  ),
});

export const subscriptionSpec = object(
  {
    targetRefs: optional(
      list(targetApi, {
        description:
          'Apis that the key opens, by name. Without targetRefs and targetSelectors: every Api of the namespace.',
        example: [{ kind: 'Api', name: 'orders' }],
        minItems: 1,
        maxItems: 64,
      }),
    ),
    targetSelectors: optional({ ...targetSelectors, description: 'Apis that the key opens, by label.' }),
    state: defaulted(
      enumeration(['Active', 'Suspended'], {
        description: 'Suspended: its keys are 401 SubscriptionKeyInvalid, and streams that they opened end.',
      }),
      'Active',
    ),
    primaryKeyHash: required(
      keyHash('Hash of the first key. While the Secret is missing, a key that nobody else has is 503 KeysUnavailable.'),
    ),
    secondaryKeyHash: optional(
      keyHash('Hash of a second key, which is as good as the first: replace one while the other is in use.'),
    ),
    notAfter: optional({
      ...timestamp,
      description: 'The last moment at which the keys are good; later: 401 SubscriptionKeyInvalid. Absent: no end.',
    }),
  },
  { description: 'A subscription: two keys of one caller, and the Apis that they open.' },
);
export type SubscriptionSpec = Infer<typeof subscriptionSpec>;
