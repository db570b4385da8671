/** The step `subscription` (P9), alone or as an alternative of anyOf. */
import type { SubscriptionPlan } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledJwt, CompiledSubscription } from '../policy/steps.ts';
import { subscriptionAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import type { Evidence } from './evidence.ts';
import { object } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';
import { DUPLICATE, isNamed, locate, readsSamePlace, type Located } from './token-location.ts';

const NOT_FOUND: Attempt = failed(object('SubscriptionKeyNotFound'), false);
const UNKNOWN: Attempt = failed(object('SubscriptionKeyInvalid', 'no Subscription has the key'), true);
/** It is no bearer token, so RFC 6750 has no challenge for it. */
const TWICE: Attempt = failed({ reason: 'DuplicateCredential', challenges: [] }, true);

/** The first location that is filled; the header goes before the query (P9). */
export function locateKey(
  request: RequestView,
  { from }: CompiledSubscription,
): { readonly in: string; readonly key: Located } {
  for (const location of from) {
    const key = locate(request, location);
    if (key !== undefined) return { in: location.in, key };
  }
  return { in: '', key: undefined };
}

export function trySubscription(run: Run, step: CompiledSubscription): Asking<Attempt> {
  const { in: place, key } = locateKey(run.request, step);
  if (key === undefined) return NOT_FOUND;
  if (key === DUPLICATE) return TWICE;
  const api = run.route.api.key;
  return new Question({ type: 'subscription', step, api, key, isText: place === 'query' }, answer =>
    judgeKey(run, api, answer),
  );
}

function judgeKey(run: Run, api: string, evidence: Evidence): Attempt {
  const answer = subscriptionAnswer(evidence);
  if (answer.state === 'undecided') return failed(object(answer.reason), true);
  let problem: string | undefined;
  for (const plan of answer.plans) {
    const found = findProblem(plan, api, run.now);
    if (found === undefined) return accept(plan);
    problem ??= `Subscription ${plan.name} ${found}`;
  }
  return problem === undefined ? UNKNOWN : failed(object('SubscriptionKeyInvalid', problem), true);
}

/** For logs and the trace: why a subscription that has the key does not open the Api. */
function findProblem({ isActive, notAfter, covers }: SubscriptionPlan, api: string, now: number): string | undefined {
  if (!covers.has(api)) return 'does not cover this Api';
  if (!isActive) return 'is suspended';
  return now > notAfter ? 'is past its notAfter' : undefined;
}

const accept = ({ name, notAfter }: SubscriptionPlan): Attempt => ({
  passed: {
    principal: { kind: 'Subscription', id: name },
    subscription: name,
    ...(notAfter === Infinity ? {} : { validUntil: notAfter + 1 }),
  },
});

/** Both locations are cut out of what is forwarded, filled or not, in every spelling, also when another alternative won: nobody vouches for the key then. */
export function removeKeys(run: Run, { from }: CompiledSubscription, winner?: CompiledJwt): void {
  for (const location of from) {
    if (winner?.forwardToken === true && readsSamePlace(winner, location)) continue;
    if (isNamed(run.request, location)) run.edits.removeToken(location);
  }
}
