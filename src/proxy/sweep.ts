/**
 * One timer for all clocks of the data path. Each connection keeps its deadlines in fields and looks at them when it is
 * swept, so that a request sets and clears no timer. A deadline is noticed at most one interval late, never early.
 */

export interface Sweepable {
  /** `now` as the monotonic clock has it, milliseconds. */
  sweep(now: number): void;
}

export interface Sweep {
  add(item: Sweepable): void;
  remove(item: Sweepable): void;
  /** Sweeps at once; publication of a generation does it, so that open streams are judged again without waiting. */
  run(): void;
  start(): void;
  stop(): void;
}

/** `onError` hears of what an item throws; the others are swept all the same, and the process goes on. */
export function createSweep(monotonic: () => number, onError: (error: unknown) => void, intervalMs = 250): Sweep {
  const items = new Set<Sweepable>();
  let timer: NodeJS.Timeout | undefined;
  const run = (): void => {
    const now = monotonic();
    // Items may leave, and others join, while the set is walked; both are sound for a Set.
    for (const item of items) {
      try {
        item.sweep(now);
      } catch (error) {
        onError(error);
      }
    }
  };
  return {
    add: item => void items.add(item),
    remove: item => void items.delete(item),
    run,
    start: () => {
      timer ??= setInterval(run, intervalMs);
    },
    stop: () => {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
