/**
 * limits: floor 2. Rate limits by GCRA (ITU-T I.371, the virtual scheduling algorithm), counted in this process: one
 * number a key. May import api/, policy/, decision/ and telemetry/.
 */
import type { RateEvidence, RateRequest } from '../decision/evidence.ts';

export interface Limits {
  /**
   * Admits and counts one call, or refuses it and counts nothing. The burst is `calls`; one more comes back every
   * `period / calls`. `now` in milliseconds since the epoch; when the clock is set back, a key waits one period at most.
   */
  rate(request: RateRequest, now: number): RateEvidence;
  /** Keys held for a counter. */
  size(counter: string): number;
  /** Forgets the counters that no loaded policy names any more. */
  keep(counters: ReadonlySet<string>): void;
}

/**
 * Arrivals are the moments at which a key will have all its calls again, milliseconds since the process began to count
 * (small figures keep their fractions). Other `calls` or `period` after a reload mean the same moments by new figures.
 */
interface Counter {
  /** In the order of the last admitted call, so that what can be forgotten is found at the front. */
  readonly arrivals: Map<string, number>;
  /** All keys together that found the table full (P7). */
  overflow: number;
}

/** Most keys looked at on one insertion: the table shrinks faster than it grows, and no call pays for a sweep. */
const SWEEP = 4;

/** A key that has all its calls again is as good as one never seen. */
function forgetIdle(arrivals: Map<string, number>, now: number): void {
  let looked = 0;
  for (const [key, arrival] of arrivals) {
    if (looked === SWEEP) return;
    looked += 1;
    if (arrival <= now) arrivals.delete(key);
  }
}

/** Whether the key has a place of its own. A full table keeps what it has: a limited key is never evicted. */
function hasPlace(arrivals: Map<string, number>, key: string, maxKeys: number, now: number): boolean {
  if (arrivals.has(key)) return true;
  forgetIdle(arrivals, now);
  return arrivals.size < maxKeys;
}

/** The moment after one more call, by ITU-T I.371; `undefined` when it would come too early. */
function admit(start: number, interval: number, period: number, now: number): number | undefined {
  // Sums of fractions are not exact; a thousandth of a call decides nothing.
  return start + interval - period - now <= interval / 1000 ? start + interval : undefined;
}

function tell(admitted: boolean, arrival: number, interval: number, period: number, now: number): RateEvidence {
  return {
    admitted,
    remaining: Math.max(0, Math.floor((now + period - arrival) / interval + 0.001)),
    retryAfter: admitted ? 0 : (arrival + interval - period - now) / 1000,
    reset: (arrival - now) / 1000,
  };
}

export function createLimits(): Limits {
  const counters = new Map<string, Counter>();
  let origin: number | undefined;
  const counterOf = (name: string): Counter => {
    const known = counters.get(name);
    if (known !== undefined) return known;
    const counter = { arrivals: new Map<string, number>(), overflow: -Infinity };
    counters.set(name, counter);
    return counter;
  };
  return {
    rate({ step, key }, time) {
      const now = time - (origin ??= time);
      const counter = counterOf(step.counter);
      const { arrivals } = counter;
      const own = hasPlace(arrivals, key, step.maxKeys, now);
      const before = own ? (arrivals.get(key) ?? now) : counter.overflow;
      const { calls, periodMs: period } = step;
      const interval = period / calls;
      const start = Math.min(Math.max(before, now), now + period);
      const arrival = admit(start, interval, period, now);
      if (arrival === undefined) return tell(false, start, interval, period, now);
      if (own) {
        arrivals.delete(key);
        arrivals.set(key, arrival);
      } else counter.overflow = arrival;
      return tell(true, arrival, interval, period, now);
    },
    size: name => counters.get(name)?.arrivals.size ?? 0,
    keep: named => {
      for (const name of counters.keys()) if (!named.has(name)) counters.delete(name);
    },
  };
}
