/** Decides what is saved for a restart: of each object its newest content and, where that is not in force, what is. */
import type { MaterialMessage } from '../material/protocol.ts';
import { nameObject } from '../kube/objects.ts';
import type { Draft } from './draft.ts';
import { KIND_NAMES } from './kind-watches.ts';
import { listSaved, type SavedObject, type SavedState, type StateStore } from './saved-state.ts';
import type { Outcome } from './source.ts';

export interface StateKeeper {
  /** What an earlier process saved. */
  recall(saved: SavedState): void;
  keep(draft: Draft, outcome: Outcome, material: MaterialMessage | undefined): void;
  /** Resolves when nothing is being written. */
  settle(): Promise<void>;
}

export function createStateKeeper(store: StateStore | undefined, clock: () => number): StateKeeper {
  /** Manifests in force, by identity. */
  let good: ReadonlyMap<string, string> = new Map();
  let saving: Promise<void> = Promise.resolve();
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
      const next = new Map<string, string>();
      const objects: SavedObject[] = [];
      for (const { id, kind, manifest, use, foreign } of draft.collected) {
        const last = kept.has(id) ? good.get(id) : use?.manifest;
        if (last !== undefined) next.set(id, last);
        if (foreign) continue;
        objects.push({ kind, newest: manifest, ...(last === undefined || last === manifest ? {} : { good: last }) });
      }
      good = next;
      const { hash, labels } = draft;
      saving = store.save({ hash, savedAt: clock(), labels, objects, material });
    },
    settle: () => saving,
  };
}
