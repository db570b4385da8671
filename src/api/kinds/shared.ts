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
  minLength: 1,
  maxLength: 128,
  pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
  patternText: 'an HTTP token, for example X-Client-Id',
  holds: 'headerName',
});

/** A header that Sallyport writes or removes: never one that frames the message or concerns one connection (P13). */
export const settableHeader = string({ ...headerName, holds: 'settableHeader' });

export const celExpression = string({ minLength: 1, maxLength: 4096, holds: 'cel' });
export const template = string({ maxLength: 4096, holds: 'template' });

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

/** Exactly one of a Secret's and a ConfigMap's key: for material that is never written in the policy itself. */
export const materialRef = object(
  { secretKeyRef: optional(keyRef), configMapKeyRef: optional(keyRef) },
  { description: 'Where the text is kept.', exactlyOneOf: [['secretKeyRef', 'configMapKeyRef']] },
);
export type MaterialRef = Infer<typeof materialRef>;

/** A value source: exactly one of value, configMapKeyRef, secretKeyRef. */
export const valueSource = object(
  {
    value: optional(string({ description: 'The value itself, where it is no secret.', maxLength: 4096 })),
    configMapKeyRef: optional(keyRef),
    secretKeyRef: optional(keyRef),
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
    configMapKeyRef: optional(keyRef),
    secretKeyRef: optional(keyRef),
    systemRoots: optional(onlyTrue('Trusts the public roots that Node.js carries.')),
  },
  {
    description: 'Which certificate authorities the server’s certificate must chain to.',
    exactlyOneOf: [['configMapKeyRef', 'secretKeyRef', 'systemRoots']],
  },
);
export type ServerTrust = Infer<typeof serverTrust>;

export const labelMap = map(string({ maxLength: 63 }), { maxProperties: 32, maxKeyLength: 317 });

export const labelSelector = object(
  { matchLabels: required(labelMap) },
  { description: 'Selects what carries all of these labels.' },
);

export const targetRef = object({
  group: defaulted(enumeration(['sallyport.dev']), 'sallyport.dev'),
  kind: required(enumeration(['Api'])),
  name: required(
    string({
      description: 'The Api’s name.',
      minLength: 1,
      maxLength: 253,
      pattern: DNS_SUBDOMAIN,
      patternText: 'a Kubernetes object name',
    }),
  ),
  sectionName: optional({ ...memberName, description: 'An operation of that Api; absent: the whole Api.' }),
});

export const targetSelector = object({
  group: defaulted(enumeration(['sallyport.dev']), 'sallyport.dev'),
  kind: required(enumeration(['Api'])),
  matchLabels: required(labelMap),
});

export const targetRefs = list(targetRef, { description: 'Apis and operations by name.', minItems: 1, maxItems: 64 });
export const targetSelectors = list(targetSelector, {
  description: 'Apis by label (product scope).',
  minItems: 1,
  maxItems: 16,
});

export const url = (description: string, pattern: string, patternText: string) =>
  string({ description, minLength: 1, maxLength: 2048, holds: 'url', pattern, patternText });
export const HTTPS_URL = '^https://[^\\s/?#@]+(/[^\\s#]*)?$';
export const HTTP_URL = '^https?://[^\\s/?#@]+([/?][^\\s#]*)?$';
