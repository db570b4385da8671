/** How long to wait after failures: doubling with jitter, so that a thousand pods do not come back at once. */
import { setTimeout as wait } from 'node:timers/promises';

export interface Backoff {
  /** Milliseconds to wait after one more failure; at least `floorMs` (a server’s Retry-After). */
  next(floorMs?: number): number;
  reset(): void;
}

export interface BackoffOptions {
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Default 800 ms. */
  readonly minMs?: number;
  /** Default 30 s. */
  readonly maxMs?: number;
}

/** After a server’s Retry-After. */
const SPREAD_MS = 5000;

export function createBackoff({ random, minMs = 800, maxMs = 30_000 }: BackoffOptions): Backoff {
  let failures = 0;
  return {
    next(floorMs = 0) {
      const full = Math.min(maxMs, minMs * 2 ** Math.min(failures, 20));
      failures += 1;
      // Those who were told when to come back come later, spread the wider the more often they were told: a server that
      // says "in a second" to a thousand would have them all again.
      return floorMs > 0 ? floorMs + random() * Math.min(full, SPREAD_MS) : full * (0.5 + random() / 2);
    },
    reset: () => void (failures = 0),
  };
}

/** False: `signal` ended the wait. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await wait(ms, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
