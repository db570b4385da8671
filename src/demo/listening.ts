/** Servers of the demo: HTTPS on a loopback port that the system chooses. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type Server, type ServerOptions, createServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';

export const LOOPBACK = '127.0.0.1';

export interface Listening {
  readonly port: number;
  /** Ends every connection, at once. */
  close(): Promise<void>;
}

export async function startHttps(options: ServerOptions, listener: RequestListener): Promise<Listening> {
  const server = createServer(options, listener);
  server.on('tlsClientError', () => undefined); // a peer that was refused: the demo shows it on the other side
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return { port: readPort(server), close: () => stop(server) };
}

/** A port that nobody listens on now. */
export async function findFreePort(): Promise<number> {
  const server = createTcpServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const port = readPort(server);
  server.close();
  await once(server, 'close');
  return port;
}

function readPort(server: Pick<Server, 'address'>): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
