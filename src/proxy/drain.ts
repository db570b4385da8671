/** The end of a sidecar: what is in flight ends in order, within a bounded time. */
import type { Listener } from './listener.ts';

/** How often it is looked whether everything has ended. */
const LOOK_MS = 20;

/**
 * Stops accepting, closes what is idle, waits for what is in flight, and ends whatever is left after `timeoutMs`:
 * WebSockets and streams end then.
 */
export async function endConnections(listeners: readonly Listener[], timeoutMs: number): Promise<void> {
  for (const listener of listeners) listener.stop();
  closeIdle(listeners);
  await untilEmpty(listeners, timeoutMs);
  for (const { connections } of listeners) for (const connection of connections) connection.reset();
  // Sockets tell of their end in a later turn.
  await untilEmpty(listeners, 1000);
}

function closeIdle(listeners: readonly Listener[]): void {
  for (const { connections } of listeners) for (const connection of connections) connection.closeIdle();
}

function untilEmpty(listeners: readonly Listener[], timeoutMs: number): Promise<void> {
  const isEmpty = (): boolean => listeners.every(({ connections }) => connections.size === 0);
  if (isEmpty() || timeoutMs <= 0) return Promise.resolve();
  return new Promise(resolve => {
    const end = (): void => {
      clearInterval(look);
      clearTimeout(limit);
      resolve();
    };
    const look = setInterval(() => {
      if (isEmpty()) return end();
      // An answer whose head was sent before could not say that its connection ends.
      closeIdle(listeners);
    }, LOOK_MS);
    const limit = setTimeout(end, timeoutMs);
  });
}
