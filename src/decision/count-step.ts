/** The steps `rateLimit`, `quota` and `concurrency` (P7): who counts is an argument, what it means is here. */
import type { Reason } from '../api/reasons.ts';
import type {
  CompiledConcurrency,
  CompiledCount,
  CompiledQuota,
  CompiledRateLimit,
  CompiledStep,
} from '../policy/steps.ts';
import { leaseAnswer, rateAnswer } from './answers.ts';
import type { Evidence, QuotaRequest, RateEvidence, RateRequest } from './evidence.ts';
import { foundNothing } from './finding.ts';
import { object, objectToFailure, type Objection } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';

/** A call that was admitted by looking, and is counted, or not, when its answer is there (`countWhen`). */
export interface PendingCount {
  readonly request: RateRequest | QuotaRequest;
  /** E8: an expression that fails counts. */
  readonly counts: (response: Readonly<Record<string, unknown>>) => boolean;
}

/**
 * RateLimit fields of draft-ietf-httpapi-ratelimit-headers. The policies are numbered, since names of policies and steps
 * are not told to clients.
 */
function announce(run: Run, limit: CompiledRateLimit, answer: RateEvidence): void {
  const name = `"limit-${run.responseHeaders.filter(header => header.name === 'RateLimit').length + 1}"`;
  const window = Math.ceil(limit.periodMs / 1000);
  run.addResponseHeader({ name: 'RateLimit-Policy', value: `${name};q=${answer.limit};w=${window}` });
  run.addResponseHeader({ name: 'RateLimit', value: `${name};r=${answer.remaining};t=${Math.ceil(answer.reset)}` });
}

function pass(run: Run, step: CompiledStep): undefined {
  run.record(foundNothing(step));
}

/** The key for this request, or why there is none. */
function renderKey(run: Run, step: CompiledStep, { key }: CompiledCount): string | Objection {
  try {
    return key.literal ?? key.render(run.bindingsOf(step));
  } catch (error) {
    return objectToFailure(error, 'key');
  }
}

/** An open stream was counted when it was opened (M7). */
const isCounted = (run: Run): boolean => run.context.rejudge === true;

type Counting =
  | { readonly type: 'rate'; readonly limit: CompiledRateLimit }
  | { readonly type: 'quota'; readonly limit: CompiledQuota };

const EXCEEDED: Readonly<Record<Counting['type'], Reason>> = { rate: 'RateLimitExceeded', quota: 'QuotaExceeded' };

export function countRate(run: Run, step: CompiledStep, limit: CompiledRateLimit): Asking<Objection | undefined> {
  return count(run, step, { type: 'rate', limit });
}

export function countQuota(run: Run, step: CompiledStep, limit: CompiledQuota): Asking<Objection | undefined> {
  return count(run, step, { type: 'quota', limit });
}

function count(run: Run, step: CompiledStep, counting: Counting): Asking<Objection | undefined> {
  const key = renderKey(run, step, counting.limit);
  if (typeof key !== 'string') return key;
  if (isCounted(run)) return pass(run, step);
  const mode = counting.limit.countWhen === undefined ? 'admit' : 'look';
  return new Question({ type: counting.type, step: counting.limit, key, mode } as RateRequest | QuotaRequest, answer =>
    judgeCount(run, step, counting, key, answer),
  );
}

function judgeCount(
  run: Run,
  step: CompiledStep,
  { type, limit }: Counting,
  key: string,
  evidence: Evidence,
): Objection | undefined {
  const answer = rateAnswer(evidence);
  if ('reason' in answer) return object(answer.reason);
  // S8: what an Audit policy counts is told to nobody.
  if (type === 'rate' && limit.headers && !step.origin.audit) announce(run, limit, answer);
  if (!answer.admitted) {
    return { ...object(EXCEEDED[type]), retryAfter: Math.max(1, Math.ceil(answer.retryAfter)) };
  }
  const { countWhen } = limit;
  if (countWhen !== undefined) {
    run.countLater({
      request: { type, step: limit, key, mode: 'count' } as RateRequest | QuotaRequest,
      counts: response => isTrue(() => countWhen.evaluate(run.bindingsOf(step, response))),
    });
  }
  return pass(run, step);
}

function isTrue(evaluate: () => unknown): boolean {
  try {
    return evaluate() !== false;
  } catch {
    return true;
  }
}

export function takeLease(run: Run, step: CompiledStep, limit: CompiledConcurrency): Asking<Objection | undefined> {
  const key = renderKey(run, step, limit);
  if (typeof key !== 'string') return key;
  if (isCounted(run)) return pass(run, step);
  return new Question({ type: 'concurrency', step: limit, key }, evidence => {
    const answer = leaseAnswer(evidence);
    if ('reason' in answer) return object(answer.reason);
    return answer.leased ? pass(run, step) : object('ConcurrencyExceeded');
  });
}
