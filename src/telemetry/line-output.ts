/** Standard output for log lines: writes in the background, so that a reader who stalls never stalls a request. */
import pino from 'pino';
import type { LogOutput } from './log.ts';

/** What may wait to be written; lines beyond are dropped and counted. */
const MAX_WAITING = 4 * 1024 * 1024;
/** Lines leave together: a write of its own for each would cost more than the request it tells of. */
const BATCH_BYTES = 8 * 1024;
const FLUSH_MS = 100;

export interface LineOutput extends LogOutput {
  /** Writes what waits, blocking. Call it last. */
  flush(): void;
}

export function createLineOutput({ fd = 1, onDrop }: { fd?: number; onDrop: () => void }): LineOutput {
  const destination = pino.destination({
    dest: fd,
    sync: false,
    maxLength: MAX_WAITING,
    minLength: BATCH_BYTES,
    periodicFlush: FLUSH_MS,
  });
  destination.on('drop', onDrop);
  destination.on('error', () => undefined); // the reader went away: serving goes on
  return {
    write: text => void destination.write(text),
    flush: () => {
      try {
        destination.flushSync();
      } catch {
        // Not opened yet, or the reader went away: there is nobody to tell.
      }
    },
  };
}
