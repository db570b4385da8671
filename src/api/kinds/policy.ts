/** Kinds AuthPolicy and ClusterAuthPolicy. */
import {
  boolean,
  defaulted,
  enumeration,
  integer,
  list,
  map,
  object,
  optional,
  required,
  string,
  unbuilt,
  type Infer,
} from '../schema.ts';
import { REASON_NAMES } from '../reasons.ts';
import { requestStep, responseStep } from './steps.ts';
import { labelSelector, objectName, targetRefs, targetSelectors, template, valueSource } from './shared.ts';

const override = object(
  {
    reasons: required(list(enumeration(REASON_NAMES), { minItems: 1, maxItems: 64, set: true })),
    status: optional(integer({ description: 'Status sent instead.', minimum: 400, maximum: 599 })),
    message: optional(
      string({ description: 'Literal text sent as the problem’s detail.', minLength: 1, maxLength: 256 }),
    ),
  },
  { atLeastOneOf: [['status', 'message']] },
);
export type ErrorOverride = Infer<typeof override>;

const errors = object(
  {
    format: optional(enumeration(['Problem', 'Text', 'Empty'])),
    includeReason: optional(boolean({ description: 'false: title, status and request id only. Default true.' })),
    includePolicy: optional(boolean({ description: 'true: the client sees policy and step. Default false.' })),
    headers: optional(map(template, { description: 'Headers of every denial.', maxProperties: 32, maxKeyLength: 128 })),
    overrides: optional(list(override, { minItems: 1, maxItems: 32 })),
  },
  { description: 'How denials look; per field, the narrowest scope that sets it.' },
);
export type ErrorsSpec = Infer<typeof errors>;

const common = {
  mode: defaulted(enumeration(['Enforce', 'Audit']), 'Enforce'),
  sealed: defaulted(boolean({ description: 'Narrower policies cannot leave out these steps.' }), true),
  variables: defaulted(
    map(valueSource, { description: 'Named values, vars.<name> in expressions.', maxProperties: 64, maxKeyLength: 63 }),
    {},
  ),
  request: defaulted(list(requestStep, { description: 'Ordered steps.', maxItems: 64, key: 'name' }), []),
  backend: optional(
    object({
      credential: required({
        ...objectName,
        description: 'The BackendCredential presented to the app; narrowest scope wins.',
      }),
    }),
  ),
  response: defaulted(
    list(responseStep, {
      description: 'Steps on answers of the app, narrowest scope first.',
      maxItems: 64,
      key: 'name',
    }),
    [],
  ),
  errors: optional(errors),
};

export const authPolicySpec = object(
  {
    targetRefs: optional(targetRefs),
    targetSelectors: optional(targetSelectors),
    inherit: defaulted(enumeration(['Before', 'After', 'None']), 'Before'),
    ...common,
  },
  {
    description:
      'Ordered authentication, authorization and transformation steps for a namespace, product, API or operation.',
  },
);
export type AuthPolicySpec = Infer<typeof authPolicySpec>;

export const clusterAuthPolicySpec = object(
  {
    targetSelectors: optional(targetSelectors),
    namespaceSelector: optional(labelSelector),
    ...common,
    shareSecrets: defaulted(
      boolean({ description: 'true: the Secrets it names may reach the sidecars it selects; status shows it.' }),
      false,
    ),
    sharedStore: optional(unbuilt('sharedStore is not built yet')),
    allowances: optional(unbuilt('allowances open intercepted ports, and interception is not built yet')),
  },
  { description: 'The same at cluster scope, for every namespace or those that namespaceSelector selects.' },
);
export type ClusterAuthPolicySpec = Infer<typeof clusterAuthPolicySpec>;
