/** Ends what holds most and refuses new work while memory is short, so that what is in flight can end and the process is not killed. */
import type { ProxyState } from './shared.ts';
import type { Shed } from './shedding.ts';
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
  /** Ends what holds most; nothing, if that would not help. Asked at most once a second while memory is short. */
  readonly shed?: () => Shed;
}

const REFUSE_ABOVE = 0.95;
/** Admitted again only well below, so that the state does not flutter. */
const ADMIT_BELOW = 0.85;
/** Garbage is collected at most this often. */
const COLLECT_MS = 1000;
/** What only allocators hold is given back at most this often, and only when the limit itself is passed. */
const TRIM_MS = 5000;
const NOTHING: Shed = { ended: 0, bytes: 0 };

/**
 * Resident memory alone would shut the door for good: after one burst most of it is garbage that nobody collects in an
 * idle process, or is held by allocators for the next burst. So past the line it is collected, and what is needed decides.
 */
export function createMemoryWatch({ maxBytes, memory, state, log, shed }: MemoryWatchDeps): Sweepable {
  let collectedAt = -Infinity;
  const isOver = (): boolean => memory.needed() > (state.overloaded ? ADMIT_BELOW : REFUSE_ABOVE) * maxBytes;
  const change = (overloaded: boolean): void => {
    state.overloaded = overloaded;
    log.warn(
      { share: Math.round((memory.needed() / maxBytes) * 100) },
      overloaded ? 'memory is short: new requests are refused' : 'memory is back',
    );
  };
  const relieve = (): void => {
    const { ended, bytes } = shed?.() ?? NOTHING;
    if (ended === 0) return;
    // They give it up in a moment: who is refused meanwhile is not refused for long.
    collectedAt = -Infinity;
    log.warn({ ended, bytes }, 'memory is short: connections whose clients take no answers were ended');
  };
  const isDue = (now: number, resident: number): boolean => {
    if (isOver()) return now - collectedAt >= COLLECT_MS;
    return resident > maxBytes && now - collectedAt >= TRIM_MS;
  };
  return {
    sweep: now => {
      const resident = memory.resident();
      if (!state.overloaded && resident <= REFUSE_ABOVE * maxBytes) return;
      if (isDue(now, resident)) {
        collectedAt = now;
        memory.collect();
        if (isOver()) relieve();
        if (!state.overloaded && isOver()) return change(true);
      }
      if (state.overloaded && !isOver()) change(false);
    },
  };
}
