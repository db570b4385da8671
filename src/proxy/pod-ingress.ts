/**
 * Explicit interception, where no rules may be written: the sidecar listens at the pod's own addresses on the port of each Api,
 * and the app at 127.0.0.1 on the same port. An app that listens on more than that is reached past the sidecar: it is looked
 * for, and shown.
 */
import type { AddressInfo, Socket } from 'node:net';
import { parseIpv4, parseIpv6 } from '../api/cidr.ts';
import { createExposedPorts, type ListeningSocket } from '../interception/exposed-ports.ts';
import { toHex } from '../interception/local-addresses.ts';
import { readCode, showAddress } from './binding.ts';
import { describeHeld, describeListener, type Ingress } from './ingress.ts';
import type { Interception } from './options.ts';
import { createPortListeners } from './port-listeners.ts';
import { createRefusals } from './refusals.ts';
import { createServerSocket, type ServerSocket } from './server-socket.ts';
import type { Shared } from './shared.ts';

type Options = Extract<Interception, { mode: 'explicit' }>;

interface Place {
  readonly host: string;
  readonly port: number;
  readonly socket: ServerSocket;
  /** Why it is not bound; absent: it is, or is about to be. */
  problem?: string;
  triedAt: number;
}

/** An app that starts later, or moves to loopback, must not wait for long. */
const RETRY_MS = 5000;

/** `others` are addresses that the sidecar has bound elsewhere: its health port. */
export function createPodIngress(
  { podAddresses, readFile }: Options,
  shared: Shared,
  others: () => readonly AddressInfo[],
): Ingress {
  const { telemetry, monotonic, sweep } = shared;
  const { log, metrics } = telemetry;
  const ports = createPortListeners(shared, createRefusals(telemetry, monotonic));
  const places = new Map<string, Place>();
  let started = false;

  const bind = async (place: Place): Promise<void> => {
    place.triedAt = monotonic();
    try {
      await place.socket.start();
      if (place.problem !== undefined) log.info({ address: showAddress(place) }, 'bound at last');
      delete place.problem;
      // The port may have lost its Api meanwhile.
      if (!places.has(showAddress(place))) place.socket.stop();
    } catch (error) {
      const problem = explainUnbound(place, readCode(error));
      if (place.problem !== problem) log.error({ address: showAddress(place), code: readCode(error) }, problem);
      place.problem = problem;
    }
  };
  const open = (port: number): readonly Place[] =>
    podAddresses.map(host => {
      const accept = (socket: Socket): void => {
        const listener = ports.find(port);
        if (listener === undefined) socket.destroy();
        else listener.accept(socket, host);
      };
      const socket = createServerSocket({ host, port, what: showAddress({ host, port }), accept, log });
      const place: Place = { host, port, socket, triedAt: 0 };
      places.set(showAddress(place), place);
      return place;
    });
  const close = (port: number): void => {
    for (const [key, place] of places) {
      if (place.port !== port) continue;
      places.delete(key);
      place.socket.stop();
    }
  };
  const addresses = (): readonly AddressInfo[] => [...places.values()].flatMap(({ socket }) => socket.address ?? []);
  const exposed = createExposedPorts({
    readFile,
    own: () => [...addresses(), ...others()].map(describeSocket),
    onChange: found => {
      metrics.gauge('sallyport_app_exposed_ports', found.length);
      if (found.length > 0) log.warn({ ports: found }, EXPOSED);
      else log.info({}, 'the app listens on loopback alone');
    },
  });
  sweep.add({
    sweep: now => {
      if (!started) return;
      for (const place of places.values()) {
        if (place.problem !== undefined && now - place.triedAt >= RETRY_MS) void bind(place);
      }
    },
  });

  return {
    listeners: () => ports.all.values(),
    *connections() {
      for (const { connections } of ports.all.values()) yield* connections;
    },
    problems: () => [
      ...describeHeld(ports.all.values()),
      ...[...places.values()].flatMap(({ problem }) => problem ?? []),
    ],
    start: async () => {
      started = true;
      await Promise.all([...places.values()].map(bind));
      metrics.gauge('sallyport_app_exposed_ports', 0);
      await exposed.look();
      exposed.start();
    },
    publish: generation => {
      const { opened, closed } = ports.publish(generation);
      for (const port of closed) close(port);
      const made = opened.flatMap(open);
      if (started) for (const place of made) void bind(place);
    },
    stop: () => {
      exposed.stop();
      started = false;
      for (const { socket } of places.values()) socket.stop();
      for (const listener of ports.all.values()) listener.stop();
    },
    addresses,
    exposedPorts: () => exposed.ports(),
    closedPorts: () => [],
    status: () => ({
      interception: 'explicit',
      listeners: [...places.values()].map(({ port, socket }) => {
        const listener = ports.find(port);
        return listener === undefined ? { apiPort: port } : describeListener(listener, socket.address);
      }),
      appExposed: exposed.ports(),
    }),
  };
}

const EXPOSED =
  'the app listens on more than 127.0.0.1 at these ports: whoever reaches the pod reaches them past the sidecar; ' +
  'let it listen on 127.0.0.1 alone';

function explainUnbound(place: Place, code: string): string {
  const address = showAddress(place);
  if (code === 'EADDRINUSE') {
    return `${address} cannot be bound: the app listens on more than 127.0.0.1; let it listen on 127.0.0.1:${place.port} alone`;
  }
  if (code === 'EADDRNOTAVAIL') return `${address} cannot be bound: the pod has no such address; mend --pod-ips`;
  if (code === 'EACCES')
    return `${address} cannot be bound: ports below 1024 need a right that the sidecar does not have`;
  return `${address} cannot be bound (${code})`;
}

const describeSocket = ({ address, port }: AddressInfo): ListeningSocket => ({
  address: toHex(parseIpv4(address) ?? parseIpv6(address.split('%', 1).join('')) ?? []),
  port,
});
