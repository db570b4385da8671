/** The step `rateLimit` (P7): who counts is an argument, what it means is here. */
import type { CompiledRateLimit, CompiledStep } from '../policy/steps.ts';
import { rateAnswer } from './answers.ts';
import type { Evidence, RateEvidence } from './evidence.ts';
import { foundNothing } from './finding.ts';
import { object, objectToFailure, type Objection } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';

/**
 * RateLimit fields of draft-ietf-httpapi-ratelimit-headers. The policies are numbered, since names of policies and steps
 * are not told to clients.
 */
function announce(run: Run, limit: CompiledRateLimit, answer: RateEvidence): void {
  const name = `"limit-${run.responseHeaders.length / 2 + 1}"`;
  const window = Math.ceil(limit.periodMs / 1000);
  run.addResponseHeader({ name: 'RateLimit-Policy', value: `${name};q=${limit.calls};w=${window}` });
  run.addResponseHeader({ name: 'RateLimit', value: `${name};r=${answer.remaining};t=${Math.ceil(answer.reset)}` });
}

function pass(run: Run, step: CompiledStep): undefined {
  run.record(foundNothing(step));
}

export function countCall(run: Run, step: CompiledStep, limit: CompiledRateLimit): Asking<Objection | undefined> {
  let key = limit.key.literal;
  try {
    key ??= limit.key.render(run.bindingsOf(step));
  } catch (error) {
    return objectToFailure(error, 'key');
  }
  // Counters of an Audit policy have no effect (S8), and an open stream was counted when it was opened (M7).
  if (step.origin.audit || run.context.rejudge === true) return pass(run, step);
  return new Question({ type: 'rate', step: limit, key }, answer => judgeRate(run, step, limit, answer));
}

function judgeRate(run: Run, step: CompiledStep, limit: CompiledRateLimit, evidence: Evidence): Objection | undefined {
  const answer = rateAnswer(evidence);
  if ('reason' in answer) return object(answer.reason);
  if (limit.headers) announce(run, limit, answer);
  if (answer.admitted) return pass(run, step);
  return { ...object('RateLimitExceeded'), retryAfter: Math.max(1, Math.ceil(answer.retryAfter)) };
}
