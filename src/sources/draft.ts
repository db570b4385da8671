/** Everything that a source in the cluster knows at one moment, put together; pure. */
import type { KindName, SallyportObject } from '../api/kinds/index.ts';
import type { InvalidObject } from '../api/object.ts';
import type { Violation } from '../api/violation.ts';
import { listMissing, listNamed, type NamedMaterial } from '../material/named.ts';
import { applyGate, takeNewest, type DraftedObject } from './gate.ts';
import { canonicalize, digest } from './canonical.ts';
import type { ControllerMaterial } from './controller-material.ts';
import { createObjectCollection, type CollectedObject, type ObjectCollection } from './object-collection.ts';

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

export interface DraftInput {
  readonly own: readonly CollectedObject[];
  readonly material: ControllerMaterial;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What is in force now. */
  readonly inForce?: Draft | undefined;
}

export interface Drafter {
  draft(input: DraftInput): Draft;
}

/** Remembers the objects of other namespaces, so that each is parsed once for each change. */
export function createDrafter(): Drafter {
  const foreign = createObjectCollection();
  const gated = createObjectCollection();
  let seen: ControllerMaterial | undefined;
  return {
    draft({ own, material, namespace, labels, inForce }) {
      if (seen !== material) takeMaterial(foreign, gated, material);
      seen = material;
      const collected = [
        ...(material.gate === undefined
          ? own.map(takeNewest)
          : applyGate(own, material.gate.policies === null ? undefined : gated.list(), inForce)),
        ...foreign.list().map(object => ({ ...object, foreign: true, held: false })),
      ];
      const objects = collected.flatMap(({ use }) => use?.object ?? []);
      const namespaceLabels = material.message?.namespaceLabels;
      const named = listNamed(objects, { namespace, namespaceLabels, labels });
      return {
        objects,
        invalid: collected.flatMap(({ use, invalid }) => (use === undefined ? (invalid ?? []) : [])),
        violations: collected.flatMap(({ violations }) => violations),
        kept: collected.filter(({ refused, use }) => refused && use !== undefined).map(({ id }) => id),
        named,
        missing: listMissing(named, (kind, key) => material.has(kind, key)),
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
  { foreign: sorted, gate }: ControllerMaterial,
) {
  const kinds = new Set<KindName>([...sorted.keys(), ...foreign.list().map(({ kind }) => kind)]);
  for (const kind of kinds) foreign.set(kind, sorted.get(kind) ?? []);
  gated.set('AuthPolicy', gate?.policies ?? []);
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
