/** The step `jwt` (P1), alone or as an alternative of anyOf. */
import type { CompiledJwt } from '../policy/steps.ts';
import { bindingAnswer, tokenAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import type { Evidence } from './evidence.ts';
import { object } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';
import { acceptToken, judgeTimes, tokenValidUntil, type AcceptedToken } from './token-claims.ts';
import { DUPLICATE, locate, locateToken, readsSamePlace } from './token-location.ts';

/** RFC 8705 section 3: the token's confirmation against the certificate of the handshake, verified or not. */
function judgeBinding(token: AcceptedToken, answer: Evidence): Attempt {
  const { confirmation } = token;
  const presented = bindingAnswer(answer);
  const matches = confirmation !== undefined && confirmation === presented;
  return matches ? token.attempt : failed(object('TokenBindingMismatch'), true);
}

export function tryToken(run: Run, jwt: CompiledJwt): Asking<Attempt> {
  const located = locateToken(run.request, jwt);
  if (located === undefined) return failed(object('TokenNotPresent'), false);
  if (located === DUPLICATE) return failed(object('DuplicateCredential'), true);
  return new Question({ type: 'token', step: jwt, token: located }, answer => judgeToken(run, jwt, answer));
}

function judgeToken(run: Run, jwt: CompiledJwt, evidence: Evidence): Asking<Attempt> {
  const answer = tokenAnswer(evidence);
  if (answer.state !== 'verified') return failed(object(answer.reason), true);
  const token = acceptToken(answer.token, jwt);
  const objection = judgeTimes(answer.token, run.now) ?? token.objection;
  if (objection !== undefined) return failed(objection, true);
  if (!jwt.boundToCertificate) return token.attempt;
  return new Question({ type: 'binding' }, presented => judgeBinding(token, presented));
}

/** What an enforced step that passed changes: the headers it sets from claims, and how long a stream may stay open. */
export function applyToken(run: Run, token: AcceptedToken): void {
  for (const header of token.claimHeaders) run.edits.set(header);
  run.limitTo(tokenValidUntil(token.token, run.now));
}

/**
 * `forwardToken: false`: the token is not forwarded, also when another alternative won, since nobody vouches for it then.
 * `winner` keeps its own token if it says so.
 */
export function removeTokens(run: Run, jwt: CompiledJwt, winner: CompiledJwt | undefined): void {
  if (jwt.forwardToken) return;
  for (const location of jwt.from) {
    if (winner?.forwardToken === true && readsSamePlace(winner, location)) continue;
    if (locate(run.request, location) !== undefined) run.edits.removeToken(location);
  }
}
