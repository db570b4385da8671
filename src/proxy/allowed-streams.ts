/** Connections to ports without an Api that an allowance lets pass unjudged (S9): counted, shown, and ended with it. */
import type { Socket } from 'node:net';
import { findOpening } from '../policy/allowances.ts';
import { DEFAULT_LIMITS } from '../policy/default-limits.ts';
import type { AllowancePlan } from '../policy/model.ts';
import { createAdmission } from './admission.ts';
import { foldAddress } from './client-address.ts';
import type { Generation } from './generation.ts';
import type { OpenConnection } from './ingress.ts';
import type { SocketAddress } from './options.ts';
import type { Refusals } from './refusals.ts';
import { resetSocket } from './reset-socket.ts';
import type { Shared } from './shared.ts';
import { openTcpStream } from './tcp-stream.ts';

export interface AllowedStreams {
  /** Streams that are not allowed any more end. */
  publish(generation: Generation): void;
  /** The allowance by which ports without an Api are open now. */
  opening(): AllowancePlan | undefined;
  accept(socket: Socket, destination: SocketAddress, allowance: AllowancePlan): void;
  readonly connections: ReadonlySet<OpenConnection>;
  /** For status: by port, the first 256 of them. */
  list(): readonly { readonly port: number; readonly policy: string; readonly open: number; readonly total: number }[];
}

interface AllowedStream extends OpenConnection {
  readonly port: number;
}

interface Tally {
  policy: string;
  open: number;
  total: number;
}

const MOST_PORTS = 256;
const CONNECT_MS = 1000;

export function createAllowedStreams(shared: Shared, refusals: Refusals): AllowedStreams {
  const { clock, sweep, monotonic, telemetry } = shared;
  const admission = createAdmission();
  const streams = new Set<AllowedStream>();
  const tallies = new Map<number, Tally>();
  let generation: Generation | undefined;

  const opening = (): AllowancePlan | undefined => findOpening(generation?.snapshot.allowances ?? [], clock());
  const endForbidden = (): void => {
    if (streams.size === 0) return;
    const allowed = opening() !== undefined;
    for (const stream of streams) {
      if (!allowed || generation?.snapshot.listeners.has(stream.port) === true) stream.reset();
    }
  };
  // An allowance ends by itself, too.
  sweep.add({ sweep: endForbidden });

  const tally = (port: number, policy: string): Tally | undefined => {
    let found = tallies.get(port);
    if (found === undefined && tallies.size < MOST_PORTS) {
      found = { policy, open: 0, total: 0 };
      tallies.set(port, found);
      telemetry.log.warn(
        { port, policy },
        'connections to this port pass unjudged: no Api selects it, and an allowance opens it',
      );
    }
    if (found !== undefined) found.policy = policy;
    return found;
  };

  return {
    publish: next => {
      generation = next;
      endForbidden();
    },
    opening,
    accept: (client, destination, { policy }) => {
      client.on('error', () => undefined);
      const refused = shared.state.overloaded
        ? 'Overloaded'
        : admission.admit(client, foldAddress(client.remoteAddress ?? ''), DEFAULT_LIMITS);
      if (refused !== undefined) {
        refusals(refused);
        return resetSocket(client);
      }
      telemetry.metrics.count('sallyport_allowed_connections_total', { policy });
      const count = tally(destination.port, policy);
      if (count !== undefined) {
        count.open++;
        count.total++;
      }
      const stream = openTcpStream({
        client,
        raw: client,
        target: {
          key: '',
          address: destination,
          speaks: 'HTTP1',
          timeouts: { connect: CONNECT_MS, response: 0, idle: 0, poolIdle: 0 },
        },
        dialling: shared.dialling,
        sweep,
        monotonic,
        idleMs: Infinity,
        onClosed: () => {
          streams.delete(entry);
          if (count !== undefined) count.open--;
        },
      });
      // It has no requests between which it could end.
      const entry: AllowedStream = {
        port: destination.port,
        closed: false,
        get heldBytes() {
          return client.writableLength;
        },
        closeIdle: () => undefined,
        reset: () => stream.reset(),
      };
      streams.add(entry);
    },
    connections: streams,
    list: () => [...tallies].map(([port, counts]) => ({ port, ...counts })).sort((a, b) => a.port - b.port),
  };
}
