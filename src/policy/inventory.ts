/** The objects of one compilation by kind and key, in an order that does not depend on the order in which they came. */
import type { KindName, ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { InvalidObject, ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import { compareBytes } from './encoding.ts';

export interface Inventory {
  readonly find: <K extends KindName>(kind: K, key: ObjectKey) => ObjectOfKind<K> | undefined;
  readonly all: <K extends KindName>(kind: K) => readonly ObjectOfKind<K>[];
}

const isOfKind = <K extends KindName>(object: SallyportObject, kind: K): object is ObjectOfKind<K> =>
  object.kind === kind;

/** Of two objects with the same kind and key the one that sorts first by its content counts; sources do not give two. */
export function createInventory(objects: readonly SallyportObject[]): Inventory {
  const byKey = new Map<string, SallyportObject>();
  for (const object of [...objects].sort(compareObjects)) {
    const id = identify(object);
    if (!byKey.has(id)) byKey.set(id, object);
  }
  const byKind = Map.groupBy(byKey.values(), ({ kind }) => kind);
  return {
    // Asked for each of thousands of objects, mostly for a kind of which there are few.
    all: <K extends KindName>(kind: K) =>
      (byKind.get(kind) ?? []).filter((object): object is ObjectOfKind<K> => isOfKind(object, kind)),
    find: <K extends KindName>(kind: K, key: ObjectKey) => {
      const object = byKey.get(`${kind} ${key}`);
      return object !== undefined && isOfKind(object, kind) ? object : undefined;
    },
  };
}

function compareObjects(left: SallyportObject, right: SallyportObject): number {
  return compareBytes(identify(left), identify(right)) || right.meta.generation - left.meta.generation;
}

/** `Kind namespace/name`: unique among all objects. */
export const identify = ({ kind, key }: { readonly kind: string; readonly key: ObjectKey }): string => `${kind} ${key}`;

export const identifyInvalid = ({ kind, namespace, name }: InvalidObject): string =>
  identify({ kind, key: objectKey(namespace, name) });

/** Negative when `left` is the older: it wins a conflict. Ties (files know no time) go by key, bytewise. */
export function compareAge(left: SallyportObject, right: SallyportObject): number {
  return left.meta.createdAt - right.meta.createdAt || compareBytes(identify(left), identify(right));
}

export type Labels = Readonly<Record<string, string>>;

/** Whether something with these labels carries all that are wanted. */
export function matchLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
}
