/** How many of the pods that an object selects enforce its newest generation. */
import { find, type Finding } from './conditions.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';

export interface Enforcement {
  /** Live pods that are selected, injected or not. */
  readonly matched: number;
  readonly enforcing: number;
  /** Their sidecar is too old for something in it. */
  readonly tooOld: number;
  /** Their last good generation stays in force. */
  readonly kept: number;
  /** It has none: what it would apply to is 503. */
  readonly refused: number;
  /** No sidecar of ours. */
  readonly unprotected: number;
  /** A sidecar that has not answered for this generation, or not for long. */
  readonly silent: number;
}

type Member = keyof Enforcement;

export const NO_PODS: Enforcement = {
  matched: 0,
  enforcing: 0,
  tooOld: 0,
  kept: 0,
  refused: 0,
  unprotected: 0,
  silent: 0,
};

export function countEnforcement(object: KnownObject, pods: readonly PodFacts[], states: PodStates): Enforcement {
  const counts: Record<Member, number> = { ...NO_PODS, matched: pods.length };
  for (const pod of pods) counts[judgePod(object, pod, states)] += 1;
  return counts;
}

function judgePod({ id, uid, generation }: KnownObject, pod: PodFacts, states: PodStates): Member {
  if (pod.sidecar.state !== 'Protected') return 'unprotected';
  const said = states.get(pod.uid)?.objects.get(id);
  // An acknowledgement of an earlier generation, or of an object of that name that is gone, says nothing of this one.
  if (said?.uid !== uid || said.generation !== generation) return 'silent';
  switch (said.state) {
    case 'InForce':
      return 'enforcing';
    case 'Unsupported':
      return 'tooOld';
    case 'Kept':
      return 'kept';
    case 'Refused':
      return 'refused';
  }
}

export function addEnforcement(left: Enforcement, right: Enforcement): Enforcement {
  return {
    matched: left.matched + right.matched,
    enforcing: left.enforcing + right.enforcing,
    tooOld: left.tooOld + right.tooOld,
    kept: left.kept + right.kept,
    refused: left.refused + right.refused,
    unprotected: left.unprotected + right.unprotected,
    silent: left.silent + right.silent,
  };
}

const SAID: readonly (readonly [Member, one: string, more: string])[] = [
  ['unprotected', 'has no sidecar of ours', 'have no sidecar of ours'],
  ['tooOld', 'has a sidecar that is too old for it', 'have a sidecar that is too old for it'],
  ['kept', 'keeps the last good generation', 'keep the last good generation'],
  ['refused', 'has no last good generation and answers 503', 'have no last good generation and answer 503'],
  ['silent', 'has not answered yet', 'have not answered yet'],
];

/** `generation 7 on 12/12 pods`. */
export function describeEnforcement(counts: Enforcement, generation: number): Finding<'Enforced'> {
  const { matched, enforcing, tooOld } = counts;
  if (matched === 0) return find('Enforced', false, 'NoPods', `generation ${generation} on 0/0 pods: none is selected`);
  const rest = SAID.flatMap(([member, one, more]) => {
    const count = counts[member];
    return count === 0 ? [] : [`${count} ${count === 1 ? one : more}`];
  });
  const message = [`generation ${generation} on ${enforcing}/${matched} pods`, ...rest].join('; ');
  if (enforcing === matched) return find('Enforced', true, 'AllPods', message);
  if (tooOld > 0) return find('Enforced', false, 'SidecarTooOld', message);
  return find('Enforced', false, enforcing > 0 ? 'SomePods' : 'NoPods', message);
}
