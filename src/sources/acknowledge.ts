/** What became of each object that concerns the pod, for the controller. Pure. */
import { BOUNDS, type AcknowledgedObject } from '../material/protocol.ts';
import type { Violation } from '../api/violation.ts';
import type { Draft } from './draft.ts';
import type { DraftedObject } from './gate.ts';
import type { Outcome } from './source.ts';

/** Objects that concern the pod: what its policies are and name, and what cannot be read well enough to say that it does not. */
export function acknowledgeObjects(draft: Draft, outcome: Outcome): readonly AcknowledgedObject[] {
  const kept = new Set(outcome.kept);
  const errors = new Map<string, Violation>();
  for (const violation of [...draft.violations, ...outcome.violations]) {
    // Conflicts, overridden headers and missing targets are conditions of their own: the object is in force all the same.
    if (violation.severity === 'error' && !errors.has(violation.object)) errors.set(violation.object, violation);
  }
  return draft.collected
    .filter(({ id, use }) => use === undefined || draft.named.concerning.has(id))
    .map(object => acknowledge(object, kept.has(object.id), errors.get(object.id)));
}

function acknowledge(object: DraftedObject, kept: boolean, error: Violation | undefined): AcknowledgedObject {
  const { kind, namespace, name, uid, generation } = object;
  const problem = describeProblem(object, error);
  const state = findState(object, kept, error);
  return { kind, namespace, name, uid, generation, state, ...(problem === undefined ? {} : { problem }) };
}

function findState(object: DraftedObject, kept: boolean, error: Violation | undefined): AcknowledgedObject['state'] {
  if (object.unsupported) return 'Unsupported';
  if (object.refused) return object.use === undefined ? 'Refused' : 'Kept';
  if (kept || object.held) return 'Kept';
  return error === undefined ? 'InForce' : 'Refused';
}

function describeProblem({ held }: DraftedObject, error: Violation | undefined): string | undefined {
  if (error === undefined) return held ? 'held back until its policy tests pass' : undefined;
  const { field, problem, fix } = error;
  return `${field === '' ? '' : `${field}: `}${problem}; ${fix}`.slice(0, BOUNDS.problem);
}
