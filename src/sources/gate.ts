/** What stands in for the AuthPolicies of the namespace while a PolicyTest with `gate: true` exists there. Pure. */
import type { CollectedObject } from './object-collection.ts';

export interface DraftedObject extends CollectedObject {
  /** Of another namespace: it came with the material. */
  readonly foreign: boolean;
  /** A gate holds the newest generation, or the deletion, back. */
  readonly held: boolean;
}

export const takeNewest = (object: CollectedObject): DraftedObject => ({ ...object, foreign: false, held: false });

const isGated = ({ kind }: CollectedObject): boolean => kind === 'AuthPolicy';

/**
 * `passed`: the AuthPolicies as they were when every case passed last; undefined: they never did. Then each stays as it is
 * in force, and one of which nothing is in force is refused, as S6 refuses an invalid one: to leave it out could open.
 */
export function applyGate(
  own: readonly CollectedObject[],
  passed: readonly CollectedObject[] | undefined,
  inForce: { readonly collected: readonly DraftedObject[] } | undefined,
): readonly DraftedObject[] {
  const newest = new Map(own.filter(isGated).map(object => [object.id, object]));
  const others = own.filter(object => !isGated(object)).map(takeNewest);
  if (passed !== undefined) {
    return [...others, ...passed.map(object => standIn(object, newest.get(object.id), isSameGeneration))];
  }
  const standing = (inForce?.collected ?? []).filter(object => isGated(object) && !object.foreign && object.use);
  const ids = new Set(standing.map(({ id }) => id));
  const nothingOf = [...newest.values()].filter(({ id }) => !ids.has(id));
  return [
    ...others,
    ...standing.map(object => standIn(object, newest.get(object.id), isSameContent)),
    ...nothingOf.map(refuse),
  ];
}

type Comparison = (standing: CollectedObject, newest: CollectedObject) => boolean;

/** The controller's manifest of an object has another text than the API server's. */
const isSameGeneration: Comparison = (standing, newest) =>
  standing.uid === newest.uid && standing.generation === newest.generation;

/** What is in force may be older than the generation that its object had. */
const isSameContent: Comparison = (standing, newest) =>
  standing.uid === newest.uid && standing.use?.digest === newest.use?.digest;

/** Without a newest it was deleted: a deletion can open as much as a change. */
function standIn(standing: CollectedObject, newest: CollectedObject | undefined, isSame: Comparison): DraftedObject {
  if (newest === undefined) return { ...standing, foreign: false, held: true };
  if (isSame(standing, newest)) return takeNewest(newest);
  const { id, kind, namespace, name, uid, generation, manifest } = newest;
  return { ...standing, id, kind, namespace, name, uid, generation, manifest, foreign: false, held: true };
}

function refuse({ use, ...object }: CollectedObject): DraftedObject {
  const { kind, namespace, name, manifest } = object;
  const labels = use?.object.meta.labels ?? {};
  const parsed: unknown = JSON.parse(manifest);
  const invalid = object.invalid ?? { kind, namespace, name, labels, manifest: parsed };
  return { ...object, refused: true, invalid, foreign: false, held: true };
}
