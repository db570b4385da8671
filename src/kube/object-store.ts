/** What a list-watch knows: one live map, changed event by event, or replaced by a list with only the differences. */
import { nameObject, type KubeObject } from './objects.ts';
import type { WatchEvent } from './watch-events.ts';

type ObjectEvent = Exclude<WatchEvent, { type: 'BOOKMARK' }>;

export interface ObjectStore<T extends KubeObject> {
  readonly objects: ReadonlyMap<string, T>;
  /** What became of the object. */
  change(event: ObjectEvent): T;
  /** Objects that were added, changed or removed; 0: the list says what was known. */
  replace(listed: ReadonlyMap<string, KubeObject>): number;
}

export function createObjectStore<T extends KubeObject>(trim: (object: KubeObject) => T): ObjectStore<T> {
  const objects = new Map<string, T>();
  return {
    objects,
    change({ type, object }) {
      const trimmed = trim(object);
      if (type === 'DELETED') objects.delete(nameObject(object));
      else objects.set(nameObject(object), trimmed);
      return trimmed;
    },
    replace(listed) {
      let changes = 0;
      for (const name of objects.keys()) {
        if (listed.has(name)) continue;
        objects.delete(name);
        changes += 1;
      }
      for (const [name, object] of listed) {
        if (isSame(objects.get(name), object)) continue;
        objects.set(name, trim(object));
        changes += 1;
      }
      return changes;
    },
  };
}

/** An object that was deleted and made again has another uid; a changed one another resourceVersion. */
function isSame(known: KubeObject | undefined, listed: KubeObject): boolean {
  if (known === undefined) return false;
  const { uid, resourceVersion } = known.metadata;
  return (
    resourceVersion !== undefined && uid === listed.metadata.uid && resourceVersion === listed.metadata.resourceVersion
  );
}
