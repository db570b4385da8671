/** References by name: to other Sallyport objects, and to keys of Secrets and ConfigMaps. */
import { nearestName, quote } from '../api/words.ts';
import type { ObjectKey } from '../api/object.ts';
import type { KeyRef } from '../api/kinds/shared.ts';
import type { ObjectReport } from './report.ts';

export type MaterialKind = 'Secret' | 'ConfigMap';

export interface Lookup {
  /** Text of a key of a Secret or ConfigMap, or undefined when either is missing. */
  (kind: MaterialKind, key: ObjectKey, dataKey: string): string | undefined;
  /** Those at hand with the names of their keys, for advice; absent: they cannot be listed. */
  readonly list?: (kind: MaterialKind) => Iterable<readonly [key: ObjectKey, dataKeys: readonly string[]]>;
  /** To which hosts alone a Secret may be presented; undefined: to any. */
  readonly secretHosts?: (key: ObjectKey) => readonly string[] | undefined;
}

/** The objects of one kind that a reference may name. */
export interface KnownObjects {
  readonly kind: string;
  readonly has: (key: ObjectKey) => boolean;
  readonly keys: () => Iterable<ObjectKey>;
  /** It exists, and cannot be used for a reason that is reported where it stands. */
  readonly isInvalid: (key: ObjectKey) => boolean;
}

/** The key of an object named in one of `namespace`; in a cluster policy (no namespace) names carry their own. */
export const resolveName = (name: string, namespace: string): ObjectKey =>
  name.includes('/') || namespace === '' ? name : `${namespace}/${name}`;

/** The key of a referenced object that exists, or undefined after reporting that it does not. */
export function requireObject(
  name: string,
  namespace: string,
  known: KnownObjects,
  field: string,
  report: ObjectReport,
): ObjectKey | undefined {
  const key = resolveName(name, namespace);
  const inNamespace = namespace === '' || key.startsWith(`${namespace}/`);
  if (inNamespace && known.has(key)) return key;
  const what = `names the ${known.kind} ${quote(name)}`;
  if (inNamespace && known.isInvalid(key)) {
    report.error(field, { problem: `${what}, which is invalid`, fix: 'see its own problem', concern: 'Reference' });
    return undefined;
  }
  const fix = adviseName(key, known.keys(), { whole: namespace === '' }) ?? 'create it, or name one that exists';
  report.error(field, { problem: `${what}, which does not exist`, fix, concern: 'Reference' });
  return undefined;
}

/**
 * What was probably meant by the key of an object that does not exist: a name that is near it, or the same name in another
 * namespace. `whole`: names are written with their namespace.
 */
export function adviseName(
  key: ObjectKey,
  keys: Iterable<ObjectKey>,
  { whole = false, say = sayWrite }: { readonly whole?: boolean; readonly say?: (near: string) => string } = {},
): string | undefined {
  const [namespace, name] = splitKey(key);
  const all = [...keys];
  const near = whole
    ? nearestName(key, all)
    : nearestName(
        name,
        all.filter(other => splitKey(other)[0] === namespace).map(other => splitKey(other)[1]),
      );
  if (near !== undefined) return say(near);
  const elsewhere = all.filter(other => splitKey(other)[1] === name).map(other => splitKey(other)[0]);
  return elsewhere.length === 0 ? undefined : adviseNamespace(namespace, elsewhere.sort());
}

const sayWrite = (near: string): string => `write ${quote(near)}`;
/** Secrets and ConfigMaps may well be made elsewhere, so that a near name is only a guess. */
const sayPerhaps = (near: string): string => `did you mean ${quote(near)}? Otherwise create it`;

/** Objects whose manifests name no namespace are in `default`, which is where the forgotten ones are found. */
function adviseNamespace(wanted: string, found: readonly string[]): string {
  const [first = ''] = found;
  if (found.includes('default')) return `there is one in namespace default; add namespace: ${wanted} to it`;
  return wanted === 'default'
    ? `there is one in namespace ${first}; add namespace: ${first} to this object`
    : `there is one in namespace ${first}; declare one in ${wanted} too, since references stay within a namespace`;
}

function splitKey(key: ObjectKey): readonly [namespace: string, name: string] {
  const at = key.indexOf('/');
  return [key.slice(0, Math.max(at, 0)), key.slice(at + 1)];
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
  const objectKey = `${key.namespace ?? namespace}/${key.name}`;
  const text = lookup(kind, objectKey, key.key);
  if (text === undefined) {
    const advice = adviseMaterial(kind, objectKey, key.key, lookup) ?? 'create it';
    report.warn(`${field}.${member}`, {
      problem: `names the key ${quote(key.key)} of the ${kind} ${quote(key.name)}, which does not exist`,
      fix: `${advice}; until then what needs it is answered 503`,
      concern: 'Reference',
    });
  }
  return text;
}

/** Which Secret or ConfigMap at hand, or which key of it, was probably meant. Names only, never a value. */
export function adviseMaterial(
  kind: MaterialKind,
  key: ObjectKey,
  dataKey: string,
  lookup: Lookup,
): string | undefined {
  const known = new Map(lookup.list?.(kind));
  const dataKeys = known.get(key);
  if (dataKeys === undefined) return adviseName(key, known.keys(), { say: sayPerhaps });
  const near = nearestName(dataKey, dataKeys);
  return near === undefined ? 'add the key' : sayPerhaps(near);
}
