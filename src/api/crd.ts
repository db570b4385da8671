/** Custom resource definitions, rendered from the same description that the parser walks. Pure: plain data out. */
import { CONDITIONS_OF, STATUS_OF, type StatusField } from './conditions.ts';
import { renderSchema, type JsonSchema } from './crd-schema.ts';
import { KINDS, type KindName } from './kinds/index.ts';
import { GROUP, VERSION } from './object.ts';
import { narrow } from './schema.ts';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly description: string;
  /** 1: only with -o wide. */
  readonly priority?: number;
}

/** The CustomResourceDefinition of a kind. */
export function renderCrd(kind: KindName): JsonSchema {
  const { plural, scope, policy } = KINDS[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${GROUP}`,
      labels: {
        'app.kubernetes.io/part-of': 'sallyport',
        ...(policy ? { 'gateway.networking.k8s.io/policy': 'Inherited' } : {}),
      },
    },
    spec: { group: GROUP, names: renderNames(kind), scope, versions: [renderVersion(kind)] },
  };
}

function renderNames(kind: KindName): JsonSchema {
  const { plural, shortName } = KINDS[kind];
  return {
    kind,
    listKind: `${kind}List`,
    plural,
    singular: kind.toLowerCase(),
    ...(shortName === undefined ? {} : { shortNames: [shortName] }),
    categories: ['sallyport'],
  };
}

function renderVersion(kind: KindName): JsonSchema {
  const spec = narrow(KINDS[kind].spec);
  const { description } = spec;
  return {
    name: VERSION,
    served: true,
    storage: true,
    subresources: { status: {} },
    additionalPrinterColumns: [...COLUMNS[kind], AGE],
    schema: {
      openAPIV3Schema: {
        ...(description === undefined ? {} : { description }),
        type: 'object',
        required: ['spec'],
        properties: {
          apiVersion: { type: 'string', description: `${GROUP}/${VERSION}.` },
          kind: { type: 'string', description: `${kind}.` },
          metadata: { type: 'object' },
          spec: renderSchema(spec, { clusterScoped: KINDS[kind].scope === 'Cluster', repeated: false }),
          status: renderStatus(kind),
        },
      },
    },
  };
}

function renderStatus(kind: KindName): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, field] of Object.entries(STATUS_OF[kind])) properties[name] = renderStatusField(field);
  return {
    description: 'What the controller observed; it alone writes here.',
    type: 'object',
    properties: { conditions: renderConditions(kind), ...properties },
  };
}

function renderStatusField(field: StatusField): JsonSchema {
  const { type, description } = field;
  switch (type) {
    case 'integer':
      return { description, type, format: 'int64' };
    case 'boolean':
      return { description, type };
    case 'string':
      return { description, type, maxLength: 1024 };
    case 'date-time':
      return { description, type: 'string', format: 'date-time' };
    case 'object': {
      const members = Object.entries(field.fields).map(([name, member]) => [name, renderStatusField(member)] as const);
      return { description, type, properties: Object.fromEntries(members) };
    }
  }
}

/** metav1.Condition. */
function renderConditions(kind: KindName): JsonSchema {
  return {
    description: `Conditions: ${CONDITIONS_OF[kind].join(', ')}.`,
    type: 'array',
    maxItems: 16,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
    items: {
      type: 'object',
      required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
      properties: {
        type: { type: 'string', maxLength: 316, description: 'What is said about the object.' },
        status: { type: 'string', enum: ['True', 'False', 'Unknown'], description: 'Whether it is so.' },
        observedGeneration: {
          type: 'integer',
          format: 'int64',
          minimum: 0,
          description: 'The generation that it was said of.',
        },
        lastTransitionTime: { type: 'string', format: 'date-time', description: 'When status last changed.' },
        reason: { type: 'string', minLength: 1, maxLength: 1024, description: 'Why, in one word.' },
        message: { type: 'string', maxLength: 32768, description: 'Why, for people.' },
      },
    },
  };
}

const condition = (type: string, name = type, member = 'status'): Column => ({
  name,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].${member}`,
  description: `${member === 'status' ? 'Status' : 'Message'} of the condition ${type}.`,
});
const field = (name: string, jsonPath: string, description: string, type = 'string'): Column => ({
  name,
  type,
  jsonPath,
  description,
});
const wide = (column: Column): Column => ({ ...column, priority: 1 });

const AGE: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Since creation.',
};
const ACCEPTED = condition('Accepted');
const REFERENCES = wide(condition('ResolvedRefs', 'References', 'message'));
const PLACE = wide(condition('Programmed', 'Programmed', 'message'));
const MODE = field('Mode', '.spec.mode', 'Enforce or Audit.');
const SEALED = wide(field('Sealed', '.spec.sealed', 'Whether narrower policies cannot leave it out.', 'boolean'));
const ENFORCED = condition('Enforced', 'Enforced', 'message');
const PIPELINE = wide(field('Pipeline', '.status.pipeline', 'Which steps run, in their order, with scope and policy.'));
const WHY = wide(condition('Accepted', 'Why', 'message'));

const COLUMNS: Readonly<Record<KindName, readonly Column[]>> = {
  ClusterAuthPolicy: [MODE, ACCEPTED, ENFORCED, SEALED, WHY, REFERENCES, PLACE],
  AuthPolicy: [
    MODE,
    ACCEPTED,
    ENFORCED,
    wide(field('Inherit', '.spec.inherit', 'Where steps of broader scopes go.')),
    SEALED,
    PIPELINE,
    WHY,
    REFERENCES,
    PLACE,
  ],
  Api: [
    field('Port', '.spec.port', 'Container port.'),
    field('Hosts', '.spec.hosts', 'Host names.'),
    ACCEPTED,
    field('Enforcing', '.status.pods.enforcing', 'Pods that enforce the newest generation.', 'integer'),
    field('Pods', '.status.pods.matched', 'Pods that it selects.', 'integer'),
    PIPELINE,
    WHY,
    REFERENCES,
    PLACE,
  ],
  TokenIssuer: [
    field('Issuer', '.spec.issuer', 'Exact iss, where it is stated.'),
    field('Discovery', '.spec.discovery.url', 'Where issuer and keys are learnt.'),
    field('Keys', '.status.keys.count', 'Keys at hand.', 'integer'),
    field('Stale', '.status.keys.stale', 'Whether keys are past their age.', 'boolean'),
    ACCEPTED,
    wide(condition('KeysAvailable', 'Fetched', 'message')),
    WHY,
    REFERENCES,
  ],
  ClientTrust: [
    field('Revocation', '.spec.revocation.mode', 'How revocation is checked; empty: not at all.'),
    ACCEPTED,
    WHY,
    REFERENCES,
  ],
  DeviceAuthService: [field('URL', '.spec.url', 'Where it is asked.'), ACCEPTED, WHY, REFERENCES],
  Subscription: [
    field('State', '.spec.state', 'Active or Suspended.'),
    field('NotAfter', '.spec.notAfter', 'When its keys end; empty: never.'),
    ACCEPTED,
    WHY,
    REFERENCES,
  ],
  BackendCredential: [
    // Not as a date: kubectl prints the time since then, and of what is still to come "<invalid>".
    field(
      'Expires',
      '.status.certificate.notAfter',
      'When the certificate ends; for managed the first of those that pods have, which they renew themselves.',
    ),
    ACCEPTED,
    WHY,
    REFERENCES,
  ],
  PolicyTest: [
    field('Gate', '.spec.gate', 'Whether a failing case holds back new generations.', 'boolean'),
    condition('TestsPassed', 'Passed'),
    field('Cases', '.status.cases.total', 'How many cases there are.', 'integer'),
    field('Failed', '.status.cases.failed', 'How many of them fail.', 'integer'),
    wide(condition('TestsPassed', 'Why', 'message')),
  ],
};
