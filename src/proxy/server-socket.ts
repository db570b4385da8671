/** One bound address: hands over what it accepts. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Log } from '../telemetry/telemetry.ts';
import { explainBinding } from './binding.ts';

export interface ServerSocket {
  /** Undefined unless it is bound. */
  readonly address: AddressInfo | undefined;
  /** @throws a sentence that begins with `what`, with the system's code. */
  start(): Promise<void>;
  /** Stops accepting; connections stay. */
  stop(): void;
}

export interface ServerSocketOptions {
  /** Absent: every address of the machine, IPv6 and IPv4 where it has both. */
  readonly host?: string;
  readonly port: number;
  /** What is bound, for problems: the flag and its value. */
  readonly what: string;
  readonly accept: (socket: Socket) => void;
  readonly log: Log;
}

export function createServerSocket({ host, port, what, accept, log }: ServerSocketOptions): ServerSocket {
  let server: Server | undefined;
  return {
    get address() {
      const address = server?.address();
      return typeof address === 'object' && address !== null ? address : undefined;
    },
    start: () =>
      new Promise((resolve, reject) => {
        const made = createServer({
          allowHalfOpen: true,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: 60_000,
        });
        server = made;
        made.on('connection', accept);
        const fail = (error: unknown): void => reject(explainBinding(what, error));
        made.once('error', fail);
        made.listen({ ...(host === undefined ? {} : { host }), port, backlog: 4096 }, () => {
          made.off('error', fail);
          // EMFILE and the like: connections are lost, the process is not.
          made.on('error', () => log.warn({ address: host ?? '', port }, 'accepting failed'));
          resolve();
        });
      }),
    stop: () => void server?.close(),
  };
}
