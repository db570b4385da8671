/**
 * The objects of one source in the cluster, parsed once for each change, with the last good content of those whose newest
 * cannot be parsed (S6). Nothing is read here.
 */
import type { KindName, SallyportObject } from '../api/kinds/index.ts';
import { objectKey, type InvalidObject } from '../api/object.ts';
import { parseObject } from '../api/parse.ts';
import type { Violation } from '../api/violation.ts';
import { digest } from './canonical.ts';
import type { WatchedObject } from './watched-object.ts';

/** One object: its newest content, and what stands in for it. */
export interface CollectedObject {
  /** `AuthPolicy shop/fleet`. */
  readonly id: string;
  readonly kind: KindName;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** As the API server counts it, of the newest content. */
  readonly generation: number;
  /** JSON of the newest content. */
  readonly manifest: string;
  /** Of the newest content. */
  readonly violations: readonly Violation[];
  /** The newest content holds something that this version does not know. */
  readonly unsupported: boolean;
  /** The newest content cannot be used: `use` is older, or absent. */
  readonly refused: boolean;
  /** Absent: refused, and no last good content. */
  readonly use?: UsableObject;
  readonly invalid?: InvalidObject;
}

export interface UsableObject {
  readonly object: SallyportObject;
  readonly manifest: string;
  readonly digest: string;
}

export interface ObjectCollection {
  /** All objects of one kind now. Those that are gone are forgotten, their last good content too (S6). */
  set(kind: KindName, objects: Iterable<WatchedObject>): void;
  /** What was in force before this process began: last good content of objects that are still there. */
  seed(kind: KindName, objects: Iterable<WatchedObject>): void;
  list(): readonly CollectedObject[];
}

export function createObjectCollection(): ObjectCollection {
  const kinds = new Map<KindName, Map<string, CollectedObject>>();
  const seeds = new Map<string, { readonly uid: string; readonly use: UsableObject }>();
  const counter = createGenerationCounter();

  function read(kind: KindName, watched: WatchedObject, before: CollectedObject | undefined): CollectedObject {
    const { manifest, metadata } = watched;
    const { name, namespace = '', uid = '', generation = 1 } = metadata;
    const id = `${kind} ${objectKey(namespace, name)}`;
    const { object, violations, invalid } = parseManifest(manifest);
    const use = object === undefined ? undefined : createUsable(object, manifest, counter.count(id, uid, generation));
    // Only of the same object: another one of that name was never good.
    const seed = seeds.get(id);
    const lastGood = before?.uid === uid ? before.use : seed?.uid === uid ? seed.use : undefined;
    const chosen = use ?? lastGood;
    const identity = { id, kind, namespace, name, uid, generation, manifest, violations };
    return {
      ...identity,
      unsupported: violations.some(isUnknownHere),
      refused: use === undefined,
      ...(chosen === undefined ? {} : { use: chosen }),
      ...(invalid === undefined ? {} : { invalid }),
    };
  }

  return {
    set(kind, objects) {
      const before = kinds.get(kind);
      const now = new Map<string, CollectedObject>();
      for (const watched of objects) {
        const name = objectKey(watched.metadata.namespace ?? '', watched.metadata.name);
        const known = before?.get(name);
        now.set(name, known?.manifest === watched.manifest ? known : read(kind, watched, known));
      }
      kinds.set(kind, now);
    },
    seed(kind, objects) {
      for (const watched of objects) {
        const { id, uid, use } = read(kind, watched, undefined);
        if (use !== undefined) seeds.set(id, { uid, use });
      }
    },
    list: () => [...kinds.values()].flatMap(entries => [...entries.values()]),
  };
}

function parseManifest(manifest: string): ReturnType<typeof parseObject> {
  return parseObject(JSON.parse(manifest));
}

function createUsable(object: SallyportObject, manifest: string, generation: number): UsableObject {
  return { object: { ...object, meta: { ...object.meta, generation } }, manifest, digest: digest(manifest) };
}

/** The CRD lets no unknown field through: one that the parser does not know is of a newer version. */
const isUnknownHere = ({ severity, unknown }: Violation): boolean => severity === 'error' && unknown === true;

/**
 * Generations stand in cache keys, so that an object which was deleted and made again under its name must not count from 1
 * once more.
 */
function createGenerationCounter() {
  const counted = new Map<string, { uid: string; offset: number; last: number }>();
  return {
    count(id: string, uid: string, generation: number): number {
      const known = counted.get(id);
      const offset = known === undefined ? 0 : known.uid === uid ? known.offset : known.last;
      const last = offset + generation;
      counted.set(id, { uid, offset, last: Math.max(last, known?.last ?? 0) });
      return last;
    },
  };
}
