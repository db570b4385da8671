/** Ends a connection so that the other side cannot take what it got for the whole. */
import type { Socket } from 'node:net';

/**
 * A reset at once. By itself `resetAndDestroy` sends what is buffered and a FIN first, which an HTTP/1.0 client would take
 * for the end of the body, and waits for a client that does not read; the `destroy` that follows prevents both.
 */
export function resetSocket(socket: Socket): void {
  // After a FIN the system refuses to reset.
  if (!socket.writableEnded && !socket.destroyed) socket.resetAndDestroy();
  socket.destroy();
}
