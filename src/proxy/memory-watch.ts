/** Refuses new work while memory is short, so that what is in flight can end and the process is not killed. */
import type { ProxyState } from './shared.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Sweepable } from './sweep.ts';

export interface Memory {
  /** Resident bytes of the process: what the platform counts, and kills for. */
  resident(): number;
  /** Bytes of it that something needs, garbage included until `collect`. The rest is used again before more is taken. */
  needed(): number;
  /** Collects garbage and gives back what it can. Takes tens of milliseconds. */
  collect(): void;
}

export interface MemoryWatchDeps {
  /** `--max-memory`. */
  readonly maxBytes: number;
  readonly memory: Memory;
  readonly state: ProxyState;
  readonly log: Log;
}

const REFUSE_ABOVE = 0.95;
/** Admitted again only well below, so that the state does not flutter. */
const ADMIT_BELOW = 0.85;
/** Garbage is collected at most this often. */
const COLLECT_MS = 1000;

/**
 * Resident memory alone would shut the door for good: after one burst most of it is garbage that nobody collects in an
 * idle process, or is held by allocators for the next burst. So past the line it is collected, and what is needed decides.
 */
export function createMemoryWatch({ maxBytes, memory, state, log }: MemoryWatchDeps): Sweepable {
  let collectedAt = -Infinity;
  const isOver = (): boolean => memory.needed() > (state.overloaded ? ADMIT_BELOW : REFUSE_ABOVE) * maxBytes;
  const change = (overloaded: boolean): void => {
    state.overloaded = overloaded;
    log.warn(
      { share: Math.round((memory.needed() / maxBytes) * 100) },
      overloaded ? 'memory is short: new requests are refused' : 'memory is back',
    );
  };
  return {
    sweep: now => {
      if (!state.overloaded && memory.resident() <= REFUSE_ABOVE * maxBytes) return;
      if (isOver() && now - collectedAt >= COLLECT_MS) {
        collectedAt = now;
        memory.collect();
        if (!state.overloaded && isOver()) return change(true);
      }
      if (state.overloaded && !isOver()) change(false);
    },
  };
}
