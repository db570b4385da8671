/** References by name: to other Sallyport objects, and to keys of Secrets and ConfigMaps. */
import { nearestName, quote } from '../api/words.ts';
import type { ObjectKey } from '../api/object.ts';
import type { KeyRef } from '../api/kinds/shared.ts';
import type { ObjectReport } from './report.ts';

/** Text of a key of a Secret or ConfigMap, or undefined when either is missing. */
export type Lookup = (kind: 'Secret' | 'ConfigMap', key: ObjectKey, dataKey: string) => string | undefined;

/** The key of an object named in one of `namespace`; in a cluster policy (no namespace) names carry their own. */
export const resolveName = (name: string, namespace: string): ObjectKey =>
  name.includes('/') || namespace === '' ? name : `${namespace}/${name}`;

/** The key of a referenced object that exists, or undefined after reporting that it does not. */
export function requireObject(
  name: string,
  namespace: string,
  known: { readonly kind: string; readonly has: (key: ObjectKey) => boolean; readonly keys: () => Iterable<ObjectKey> },
  field: string,
  report: ObjectReport,
): ObjectKey | undefined {
  const key = resolveName(name, namespace);
  const inNamespace = namespace === '' || key.startsWith(`${namespace}/`);
  if (inNamespace && known.has(key)) return key;
  const shown = [...known.keys()]
    .filter(other => namespace === '' || other.startsWith(`${namespace}/`))
    .map(other => (namespace === '' ? other : other.slice(namespace.length + 1)));
  const near = nearestName(name, shown);
  report.error(field, {
    problem: `names the ${known.kind} ${quote(name)}, which does not exist`,
    fix: near === undefined ? `create it, or name one that exists` : `write ${quote(near)}`,
  });
  return undefined;
}

interface AnyKeyRef {
  readonly secretKeyRef?: KeyRef;
  readonly configMapKeyRef?: KeyRef;
}

/** The text behind a key reference, or undefined after a warning: objects may arrive in any order (S6). */
export function readKeyRef(
  ref: AnyKeyRef,
  namespace: string,
  lookup: Lookup,
  field: string,
  report: ObjectReport,
): string | undefined {
  const [kind, member, key] =
    ref.secretKeyRef === undefined
      ? (['ConfigMap', 'configMapKeyRef', ref.configMapKeyRef] as const)
      : (['Secret', 'secretKeyRef', ref.secretKeyRef] as const);
  if (key === undefined) return undefined;
  const text = lookup(kind, `${key.namespace ?? namespace}/${key.name}`, key.key);
  if (text === undefined) {
    report.warn(`${field}.${member}`, {
      problem: `names the key ${quote(key.key)} of the ${kind} ${quote(key.name)}, which does not exist`,
      fix: `create it; until then what needs it is answered 503`,
    });
  }
  return text;
}
