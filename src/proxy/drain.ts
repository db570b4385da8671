/** The end of a sidecar: what is in flight ends in order, within a bounded time. */
import type { Ingress } from './ingress.ts';

/** How often it is looked whether everything has ended. */
const LOOK_MS = 20;

/**
 * Stops accepting, closes what is idle, waits for what is in flight, and ends whatever is left after `timeoutMs`:
 * WebSockets and streams end then.
 */
export async function endConnections(ingress: Ingress, timeoutMs: number): Promise<void> {
  ingress.stop();
  closeIdle(ingress);
  await untilEmpty(ingress, timeoutMs);
  for (const connection of ingress.connections()) connection.reset();
  // Sockets tell of their end in a later turn.
  await untilEmpty(ingress, 1000);
}

function closeIdle(ingress: Ingress): void {
  for (const connection of ingress.connections()) connection.closeIdle();
}

function untilEmpty(ingress: Ingress, timeoutMs: number): Promise<void> {
  const isEmpty = (): boolean => ingress.connections()[Symbol.iterator]().next().done === true;
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
      closeIdle(ingress);
    }, LOOK_MS);
    const limit = setTimeout(end, timeoutMs);
  });
}
