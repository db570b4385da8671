/** The step `anyOf` (E2, E3): alternatives in written order, the first that passes wins. */
import type { CompiledAlternative } from '../policy/steps.ts';
import { certificateAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import { tryCertificate } from './certificate-step.ts';
import type { Evidence, EvidenceRequest } from './evidence.ts';
import { tryToken } from './jwt-step.ts';
import { BEARER, CLIENT_CERTIFICATE, isUndecided, object, type Objection } from './objection.ts';
import type { Run } from './run.ts';
import { hasDuplicate, locateToken } from './token-location.ts';
import type { Challenge, Principal } from './verdict.ts';

const NOBODY: Principal = { kind: 'Anonymous', id: '' };
const ANONYMOUS: Attempt = { passed: { principal: NOBODY } };

const NOT_ANONYMOUS = failed(object('NoPolicyMatches', 'a credential was presented'), false);

/** Passes only if nothing was presented for the others: a bad credential never falls back to being nobody (E3). */
function* tryAnonymous(
  run: Run,
  alternatives: readonly CompiledAlternative[],
): Generator<EvidenceRequest, Attempt, Evidence> {
  for (const other of alternatives) {
    if (other.type === 'jwt' && locateToken(run.request, other.jwt) !== undefined) return NOT_ANONYMOUS;
    if (other.type !== 'clientCertificate') continue;
    const answer = certificateAnswer(yield { type: 'certificate', step: other.clientCertificate });
    if (answer.state !== 'absent') return NOT_ANONYMOUS;
  }
  return ANONYMOUS;
}

function tryAlternative(
  run: Run,
  alternative: CompiledAlternative,
  all: readonly CompiledAlternative[],
): Generator<EvidenceRequest, Attempt, Evidence> {
  switch (alternative.type) {
    case 'jwt':
      return tryToken(run, alternative.jwt);
    case 'clientCertificate':
      return tryCertificate(alternative.clientCertificate);
    case 'anonymous':
      return tryAnonymous(run, all);
  }
}

/** Every challenge that would do, each once, in written order. */
function allChallenges(alternatives: readonly CompiledAlternative[]): Challenge[] {
  const challenges = new Set<Challenge>();
  for (const { type } of alternatives) {
    if (type === 'jwt') challenges.add(BEARER);
    if (type === 'clientCertificate') challenges.add(CLIENT_CERTIFICATE);
  }
  return [...challenges];
}

/** E2: undecided before refused, refused before absent, each the first in written order. */
function objectToAll(alternatives: readonly CompiledAlternative[], attempts: readonly Attempt[]): Objection {
  const failures = attempts.flatMap(attempt => (attempt.objection === undefined ? [] : [attempt]));
  const undecided = failures.find(failure => isUndecided(failure.objection));
  if (undecided !== undefined) return undecided.objection;
  const presented = failures.find(failure => failure.presented);
  if (presented !== undefined) return presented.objection;
  const own = failures[0]?.objection ?? object('NoPolicyMatches');
  return { ...own, challenges: allChallenges(alternatives) };
}

/** For `explain`: why each alternative did not pass. */
function tellAll(
  objection: Objection,
  alternatives: readonly CompiledAlternative[],
  attempts: readonly Attempt[],
): Objection {
  const reasons = attempts.map(({ objection: own }, at) => {
    const told = own?.detail === undefined ? '' : ` (${own.detail})`;
    return `${alternatives[at]?.type ?? ''}: ${own?.reason ?? ''}${told}`;
  });
  return { ...objection, detail: reasons.join(', ') };
}

export type AnyOfAttempt = Attempt & { readonly winner?: CompiledAlternative };

export function* tryAnyOf(
  run: Run,
  alternatives: readonly CompiledAlternative[],
): Generator<EvidenceRequest, AnyOfAttempt, Evidence> {
  if (hasDuplicate(run.request, alternatives)) return failed(object('DuplicateCredential'), true);
  const attempts: Attempt[] = [];
  for (const alternative of alternatives) {
    const attempt = yield* tryAlternative(run, alternative, alternatives);
    if (attempt.passed !== undefined) return { ...attempt, winner: alternative };
    attempts.push(attempt);
  }
  const objection = objectToAll(alternatives, attempts);
  return failed(run.context.trace === undefined ? objection : tellAll(objection, alternatives, attempts), false);
}
