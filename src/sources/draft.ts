/** Everything that a source in the cluster knows at one moment, put together; pure. */
import type { KindName, SallyportObject } from '../api/kinds/index.ts';
import { objectKey, type InvalidObject } from '../api/object.ts';
import type { Violation } from '../api/violation.ts';
import { listMissing, listNamed, type NamedMaterial } from '../material/named.ts';
import type { HeldObject } from '../material/protocol.ts';
import { identify } from '../policy/inventory.ts';
import { canonicalize, digest } from './canonical.ts';
import type { ControllerMaterial } from './controller-material.ts';
import {
  createObjectCollection,
  type CollectedObject,
  type ObjectCollection,
  type UsableObject,
} from './object-collection.ts';
import { readManifest } from './watched-object.ts';

export interface Draft {
  readonly objects: readonly SallyportObject[];
  readonly invalid: readonly InvalidObject[];
  readonly violations: readonly Violation[];
  /** `AuthPolicy shop/fleet`: what stands here with its last good content. */
  readonly kept: readonly string[];
  readonly named: NamedMaterial;
  /** What is named and has no entry yet; empty: objects and material fit. */
  readonly missing: readonly string[];
  /** Own objects and those of other namespaces, each with what is used of it. */
  readonly collected: readonly DraftedObject[];
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>> | undefined;
  readonly hash: string;
}

export interface DraftedObject extends CollectedObject {
  /** Of another namespace: it came with the material. */
  readonly foreign: boolean;
  /** A gate holds the newest generation back. */
  readonly held: boolean;
}

export interface DraftInput {
  readonly own: readonly CollectedObject[];
  readonly material: ControllerMaterial;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Drafter {
  draft(input: DraftInput): Draft;
}

/** Remembers the objects of other namespaces, so that each is parsed once for each change. */
export function createDrafter(): Drafter {
  const foreign = createObjectCollection();
  const gated = createObjectCollection();
  let seen: ControllerMaterial | undefined;
  /** What was used of each policy, by its identity: it stays until the gates have spoken on the next generation. */
  let last: ReadonlyMap<string, DraftedObject> = new Map();
  return {
    draft({ own, material, namespace, labels }) {
      if (seen !== material) takeMaterial(foreign, gated, material);
      seen = material;
      const standIns = new Map(gated.list().map(object => [object.id, object.use]));
      const waiting = own.filter(object => object.kind === 'AuthPolicy' && !material.isJudged(object));
      const isWaiting = new Set(waiting);
      const collected = [
        ...own.map(object =>
          isWaiting.has(object)
            ? keepLast(object, last.get(object.id))
            : applyGate(object, material.held.get(object.id), standIns),
        ),
        ...foreign.list().map(object => ({ ...object, foreign: true, held: false })),
      ].filter(object => object !== undefined);
      last = new Map(collected.flatMap(object => (object.kind === 'AuthPolicy' ? [[object.id, object]] : [])));
      const objects = collected.flatMap(({ use }) => use?.object ?? []);
      const namespaceLabels = material.message?.namespaceLabels;
      const named = listNamed(objects, { namespace, namespaceLabels, labels });
      return {
        objects,
        invalid: collected.flatMap(({ use, invalid }) => (use === undefined ? (invalid ?? []) : [])),
        violations: collected.flatMap(({ violations }) => violations),
        kept: collected.filter(({ refused, use }) => refused && use !== undefined).map(({ id }) => id),
        named,
        missing: [
          ...listMissing(named, (kind, key) => material.has(kind, key)),
          ...waiting.filter(({ id }) => !last.has(id)).map(({ id }) => `the verdict of policy tests on ${id}`),
        ],
        collected,
        labels,
        namespaceLabels,
        hash: hashDraft(collected, material, labels),
      };
    },
  };
}

function takeMaterial(
  foreign: ObjectCollection,
  gated: ObjectCollection,
  { foreign: sorted, held }: ControllerMaterial,
) {
  const kinds = new Set<KindName>([...sorted.keys(), ...foreign.list().map(({ kind }) => kind)]);
  for (const kind of kinds) foreign.set(kind, sorted.get(kind) ?? []);
  gated.set(
    'AuthPolicy',
    [...held.values()].flatMap(({ use }) => readManifest('AuthPolicy', use) ?? []),
  );
}

/** Undefined: it is new. Another object of that name is another. */
function keepLast(object: CollectedObject, before: DraftedObject | undefined): DraftedObject | undefined {
  if (before?.uid !== object.uid || before.use === undefined) return undefined;
  return { ...object, use: before.use, foreign: false, held: true };
}

/** Undefined: no generation of it has passed its tests yet, so it is as if absent. */
function applyGate(
  object: CollectedObject,
  gate: HeldObject | undefined,
  standIns: ReadonlyMap<string, UsableObject | undefined>,
): DraftedObject | undefined {
  // A newer generation than the one that is held back is not held back.
  if (gate?.generation !== object.generation) return { ...object, foreign: false, held: false };
  const use = standIns.get(identify({ kind: gate.kind, key: objectKey(gate.namespace, gate.name) }));
  return use === undefined ? undefined : { ...object, use, foreign: false, held: true };
}

function hashDraft(
  collected: readonly DraftedObject[],
  { message }: ControllerMaterial,
  labels: Readonly<Record<string, string>>,
): string {
  // An object that is refused and has no last good content counts as what it is: it holds back what it would apply to.
  const lines = collected.map(
    ({ id, use, uid, generation }) => `${id} ${use?.digest ?? `refused ${uid} ${generation}`}`,
  );
  return digest([...lines.sort(), canonicalize(labels), message?.hash ?? ''].join('\n'));
}
