/**
 * Transparent interception: rules of the kernel bring every TCP connection of the pod to one port, and each one's original
 * destination tells which Api it is for. A port without an Api is reset (M1) unless an allowance opens it (S9).
 */
import type { Socket } from 'node:net';
import type { FindDestination } from '../interception/original-destination.ts';
import { createAllowedStreams } from './allowed-streams.ts';
import { describeHeld, describeListener, type Ingress } from './ingress.ts';
import type { Interception } from './options.ts';
import { createPortListeners } from './port-listeners.ts';
import { createRefusals } from './refusals.ts';
import { createRefusedPorts } from './refused-ports.ts';
import { createServerSocket } from './server-socket.ts';
import type { Shared } from './shared.ts';

type Options = Extract<Interception, { mode: 'transparent' }>;

export function createInterceptedIngress({ port: proxyPort, openDestinations }: Options, shared: Shared): Ingress {
  const { log } = shared.telemetry;
  const refusals = createRefusals(shared.telemetry, shared.monotonic);
  const refused = createRefusedPorts(log, refusals);
  const allowed = createAllowedStreams(shared, refusals);
  const ports = createPortListeners(shared, refusals);

  let findDestination: FindDestination = () => ({ why: 'NoOriginalDestination' });

  const accept = (socket: Socket): void => {
    const found = findDestination(socket);
    if ('why' in found) return refused.refuse(socket, found.why, found.why === 'SidecarPort' ? proxyPort : undefined);
    const listener = ports.find(found.port);
    if (listener !== undefined) return listener.accept(socket, found.host);
    const opening = allowed.opening();
    if (opening === undefined) return refused.refuse(socket, 'NoApi', found.port);
    allowed.accept(socket, found, opening);
  };
  const socket = createServerSocket({ port: proxyPort, what: `--proxy-port ${proxyPort}`, accept, log });

  return {
    listeners: () => ports.all.values(),
    *connections() {
      for (const { connections } of ports.all.values()) yield* connections;
      yield* allowed.connections;
    },
    problems: () => describeHeld(ports.all.values()),
    start: async () => {
      findDestination = await openDestinations();
      await socket.start();
    },
    publish: generation => {
      ports.publish(generation);
      allowed.publish(generation);
    },
    stop: () => {
      socket.stop();
      for (const listener of ports.all.values()) listener.stop();
    },
    exposedPorts: () => [],
    closedPorts: () =>
      allowed.opening() === undefined ? refused.withoutApi().filter(port => ports.find(port) === undefined) : [],
    addresses: () => (socket.address === undefined ? [] : [socket.address]),
    status: () => ({
      interception: 'transparent',
      listeners: [...ports.all.values()].map(listener => describeListener(listener, socket.address)),
      refusedPorts: refused.list(),
      allowedPorts: allowed.list(),
    }),
  };
}
