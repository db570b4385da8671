/** Takes the header of the PROXY protocol off a connection, before TLS and before HTTP (M3a). */
import type { Socket } from 'node:net';
import { readProxyHeader } from './proxy-protocol.ts';

/** Senders write it in one piece with the connection. */
const HEADER_MS = 10_000;

/**
 * `done` gets the client's address, or undefined where the sender speaks for itself; the socket rests meanwhile, with what
 * came behind the header put back. `refuse` is called for what is no header, or too late; the socket is still open then.
 */
export function takeProxyHeader(socket: Socket, done: (source: string | undefined) => void, refuse: () => void): void {
  let held: Buffer | undefined;
  const leave = (): void => {
    clearTimeout(timer);
    socket.off('data', look).off('end', end).off('close', leave);
  };
  const end = (): void => {
    leave();
    // Whoever only opens and closes is no failure: probes of platforms do it all day.
    if (held === undefined) socket.destroy();
    else refuse();
  };
  const look = (chunk: Buffer): void => {
    held = held === undefined ? chunk : Buffer.concat([held, chunk]);
    const header = readProxyHeader(held);
    if (header.kind === 'more') return;
    leave();
    if (header.kind === 'bad') return refuse();
    socket.pause();
    if (header.bytes < held.length) socket.unshift(held.subarray(header.bytes));
    done(header.source);
  };
  const timer = setTimeout(end, HEADER_MS);
  socket.on('data', look).on('end', end).on('close', leave);
}
