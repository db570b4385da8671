/** Shapes that several kinds share: names, references, value sources, server trust, targets. */
import {
  defaulted,
  enumeration,
  list,
  map,
  object,
  optional,
  required,
  string,
  type Infer,
  type Schema,
} from '../schema.ts';

export const DNS_LABEL = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
export const DNS_SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';

export const objectName = string({
  description: 'The name of an object in the same namespace (in a ClusterAuthPolicy: namespace/name).',
  minLength: 1,
  maxLength: 317,
  pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
  patternText: 'lower-case letters, digits, - and . (with a namespace: namespace/name)',
  holds: 'reference',
});

/** Names of steps, rules, operations, products. */
export const memberName = string({
  description: 'A name, unique in its list; logs, metrics and explain use it.',
  minLength: 1,
  maxLength: 63,
  pattern: DNS_LABEL,
  patternText: 'lower-case letters, digits and -, starting and ending with a letter or digit',
});

export const headerName = string({
  description: 'A header’s name; compared without case.',
  example: 'X-Client-Id',
  minLength: 1,
  maxLength: 128,
  pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
  patternText: 'an HTTP token, for example X-Client-Id',
  holds: 'headerName',
});

/** A header that Sallyport writes or removes: never one that frames the message or concerns one connection (P13). */
export const settableHeader = string({ ...headerName, holds: 'settableHeader' });

export const celExpression = string({
  description: 'A CEL expression; type-checked when the policy is loaded.',
  minLength: 1,
  maxLength: 4096,
  holds: 'cel',
});
export const template = string({
  description: 'Text with ${…} holes, each a CEL expression of type string, int or bool; $${ is a literal ${.',
  maxLength: 4096,
  holds: 'template',
});

/** Names of values that expressions read as `vars.<name>`. */
export const variableName = string({
  minLength: 1,
  maxLength: 63,
  pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
  patternText: 'a name of letters, digits and _ that does not start with a digit',
});

/** Names that stand in a URL’s query as they are. */
export const queryName = string({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9._~-]+$',
  patternText: 'letters, digits, ., _, ~ and -',
});

/** A host name without port; wild cards are the hosts field’s own. */
export const hostName = string({
  minLength: 1,
  maxLength: 253,
  pattern: '^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$',
  patternText: 'a host name such as fleet.shop.svc',
});

/** The name of a Secret in the same namespace. */
export const secretName = string({
  minLength: 1,
  maxLength: 253,
  pattern: DNS_SUBDOMAIN,
  patternText: 'a Kubernetes object name',
});

export const keyRef = object(
  {
    name: required(
      string({
        description: 'The Secret’s or ConfigMap’s name.',
        minLength: 1,
        maxLength: 253,
        pattern: DNS_SUBDOMAIN,
        patternText: 'a Kubernetes object name',
      }),
    ),
    key: required(
      string({
        description: 'The key in its data.',
        minLength: 1,
        maxLength: 253,
        pattern: '^[-._a-zA-Z0-9]+$',
        patternText: 'letters, digits, -, _ and .',
      }),
    ),
    namespace: optional(
      string({
        description: 'Only in a ClusterAuthPolicy: where the object lives.',
        minLength: 1,
        maxLength: 63,
        pattern: DNS_LABEL,
        patternText: 'a namespace’s name',
      }),
    ),
  },
  { description: 'One key of a Secret or ConfigMap.', holds: 'keyRef' },
);
export type KeyRef = Infer<typeof keyRef>;

/** A moment, as Kubernetes writes it (RFC 3339, seconds). */
export const timestamp = string({
  description: 'A moment.',
  example: '2027-01-31T00:00:00Z',
  maxLength: 25,
  pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$',
  patternText: 'a time such as 2027-01-31T00:00:00Z',
  holds: 'time',
});

/** Exactly one of a Secret's and a ConfigMap's key: for material that is never written in the policy itself. */
export const materialRef = object(
  {
    secretKeyRef: optional({ ...keyRef, description: 'A key of a Secret.' }),
    configMapKeyRef: optional({ ...keyRef, description: 'A key of a ConfigMap.' }),
  },
  { description: 'Where the text is kept.', exactlyOneOf: [['secretKeyRef', 'configMapKeyRef']] },
);
export type MaterialRef = Infer<typeof materialRef>;

/** A value source: exactly one of value, configMapKeyRef, secretKeyRef. */
export const valueSource = object(
  {
    value: optional(string({ description: 'The value itself, where it is no secret.', maxLength: 4096 })),
    configMapKeyRef: optional({ ...keyRef, description: 'A key of a ConfigMap.' }),
    secretKeyRef: optional({ ...keyRef, description: 'A key of a Secret.' }),
  },
  {
    description: 'A value, written here or kept in a ConfigMap or Secret.',
    exactlyOneOf: [['value', 'configMapKeyRef', 'secretKeyRef']],
  },
);
export type ValueSource = Infer<typeof valueSource>;

/** A boolean that only has the value true: false would read as "trusts nobody" and mean nothing. */
export interface TrueSchema extends Schema<true> {
  readonly type: 'boolean';
  readonly only: true;
}
export const onlyTrue = (description: string): TrueSchema => ({ type: 'boolean', description, only: true });

/** Trust in a server: exactly one of a CA bundle and the system's roots. Never empty: an empty bundle would mean the public roots. */
export const serverTrust = object(
  {
    configMapKeyRef: optional({ ...keyRef, description: 'A ConfigMap’s key that holds CA certificates (PEM).' }),
    secretKeyRef: optional({ ...keyRef, description: 'A Secret’s key that holds CA certificates (PEM).' }),
    systemRoots: optional(onlyTrue('Trusts the public roots that Node.js carries.')),
  },
  {
    description: 'Which certificate authorities the server’s certificate must chain to.',
    exactlyOneOf: [['configMapKeyRef', 'secretKeyRef', 'systemRoots']],
  },
);
export type ServerTrust = Infer<typeof serverTrust>;

export const labelMap = map(
  string({
    maxLength: 63,
    pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$',
    patternText: 'at most 63 letters, digits, -, _ and .',
  }),
  {
    description: 'Labels that must all be there, with these values. Empty: everything is selected.',
    example: { app: 'fleet' },
    maxProperties: 32,
    maxKeyLength: 317,
    keys: string({
      minLength: 1,
      maxLength: 317,
      pattern:
        '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$',
      patternText: 'a label’s name, optionally after prefix/',
    }),
  },
);

export const labelSelector = object(
  { matchLabels: required(labelMap) },
  { description: 'Selects what carries all of these labels.', example: { matchLabels: { app: 'fleet' } } },
);

const targetGroup = enumeration(['sallyport.dev'], { description: 'The group of the target.' });
const targetKind = enumeration(['Api'], { description: 'The kind of the target.' });

export const targetRef = object({
  group: defaulted(targetGroup, 'sallyport.dev'),
  kind: required(targetKind),
  name: required(
    string({
      description: 'The Api’s name. One that does not exist has no effect and shows TargetNotFound.',
      minLength: 1,
      maxLength: 253,
      pattern: DNS_SUBDOMAIN,
      patternText: 'a Kubernetes object name',
    }),
  ),
  sectionName: optional({
    ...memberName,
    description:
      'An operation of that Api; absent: the whole Api. One that does not exist widens the target to the whole Api until mended, and its steps then do not count as authentication.',
  }),
});

export const targetSelector = object({
  group: defaulted(targetGroup, 'sallyport.dev'),
  kind: required(targetKind),
  matchLabels: required(labelMap),
});

export const targetRefs = list(targetRef, {
  description:
    'Apis (API scope) and operations (operation scope) by name. Without targetRefs and targetSelectors the policy applies to every pod of its namespace.',
  example: [{ kind: 'Api', name: 'fleet', sectionName: 'telemetry' }],
  minItems: 1,
  maxItems: 64,
});
export const targetSelectors = list(targetSelector, {
  description: 'Apis by label (product scope).',
  example: [{ kind: 'Api', matchLabels: { product: 'gold' } }],
  minItems: 1,
  maxItems: 16,
});

export const url = (description: string, pattern: string, patternText: string) =>
  string({ description, minLength: 1, maxLength: 2048, holds: 'url', pattern, patternText });
export const HTTPS_URL = '^https://[^\\s/?#@]+(/[^\\s#]*)?$';
export const HTTP_URL = '^https?://[^\\s/?#@]+([/?][^\\s#]*)?$';
