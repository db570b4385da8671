/** The objects of the group that were read, by identity and namespace, and what cluster policies reach of them. */
import type { KindName, SallyportObject } from '../api/kinds/index.ts';
import { objectKey, type ObjectKey } from '../api/object.ts';
import { listReferences } from '../material/references.ts';
import { identify } from '../policy/inventory.ts';
import type { WantedData } from './named-data-cache.ts';
import { readKnownObject, type KnownObject, type RawObject } from './objects.ts';

export interface ObjectIndex {
  find(id: string): KnownObject | undefined;
  all(): Iterable<KnownObject>;
  /** Empty: the cluster kind. */
  of(namespace: string): readonly KnownObject[];
  /** Namespaces with objects. */
  namespaces(): readonly string[];
  /** Identities of what cluster policies name, and what that names; Secrets and ConfigMaps too. */
  reach(): ReadonlySet<string>;
  /** `more`: contents that count besides those that were read. */
  wantedData(more?: Iterable<SallyportObject>): WantedData;
  /** One object as it is now; undefined: it is gone. Answers the object that counts changed of, if any (status does not count). */
  change(kind: KindName, key: ObjectKey, raw: RawObject | undefined): KnownObject | undefined;
  /** All of one kind. Answers those of which something that counts changed. */
  replace(kind: KindName, listed: ReadonlyMap<ObjectKey, RawObject>): readonly KnownObject[];
}

export function createObjectIndex(): ObjectIndex {
  const objects = new Map<string, KnownObject>();
  const byNamespace = new Map<string, Map<string, KnownObject>>();
  let reached: ReadonlySet<string> | undefined;

  function put(object: KnownObject): void {
    objects.set(object.id, object);
    const own = byNamespace.get(object.namespace) ?? new Map<string, KnownObject>();
    byNamespace.set(object.namespace, own.set(object.id, object));
  }

  function remove(object: KnownObject): KnownObject {
    objects.delete(object.id);
    const own = byNamespace.get(object.namespace);
    own?.delete(object.id);
    if (own?.size === 0) byNamespace.delete(object.namespace);
    reached = undefined;
    return object;
  }

  function update(before: KnownObject | undefined, kind: KindName, raw: RawObject): KnownObject | undefined {
    const now = readKnownObject(kind, raw, before);
    put(now);
    if (before !== undefined && before.parsed === now.parsed && before.invalid === now.invalid) return undefined;
    reached = undefined;
    return now;
  }

  const of = (namespace: string): readonly KnownObject[] => [...(byNamespace.get(namespace)?.values() ?? [])];

  return {
    find: id => objects.get(id),
    all: () => objects.values(),
    of,
    namespaces: () => [...byNamespace.keys()].filter(namespace => namespace !== ''),
    reach: () => (reached ??= collectReach(of(''), id => objects.get(id))),
    wantedData: (more = []) => collectWanted([...[...objects.values()].flatMap(contentsOf), ...more]),
    change(kind, key, raw) {
      const known = objects.get(identify({ kind, key }));
      if (raw !== undefined) return update(known, kind, raw);
      return known === undefined ? undefined : remove(known);
    },
    replace(kind, listed) {
      const gone = [...objects.values()].filter(known => known.kind === kind && !listed.has(known.key)).map(remove);
      const changed = [...listed.values()].flatMap(raw => {
        const { name, namespace = '' } = raw.metadata;
        const before = objects.get(identify({ kind, key: objectKey(namespace, name) }));
        return update(before, kind, raw) ?? [];
      });
      return [...gone, ...changed];
    },
  };
}

/** What is in force may be the last good content, so that counts too (S6). */
const contentsOf = ({ parsed, lastGood }: KnownObject) =>
  [...new Set([parsed, lastGood])].filter(content => content !== undefined);

const referencesOf = (object: KnownObject) => contentsOf(object).flatMap(listReferences);

function collectReach(
  policies: readonly KnownObject[],
  find: (id: string) => KnownObject | undefined,
): ReadonlySet<string> {
  const reached = new Set<string>();
  const follow = (object: KnownObject): void => {
    for (const id of referencesOf(object).map(identify)) {
      if (reached.has(id)) continue;
      reached.add(id);
      const next = find(id);
      if (next !== undefined) follow(next);
    }
  };
  policies.forEach(follow);
  return reached;
}

function collectWanted(objects: Iterable<SallyportObject>): WantedData {
  const wanted = { Secret: new Map<ObjectKey, Set<string>>(), ConfigMap: new Map<ObjectKey, Set<string>>() };
  for (const object of objects) {
    for (const { kind, key, dataKeys } of listReferences(object)) {
      if (kind !== 'Secret' && kind !== 'ConfigMap') continue;
      const keys = wanted[kind].get(key) ?? new Set<string>();
      dataKeys.forEach(dataKey => keys.add(dataKey));
      wanted[kind].set(key, keys);
    }
  }
  return wanted;
}
