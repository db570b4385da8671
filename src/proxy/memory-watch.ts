/** Refuses new work while memory is short, so that what is in flight can end and the process is not killed. */
import type { ProxyState } from './shared.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Sweepable } from './sweep.ts';

export interface MemoryWatchDeps {
  /** `--max-memory`. */
  readonly maxBytes: number;
  readonly residentBytes: () => number;
  readonly state: ProxyState;
  readonly log: Log;
}

const REFUSE_ABOVE = 0.95;
/** Admitted again only well below, so that the state does not flutter. */
const ADMIT_BELOW = 0.9;

/** Looks whenever it is swept: reading the resident size costs a few microseconds. */
export function createMemoryWatch({ maxBytes, residentBytes, state, log }: MemoryWatchDeps): Sweepable {
  return {
    sweep: () => {
      const share = residentBytes() / maxBytes;
      const overloaded = share > (state.overloaded ? ADMIT_BELOW : REFUSE_ABOVE);
      if (overloaded === state.overloaded) return;
      state.overloaded = overloaded;
      log.warn(
        { share: Math.round(share * 100) },
        overloaded ? 'memory is short: new requests are refused' : 'memory is back',
      );
    },
  };
}
