/** Decides what is saved for a restart: of each object its newest content and, where that is not in force, what is. */
import type { MaterialMessage } from '../material/protocol.ts';
import { nameObject } from '../kube/objects.ts';
import type { Draft } from './draft.ts';
import { KIND_NAMES } from './kind-watches.ts';
import { listSaved, type SavedObject, type SavedState, type StateStore } from './saved-state.ts';
import type { Outcome } from './source.ts';

const PAUSE_MS = 1000;

export interface StateKeeper {
  /** What an earlier process saved. */
  recall(saved: SavedState): void;
  keep(draft: Draft, outcome: Outcome, material: MaterialMessage | undefined): void;
  /** Writes what waits; resolves when it is written. */
  settle(): Promise<void>;
}

export function createStateKeeper(store: StateStore | undefined, clock: () => number): StateKeeper {
  /** Manifests in force, by identity. */
  let good: ReadonlyMap<string, string> = new Map();
  let saving: Promise<void> = Promise.resolve();
  let next: SavedState | undefined;
  let savedAt = -Infinity;
  let timer: NodeJS.Timeout | undefined;

  function write(): void {
    clearTimeout(timer);
    timer = undefined;
    if (store === undefined || next === undefined) return;
    savedAt = clock();
    saving = store.save(next);
    next = undefined;
  }

  /** Writing a thousand objects takes a while: not for every change of a storm. */
  function writeSoon(): void {
    const wait = savedAt + PAUSE_MS - clock();
    if (wait <= 0) write();
    else timer ??= setTimeout(write, wait).unref();
  }
  let savedHash: string | undefined;
  return {
    recall(saved) {
      const objects = KIND_NAMES.flatMap(kind => listSaved(saved, kind, 'good').map(object => ({ kind, object })));
      good = new Map(objects.map(({ kind, object }) => [`${kind} ${nameObject(object)}`, object.manifest]));
    },
    keep(draft, outcome, material) {
      if (store === undefined || draft.hash === savedHash) return;
      savedHash = draft.hash;
      const kept = new Set(outcome.kept);
      const inForce = new Map<string, string>();
      const objects: SavedObject[] = [];
      for (const { id, kind, manifest, use, foreign } of draft.collected) {
        const last = kept.has(id) ? good.get(id) : use?.manifest;
        if (last !== undefined) inForce.set(id, last);
        if (foreign) continue;
        objects.push({ kind, newest: manifest, ...(last === manifest ? {} : { good: last ?? null }) });
      }
      good = inForce;
      const { hash, labels } = draft;
      next = { hash, savedAt: clock(), labels, objects, material };
      writeSoon();
    },
    settle() {
      write();
      return saving;
    },
  };
}
