/** Calls a handler so that what it throws harms nobody and is not lost: the whole set is handed to it again later. */
import type { Log } from '../telemetry/telemetry.ts';
import { createBackoff, type Backoff } from './backoff.ts';

export interface Delivery<Event> {
  deliver(event: Event): void;
  stop(): void;
}

export interface DeliveryOptions<Event> {
  /** May be asynchronous: a rejection counts as a throw. */
  readonly handle: (event: Event) => void | Promise<void>;
  /** What is delivered after a failure: says "look at everything". */
  readonly again: Event;
  readonly log: Log;
  readonly name: string;
  readonly random: () => number;
  readonly retryMinMs?: number;
}

export function createDelivery<Event>(options: DeliveryOptions<Event>): Delivery<Event> {
  const { handle, again, log, name, random, retryMinMs } = options;
  const backoff: Backoff = createBackoff({ random, ...(retryMinMs === undefined ? {} : { minMs: retryMinMs }) });
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function fail(error: unknown): void {
    if (stopped) return;
    const problem = error instanceof Error ? error.message : 'a value that is no Error was thrown';
    log.error({ resource: name, problem }, 'a handler of a watch failed; it gets everything again');
    timer ??= setTimeout(() => {
      timer = undefined;
      deliver(again);
    }, backoff.next());
  }

  function deliver(event: Event): void {
    if (stopped) return;
    try {
      const result = handle(event);
      if (result instanceof Promise) result.then(() => backoff.reset(), fail);
      else if (timer === undefined) backoff.reset();
    } catch (error) {
      fail(error);
    }
  }

  return {
    deliver,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
