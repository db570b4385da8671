/** The virtual scheduling algorithm of ITU-T I.371 (GCRA) with a burst of a whole period's calls: one moment a key (P7). */
import type { CountMode, RateEvidence } from '../decision/evidence.ts';

export interface Rate {
  /** Milliseconds from which one more call comes back. */
  readonly interval: number;
  /** Milliseconds in which all of them do; never shorter than one interval. */
  readonly window: number;
  /** Whole calls of a burst. */
  readonly limit: number;
}

/** `calls` a period over `pods` that share it. Less than one call a period is one call each few periods. */
export function createRate(calls: number, periodMs: number, pods: number): Rate {
  const interval = (periodMs * pods) / calls;
  return { interval, window: Math.max(periodMs, interval), limit: Math.max(1, Math.floor(calls / pods)) };
}

export interface Judged {
  readonly evidence: RateEvidence;
  /** The moment at which the key will have all its calls again, to be remembered; undefined: nothing was counted. */
  readonly arrival: number | undefined;
}

/** `before`: what was remembered, `now` if nothing was. When the clock was set back, a key waits one window at most. */
export function judgeRate(rate: Rate, before: number, now: number, mode: CountMode): Judged {
  const { interval, window } = rate;
  const start = Math.min(Math.max(before, now), now + window);
  // Sums of fractions are not exact; a thousandth of a call decides nothing.
  const isEarly = start + interval - window - now > interval / 1000;
  const isCounted = mode === 'count' || (mode === 'admit' && !isEarly);
  const arrival = isCounted ? start + interval : start;
  return { evidence: tellRate(rate, !isEarly, arrival - now), arrival: isCounted ? arrival : undefined };
}

/** `reset`: milliseconds until the key has all its calls again. */
export function tellRate({ interval, window, limit }: Rate, admitted: boolean, reset: number): RateEvidence {
  return {
    admitted,
    limit,
    remaining: Math.max(0, Math.floor((window - reset) / interval + 0.001)),
    retryAfter: admitted ? 0 : (reset + interval - window) / 1000,
    reset: reset / 1000,
  };
}
