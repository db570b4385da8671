/**
 * Every reference that an object writes, found by its kind's schema, so that a new field is seen without another list.
 * A reference is told by what its schema holds, the kind it names by the name of its member (`trust`: a ClientTrust).
 */
import { itemPath, memberPath } from '../api/field-path.ts';
import { KINDS, type KindName, type SallyportObject } from '../api/kinds/index.ts';
import type { ObjectKey } from '../api/object.ts';
import { narrow, type Schema } from '../api/schema.ts';
import { isRawObject } from '../api/value.ts';

export interface Reference {
  readonly kind: 'Secret' | 'ConfigMap' | KindName;
  /** `namespace/name`. */
  readonly key: ObjectKey;
  /** Of Secrets and ConfigMaps: the keys of their data. */
  readonly dataKeys: readonly string[];
  /** `spec.app.credential`. */
  readonly field: string;
}

/** What a member of this name refers to; a test holds every reference of every schema to this table. */
export const REFERENCE_MEMBERS: Readonly<Record<string, KindName>> = {
  issuers: 'TokenIssuer',
  issuer: 'TokenIssuer',
  trust: 'ClientTrust',
  service: 'DeviceAuthService',
  credential: 'BackendCredential',
  subscription: 'Subscription',
};

/** Members that name a Secret of type kubernetes.io/tls. */
const TLS_SECRET = 'secretName';
const TLS_KEYS = ['tls.crt', 'tls.key'];

export function listReferences({ kind, meta, spec }: SallyportObject): readonly Reference[] {
  const found: Reference[] = [];
  walk(KINDS[kind].spec, spec, { namespace: meta.namespace, member: '', field: 'spec' }, found);
  return found;
}

interface Place {
  readonly namespace: string;
  /** Name of the nearest member that is no index. */
  readonly member: string;
  readonly field: string;
}

function walk(of: Schema<unknown>, value: unknown, place: Place, found: Reference[]): void {
  if (value === undefined || value === null) return;
  const schema = narrow(of);
  switch (schema.type) {
    case 'string':
      if (typeof value === 'string') readText(value, schema.holds === 'reference', place, found);
      return;
    case 'list':
      if (!Array.isArray(value)) return;
      value.forEach((item, i) => walk(schema.items, item, { ...place, field: itemPath(place.field, i) }, found));
      return;
    case 'map':
      if (!isRawObject(value)) return;
      for (const [name, item] of Object.entries(value)) {
        walk(schema.values, item, { ...place, member: '', field: memberPath(place.field, name) }, found);
      }
      return;
    case 'object':
      if (!isRawObject(value)) return;
      if (schema.holds === 'keyRef') return readKeyRef(value, place, found);
      for (const [name, field] of Object.entries(schema.fields)) {
        const inner = { ...place, member: name, field: memberPath(place.field, name) };
        walk(field.schema, Object.hasOwn(value, name) ? value[name] : undefined, inner, found);
      }
      return;
    case 'integer':
    case 'boolean':
    case 'enum':
    case 'duration':
    case 'quantity':
    case 'intOrString':
    case 'json':
      return;
  }
}

function readText(text: string, isReference: boolean, place: Place, found: Reference[]): void {
  const { namespace, member, field } = place;
  const key = text.includes('/') ? text : `${namespace}/${text}`;
  if (isReference) {
    const kind = Object.hasOwn(REFERENCE_MEMBERS, member) ? REFERENCE_MEMBERS[member] : undefined;
    if (kind !== undefined) found.push({ kind, key, dataKeys: [], field });
  } else if (member === TLS_SECRET) found.push({ kind: 'Secret', key, dataKeys: TLS_KEYS, field });
}

function readKeyRef(value: Readonly<Record<string, unknown>>, place: Place, found: Reference[]): void {
  const { name, key, namespace = place.namespace } = value;
  if (typeof name !== 'string' || typeof key !== 'string' || typeof namespace !== 'string') return;
  const kind = place.member === 'secretKeyRef' ? 'Secret' : 'ConfigMap';
  found.push({ kind, key: `${namespace}/${name}`, dataKeys: [key], field: place.field });
}
