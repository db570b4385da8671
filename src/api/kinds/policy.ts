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
  type Infer,
} from '../schema.ts';
import { REASON_NAMES } from '../reasons.ts';
import { allowance } from './allowance.ts';
import { requestStep, responseStep } from './steps.ts';
import {
  labelSelector,
  objectName,
  serverTrust,
  settableHeader,
  targetRefs,
  targetSelectors,
  template,
  url,
  valueSource,
  variableName,
} from './shared.ts';

const override = object(
  {
    reasons: required(
      list(enumeration(REASON_NAMES), {
        description: 'Reasons of denials that are told in these words.',
        example: ['DeviceNotRecognized', 'DeviceRevoked'],
        minItems: 1,
        maxItems: 64,
        set: true,
      }),
    ),
    status: optional(integer({ description: 'Status sent instead of the reason’s own.', minimum: 400, maximum: 599 })),
    message: optional(
      string({ description: 'Literal text sent as the problem’s detail.', minLength: 1, maxLength: 256 }),
    ),
  },
  { atLeastOneOf: [['status', 'message']] },
);
export type ErrorOverride = Infer<typeof override>;

const errors = object(
  {
    format: optional(
      enumeration(['Problem', 'Text', 'Empty'], {
        description: 'Problem: JSON of RFC 9457. Text: one line. Empty: no body. Default Problem.',
      }),
    ),
    includeReason: optional(
      boolean({
        description: 'Whether the client is told the reason; false: title, status and request id only. Default true.',
      }),
    ),
    includePolicy: optional(boolean({ description: 'Whether the client is told policy and step. Default false.' })),
    headers: optional(
      map(template, {
        description: 'Headers of every denial.',
        example: { 'Cache-Control': 'no-store' },
        maxProperties: 32,
        maxKeyLength: 128,
        keys: settableHeader,
      }),
    ),
    overrides: optional(
      list(override, {
        description: 'Other words for some reasons; the first entry that names the reason counts.',
        minItems: 1,
        maxItems: 32,
      }),
    ),
  },
  { description: 'How denials look; per field, the narrowest scope that sets it.' },
);
export type ErrorsSpec = Infer<typeof errors>;

const common = {
  mode: defaulted(
    enumeration(['Enforce', 'Audit'], {
      description: 'Enforce, or Audit: evaluate, deny nothing, count and log what would be denied.',
    }),
    'Enforce',
  ),
  sealed: defaulted(
    boolean({
      description:
        'true: narrower policies cannot leave out these steps, and headers that they set or remove cannot be written below.',
    }),
    true,
  ),
  variables: defaulted(
    map(valueSource, {
      description: 'Named values; vars.<name> in expressions of this and narrower policies.',
      example: { backendName: { value: 'ManagementApi' } },
      maxProperties: 64,
      maxKeyLength: 63,
      keys: variableName,
    }),
    {},
  ),
  request: defaulted(
    list(requestStep, {
      description: 'Steps on requests, in this order; the first that denies answers the client.',
      maxItems: 64,
      key: 'name',
    }),
    [],
  ),
  backend: optional(
    object(
      {
        credential: required({
          ...objectName,
          description: 'The BackendCredential presented to the app. 503 CredentialUnavailable while it cannot be had.',
          example: 'mesh',
        }),
      },
      { description: 'What is presented to the app; per sort of credential the narrowest scope wins.' },
    ),
  ),
  response: defaulted(
    list(responseStep, {
      description: 'Steps on answers of the app, narrowest scope first, so that the broader scope has the last word.',
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
    inherit: defaulted(
      enumeration(['Before', 'After', 'None'], {
        description:
          'Where the steps of broader scopes go: Before these, After these, or None (left out). Sealed steps of broader scopes run first whatever stands here.',
      }),
      'Before',
    ),
    ...common,
  },
  {
    description:
      'Ordered authentication, authorization and transformation steps for a namespace, product, API or operation.',
  },
);
export type AuthPolicySpec = Infer<typeof authPolicySpec>;

const sharedStore = object(
  {
    url: required(
      url(
        'Where it is: redis or, with TLS, rediss; the path is the number of the database.',
        '^rediss?://[^\\s/?#]+(/[0-9]{1,3})?$',
        'a URL such as rediss://limits.sallyport-system.svc:6379',
      ),
    ),
    trust: optional({
      ...serverTrust,
      description: 'Which certificate authorities the store’s certificate must chain to; with rediss.',
    }),
    credential: optional({
      ...objectName,
      description: 'The BackendCredential (basic) by which it is logged in to; needs shareSecrets.',
      example: 'sallyport-system/limits',
    }),
    onUnavailable: defaulted(
      enumeration(['PerPod', 'Deny'], {
        description:
          'What becomes of limits while the store does not answer within 250 ms: PerPod, each pod counts for itself, or Deny, 503 Overloaded.',
      }),
      'PerPod',
    ),
  },
  {
    description:
      'A Valkey or Redis server (7 or newer, no cluster mode) in which steps with scope Shared count, over all pods of the namespaces that the policy selects.',
    rules: [
      {
        cel: "!self.url.contains('@')",
        test: v => !String(v['url']).includes('@'),
        field: 'url',
        problem: 'holds a user name or password',
        fix: 'name a BackendCredential in credential instead',
      },
      {
        cel: "self.url.startsWith('rediss:') == has(self.trust)",
        test: v => String(v['url']).startsWith('rediss:') === 'trust' in v,
        field: 'trust',
        problem: 'rediss and trust belong together',
        fix: 'name the CA that signs the store’s certificate, or write redis:// without trust',
      },
    ],
  },
);

export const clusterAuthPolicySpec = object(
  {
    targetSelectors: optional(targetSelectors),
    namespaceSelector: optional({
      ...labelSelector,
      description: 'Namespaces in which the policy applies, by their labels; absent: every namespace.',
    }),
    ...common,
    shareSecrets: defaulted(
      boolean({ description: 'true: the Secrets it names may reach the sidecars it selects; status shows it.' }),
      false,
    ),
    sharedStore: optional(sharedStore),
    allowances: optional(
      list(allowance, {
        description: 'What namespaces may leave open: only cluster-scoped objects can weaken.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
  },
  {
    description:
      'Ordered steps like those of an AuthPolicy, at cluster scope: for every namespace, or those that namespaceSelector selects.',
  },
);
export type ClusterAuthPolicySpec = Infer<typeof clusterAuthPolicySpec>;
