/** Calls that were admitted by looking: counted, or not, when their answer is there (P7 `countWhen`). */
import type { PendingCount } from '../decision/count-step.ts';
import { responseBinding, type Answer } from '../decision/response.ts';
import type { LimitAnswers } from './generation.ts';

/** `answer` undefined: there is none, and every one counts (E8). */
export function settleCounts(
  pending: readonly PendingCount[],
  answer: Answer | undefined,
  limits: LimitAnswers,
  now: number,
): void {
  const response = answer && responseBinding(answer);
  for (const { request, counts } of pending) {
    if (response !== undefined && !counts(response)) continue;
    // The request is answered, whatever becomes of its count.
    count(request, limits, now).catch(() => undefined);
  }
}

async function count(request: PendingCount['request'], limits: LimitAnswers, now: number): Promise<void> {
  await (request.type === 'rate' ? limits.rate(request, now) : limits.quota(request, now));
}
