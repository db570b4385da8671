/** The data path as a whole: starts listeners, publishes generations, drains, stops. */
import type { AddressInfo, Server } from 'node:net';
import { MOST_TIMEOUT_MS } from '../api/probe-replay.ts';
import { createAddressGuard, createGuardedLookup } from '../outbound/address.ts';
import { bindAdminSocket, createAdminHandler } from './admin.ts';
import { createPlaceFinder } from './app-place.ts';
import { createAnnouncer } from './announce.ts';
import { explainBinding, showAddress } from './binding.ts';
import { endConnections } from './drain.ts';
import type { Generation } from './generation.ts';
import { createHealthHandler } from './health.ts';
import { createFixedIngress, type Ingress } from './ingress.ts';
import { createInterceptedIngress } from './intercepted-ingress.ts';
import { createMemoryWatch } from './memory-watch.ts';
import type { MovedProbes, ProxyDeps, SocketAddress } from './options.ts';
import { createPodIngress } from './pod-ingress.ts';
import { createPools } from './pools.ts';
import { createProbeReplays, type ReplayProbe } from './probe-replays.ts';
import { createProbeTargets } from './probe-target.ts';
import { createRequestIds } from './request-id.ts';
import { shedLargest, type Shed } from './shedding.ts';
import { createServicePort, type ServiceOptions, type ServicePort } from './service-port.ts';
import { createNameTable } from '../http/message.ts';
import { createDate, type ProxyState, type Shared } from './shared.ts';
import { createSweep } from './sweep.ts';

export interface Proxy {
  /** Binds every address, the health port and the admin socket. @throws a sentence when one cannot be bound. */
  start(): Promise<void>;
  /** In force from the next request head on; open streams are judged again. May be called before start. */
  publish(generation: Generation): void;
  /** Not ready, every answer closes its connection; never stops accepting. */
  drain(): void;
  /** Ends what is in flight in order, whatever is left after `timeoutMs` at once, and releases every address. */
  stop(timeoutMs: number): Promise<void>;
  /** What the admin socket shows. Never a secret. */
  status(): Readonly<Record<string, unknown>>;
  /** Of the listeners, in the order of `deps.listen`; empty before start. */
  addresses(): readonly AddressInfo[];
  readonly healthAddress: AddressInfo | undefined;
  /** Ports on which the app can be reached past the sidecar (AppExposed): explicit interception only. */
  exposedPorts(): readonly number[];
  /** Ports without an Api that were dialled and are reset: transparent interception only. */
  closedPorts(): readonly number[];
}

/** A replayed probe takes as long as the app does, up to the probe's own timeout. */
const HEALTH_PORT: ServiceOptions = { takesBodies: false, patienceMs: 5000, handlingMs: MOST_TIMEOUT_MS };
const ADMIN_SOCKET: ServiceOptions = { takesBodies: true, patienceMs: 10_000 };

/** As much as Node reads at once. */
const READ_BYTES = 128 * 1024;

export function createProxy(deps: ProxyDeps): Proxy {
  const state: ProxyState = { draining: false, overloaded: false };
  const shared = createShared(deps, state);
  const { pools, sweep } = shared;
  const { log, metrics } = deps.telemetry;
  const ingress = openIngress(deps, shared, () => health.server.address());
  let current: Generation | undefined;
  let started = false;
  let stopping = false;
  const announcer = createAnnouncer({
    findPlace: createPlaceFinder(deps),
    intercepted: deps.interception !== undefined,
    log,
  });

  const findProblems = (): readonly string[] => [
    ...(current === undefined ? ['no policy is loaded'] : []),
    ...(deps.problems?.() ?? []),
    ...ingress.problems(),
    ...([...ingress.listeners()].every(({ ready }) => ready) ? [] : ['a certificate of a listener is missing']),
    ...(state.draining ? ['draining'] : []),
  ];
  const drain = (): void => {
    if (!state.draining) log.info({}, 'draining');
    state.draining = true;
  };
  const status = (): Readonly<Record<string, unknown>> => ({
    generation: current?.snapshot.generation ?? 0,
    hash: current?.snapshot.hash ?? '',
    ready: findProblems().length === 0,
    notReady: findProblems(),
    draining: state.draining,
    overloaded: state.overloaded,
    ...ingress.status(),
    appConnections: pools.count(),
    notices: current?.snapshot.notices ?? [],
    ...deps.describe?.(),
  });

  const { probes } = deps;
  const health = createServicePort(
    createHealthHandler({
      problems: findProblems,
      exposition: deps.exposition,
      publicKeys: deps.publicKeys,
      ...(probes === undefined ? {} : { replayProbe: createReplay(probes, deps, () => current) }),
    }),
    HEALTH_PORT,
  );
  const admin = createServicePort(
    createAdminHandler({
      status,
      drain,
      ...(deps.setLogLevel === undefined ? {} : { setLogLevel: deps.setLogLevel }),
      ...(deps.explain === undefined ? {} : { explain: deps.explain }),
    }),
    ADMIN_SOCKET,
  );
  const { maxMemoryBytes: maxBytes, memory } = deps;
  if (maxBytes !== undefined) {
    const shed = (): Shed => shedLargest(ingress.connections(), maxBytes);
    sweep.add(createMemoryWatch({ maxBytes, memory, state, log, shed }));
  }
  sweep.add({
    sweep: () => {
      let count = 0;
      for (const connection of ingress.connections()) if (!connection.closed) count++;
      metrics.gauge('sallyport_connections', count);
    },
  });

  return {
    start: async () => {
      try {
        await ingress.start();
        if (deps.health !== undefined) await bindHealth(health, deps.health);
        if (deps.adminSocket !== undefined) await bindAdminSocket(admin.server, deps.adminSocket);
      } catch (error) {
        ingress.stop();
        health.close();
        admin.close();
        throw error;
      }
      started = true;
      announcer.start(ingress.listeners());
      if (current !== undefined) announcer.warn(ingress.listeners(), current);
      sweep.start();
    },
    publish: generation => {
      current = generation;
      ingress.publish(generation);
      if (started) announcer.warn(ingress.listeners(), generation);
      pools.markStale();
      sweep.run();
    },
    drain,
    stop: async timeoutMs => {
      if (stopping) return;
      stopping = true;
      state.draining = true;
      await endConnections(ingress, timeoutMs);
      pools.close();
      sweep.stop();
      health.close();
      admin.close();
    },
    status,
    addresses: () => ingress.addresses(),
    exposedPorts: () => ingress.exposedPorts(),
    closedPorts: () => ingress.closedPorts(),
    get healthAddress() {
      const address = health.server.address();
      return typeof address === 'object' && address !== null ? address : undefined;
    },
  };
}

const createReplay = (
  probes: MovedProbes,
  { monotonic }: ProxyDeps,
  current: () => Generation | undefined,
): ReplayProbe => createProbeReplays({ replays: probes.replays, find: createProbeTargets(probes, current), monotonic });
function openIngress(deps: ProxyDeps, shared: Shared, healthAddress: () => ReturnType<Server['address']>): Ingress {
  const { interception, listen } = deps;
  switch (interception?.mode) {
    case 'transparent':
      return createInterceptedIngress(interception, shared);
    case 'explicit':
      return createPodIngress(interception, shared, () => {
        const address = healthAddress();
        return typeof address === 'object' && address !== null ? [address] : [];
      });
    case undefined:
      return createFixedIngress(listen, shared);
  }
}

function createShared(deps: ProxyDeps, state: ProxyState): Shared {
  const { monotonic, clock, telemetry, resolve } = deps;
  const sweep = createSweep(monotonic, error => {
    // Reading the resident size fails when descriptors have run out.
    telemetry.log.warn({ error: error instanceof Error ? error.name : typeof error }, 'a periodic check failed');
  });
  const isForbidden = createAddressGuard();
  const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const dialling = { isForbidden, lookup: createGuardedLookup(isForbidden), readBuffer };
  const findPlace = createPlaceFinder(deps);
  const names = createNameTable();
  const pools = createPools({ findPlace, resolve, dialling, monotonic, sweep, names, log: telemetry.log });
  const ids = createRequestIds(deps.randomBytes);
  return { telemetry, clock, monotonic, ids, pools, dialling, sweep, state, names, date: createDate(clock) };
}

function bindHealth({ server }: ServicePort, { host, port }: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(explainBinding(`--health ${showAddress({ host, port })}`, error));
    server.once('error', fail);
    server.listen({ ...(host === '' ? {} : { host }), port }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
