/** The step `anyOf` (E2, E3): alternatives in written order, the first that passes wins. */
import type { CompiledAlternative } from '../policy/steps.ts';
import { certificateAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import { tryCertificate } from './certificate-step.ts';
import { tryToken } from './jwt-step.ts';
import { API_KEY, BEARER, CLIENT_CERTIFICATE, isUndecided, object, SIGNATURE, type Objection } from './objection.ts';
import { Question, whenKnown, type Asking } from './question.ts';
import type { Run } from './run.ts';
import { isSigned } from './signature-header.ts';
import { trySignature } from './signature-step.ts';
import { locateKey, trySubscription } from './subscription-step.ts';
import { hasDuplicate, locateToken } from './token-location.ts';
import type { Challenge, Principal } from './verdict.ts';

const NOBODY: Principal = { kind: 'Anonymous', id: '' };
const ANONYMOUS: Attempt = { passed: { principal: NOBODY } };

const NOT_ANONYMOUS = failed(object('NoPolicyMatches', 'a credential was presented'), false);

/** Passes only if nothing was presented for the others: a bad credential never falls back to being nobody (E3). */
function tryAnonymous(run: Run, alternatives: readonly CompiledAlternative[], from = 0): Asking<Attempt> {
  for (let at = from; at < alternatives.length; at++) {
    const other = alternatives[at];
    if (other?.type === 'jwt' && locateToken(run.request, other.jwt) !== undefined) return NOT_ANONYMOUS;
    if (other?.type === 'subscription' && locateKey(run.request, other.subscription).key !== undefined) {
      return NOT_ANONYMOUS;
    }
    if (other?.type === 'hmacSignature' && isSigned(run.request, other.hmacSignature)) return NOT_ANONYMOUS;
    if (other?.type !== 'clientCertificate') continue;
    return new Question<Attempt>({ type: 'certificate', step: other.clientCertificate }, answer =>
      certificateAnswer(answer).state === 'absent' ? tryAnonymous(run, alternatives, at + 1) : NOT_ANONYMOUS,
    );
  }
  return ANONYMOUS;
}

function tryAlternative(
  run: Run,
  alternative: CompiledAlternative,
  all: readonly CompiledAlternative[],
): Asking<Attempt> {
  switch (alternative.type) {
    case 'jwt':
      return tryToken(run, alternative.jwt);
    case 'clientCertificate':
      return tryCertificate(alternative.clientCertificate);
    case 'subscription':
      return trySubscription(run, alternative.subscription);
    case 'hmacSignature':
      return trySignature(run, alternative.hmacSignature);
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
    if (type === 'subscription') challenges.add(API_KEY);
    if (type === 'hmacSignature') challenges.add(SIGNATURE);
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

export function tryAnyOf(run: Run, alternatives: readonly CompiledAlternative[]): Asking<AnyOfAttempt> {
  if (hasDuplicate(run.request, alternatives)) return failed(object('DuplicateCredential'), true);
  return tryFrom(run, alternatives, []);
}

/** Goes on after as many alternatives as were tried without success. */
function tryFrom(
  run: Run,
  alternatives: readonly CompiledAlternative[],
  attempts: readonly Attempt[],
): Asking<AnyOfAttempt> {
  const alternative = alternatives[attempts.length];
  if (alternative === undefined) return objectTo(run, alternatives, attempts);
  return whenKnown(tryAlternative(run, alternative, alternatives), attempt => {
    if (attempt.passed !== undefined) return { passed: attempt.passed, winner: alternative };
    return tryFrom(run, alternatives, [...attempts, attempt]);
  });
}

function objectTo(run: Run, alternatives: readonly CompiledAlternative[], attempts: readonly Attempt[]): AnyOfAttempt {
  const objection = objectToAll(alternatives, attempts);
  return failed(run.context.trace === undefined ? objection : tellAll(objection, alternatives, attempts), false);
}
