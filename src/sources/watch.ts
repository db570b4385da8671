/** Says when a folder may have changed: events of the file system, and a slow poll for what makes none. */
import { watch, type FSWatcher } from 'node:fs';
import type { Log } from '../telemetry/telemetry.ts';
import { errorCode } from './error-code.ts';

export interface WatchOptions {
  readonly pollMs: number;
  /** A text that changes whenever what is looked at does. */
  readonly sign: (directory: string) => Promise<string>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Calls `look` after changes, one call at a time; a change during a call causes one more. The poll sees what events miss:
 * a swapped link on the way to the folder, network file systems, a folder that is made later.
 */
export function watchDirectory(
  directory: string,
  { pollMs, sign, log, signal }: WatchOptions,
  look: () => Promise<void>,
): { close: () => Promise<void> } {
  let watcher: FSWatcher | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let seen: string | undefined;

  function wake(): void {
    again = true;
    running ??= run();
  }

  function takeWish(): boolean {
    const wished = again && !signal.aborted;
    again = false;
    return wished;
  }

  async function run(): Promise<void> {
    while (takeWish()) {
      try {
        await look();
      } catch (error) {
        if (!signal.aborted) log.error({ directory, code: errorCode(error) }, 'configuration could not be read');
      }
    }
    running = undefined;
  }

  function watchEvents(): void {
    try {
      watcher = watch(directory, wake);
      watcher.on('error', stopEvents);
    } catch {
      // The folder is not there or events are exhausted: the poll tries again.
      watcher = undefined;
    }
  }

  function stopEvents(): void {
    watcher?.close();
    watcher = undefined;
  }

  async function poll(): Promise<void> {
    const now = await sign(directory);
    if (seen !== undefined && now !== seen) {
      // The folder itself may be another one now, which the old watcher does not see.
      stopEvents();
      wake();
    }
    seen = now;
    if (watcher === undefined && !signal.aborted) watchEvents();
  }

  watchEvents();
  // What changed between the first reading and now made no event.
  wake();
  const timer = setInterval(() => void poll(), pollMs);
  return {
    async close() {
      clearInterval(timer);
      stopEvents();
      await running;
    },
  };
}
