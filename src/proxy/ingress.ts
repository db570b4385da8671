/** Where connections come in: the addresses of the command line, the port that they are redirected to, or the pod's own. */
import type { AddressInfo } from 'node:net';
import { showAddress } from './binding.ts';
import { findPlan, type Generation } from './generation.ts';
import { createListener, type Listener } from './listener.ts';
import type { ListenAddress } from './options.ts';
import { createRefusals } from './refusals.ts';
import { createServerSocket } from './server-socket.ts';
import type { Shared } from './shared.ts';

export interface OpenConnection {
  readonly closed: boolean;
  /** Bytes of answers that its client has not taken yet. */
  readonly heldBytes: number;
  /** Closes it if nothing is in flight. */
  closeIdle(): void;
  reset(): void;
}

export interface Ingress {
  /** One for each port that is served, or still has connections. */
  listeners(): Iterable<Listener>;
  /** Of clients, judged or let pass by an allowance. */
  connections(): Iterable<OpenConnection>;
  /** Why the sidecar is not ready, beside certificates; empty: nothing is missing. Said to whoever asks the health port. */
  problems(): readonly string[];
  /** @throws a sentence when an address cannot be bound that must be. */
  start(): Promise<void>;
  publish(generation: Generation): void;
  /** Stops accepting and ends handshakes; connections stay. */
  stop(): void;
  /** Bound ones. */
  addresses(): readonly AddressInfo[];
  /** Ports on which the app can be reached past the sidecar (AppExposed); empty where nothing can come past. */
  exposedPorts(): readonly number[];
  /** Ports that were dialled and that no Api has now; empty where nobody can dial any. */
  closedPorts(): readonly number[];
  /** Members for status. */
  status(): Readonly<Record<string, unknown>>;
}

/** `--listen`: one listener for each address, in the order of the command line. */
export function createFixedIngress(addresses: readonly ListenAddress[], shared: Shared): Ingress {
  const { log } = shared.telemetry;
  const entries = addresses.map(listen => {
    const socket = createServerSocket({
      host: listen.host,
      port: listen.port,
      what: `--listen ${showAddress(listen)}`,
      accept: accepted => listener.accept(accepted),
      log,
    });
    const boundPort = (): number => socket.address?.port ?? listen.port;
    const listener = createListener({
      name: () => showAddress({ host: listen.host, port: boundPort() }),
      findPlan: snapshot => findPlan(snapshot, listen.apiPort, boundPort()),
      shared,
      refusals: createRefusals(shared.telemetry, shared.monotonic),
    });
    return { socket, listener };
  });
  const listeners = entries.map(({ listener }) => listener);
  let current: Generation | undefined;
  return {
    listeners: () => listeners,
    *connections() {
      for (const { connections } of listeners) yield* connections;
    },
    problems: () => listeners.filter(({ unserved }) => unserved).map(describeUnserved),
    start: async () => {
      await Promise.all(entries.map(({ socket }) => socket.start()));
      // The port that was bound may be what finds the Api.
      if (current !== undefined) for (const listener of listeners) listener.publish(current);
    },
    publish: generation => {
      current = generation;
      for (const listener of listeners) listener.publish(generation);
    },
    stop: () => {
      for (const { socket, listener } of entries) {
        socket.stop();
        listener.stop();
      }
    },
    addresses: () => entries.flatMap(({ socket }) => socket.address ?? []),
    exposedPorts: () => [],
    closedPorts: () => [],
    status: () => ({ listeners: entries.map(({ socket, listener }) => describeListener(listener, socket.address)) }),
  };
}

/** Why the sidecar is not ready; holds nothing but what the command line says. */
export const describeUnserved = ({ name }: Listener): string => `no Api serves ${name}`;

/** S6: a port whose Apis cannot be parsed. A port without any is no problem where connections are intercepted: it is closed. */
export const describeHeld = (listeners: Iterable<Listener>): string[] =>
  [...listeners].filter(({ active }) => active?.plan.held === true).map(({ name }) => `no valid Api serves ${name}`);

export function describeListener(
  { active, connections, ready }: Listener,
  address: AddressInfo | undefined,
): Readonly<Record<string, unknown>> {
  return {
    address: address === undefined ? '' : showAddress({ host: address.address, port: address.port }),
    apiPort: active?.plan.port ?? 0,
    tls: active?.plan.tls?.mode ?? 'None',
    connections: connections.size,
    ready,
  };
}
