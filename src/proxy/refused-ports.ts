/** Connections to ports that nobody serves: reset, counted by reason and by port, told once for each port. */
import type { Socket } from 'node:net';
import type { Log } from '../telemetry/telemetry.ts';
import type { Refusals, RefusedWhy } from './refusals.ts';
import { resetSocket } from './reset-socket.ts';

export interface RefusedPorts {
  /** `port` is the one that was dialled; undefined: nobody knows. */
  refuse(socket: Socket, why: RefusedWhy, port?: number): void;
  /** For status: the ports that were dialled, and how often, the first 256 of them. */
  list(): readonly { readonly port: number; readonly refused: number }[];
  /** Those without an Api when they were dialled, in the order of their first dial, as many as `list` has. */
  withoutApi(): readonly number[];
}

/** A scan of all ports must not fill the log, nor memory. */
const MOST_PORTS = 256;

const SENTENCES: ReadonlyMap<RefusedWhy, string> = new Map<RefusedWhy, string>([
  ['NoApi', 'connections to this port are reset: no Api selects it, and no allowance opens it'],
  ['SidecarPort', 'connections to the sidecar’s own port are reset: dial the port of the app'],
  ['ForeignDestination', 'connections to addresses that are none of this pod’s are reset'],
  ['NoOriginalDestination', 'connections that were not redirected are reset: dial the port of the app'],
]);

export function createRefusedPorts(log: Log, refusals: Refusals): RefusedPorts {
  const ports = new Map<number, { refused: number }>();
  const told = new Set<string>();
  const withoutApi = new Set<number>();
  const tell = (why: RefusedWhy, port: number | undefined): void => {
    const key = `${why} ${port ?? ''}`;
    if (told.size >= MOST_PORTS || told.has(key)) return;
    told.add(key);
    log.warn({ reason: why, ...(port === undefined ? {} : { port }) }, SENTENCES.get(why) ?? 'connections are reset');
    if (told.size === MOST_PORTS)
      log.warn({}, 'many ports are dialled that nobody serves: further ones are only counted');
  };
  return {
    refuse: (socket, why, port) => {
      refusals(why);
      socket.on('error', () => undefined);
      resetSocket(socket);
      tell(why, port);
      if (port === undefined) return;
      if (why === 'NoApi' && withoutApi.size < MOST_PORTS) withoutApi.add(port);
      const known = ports.get(port);
      if (known !== undefined) known.refused++;
      else if (ports.size < MOST_PORTS) ports.set(port, { refused: 1 });
    },
    withoutApi: () => [...withoutApi],
    list: () => [...ports].map(([port, { refused }]) => ({ port, refused })).sort((a, b) => a.port - b.port),
  };
}
