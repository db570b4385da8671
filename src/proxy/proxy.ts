/** The data path as a whole: starts listeners, publishes generations, drains, stops. */
import type { AddressInfo } from 'node:net';
import { createAddressGuard, createGuardedLookup } from '../outbound/address.ts';
import type { Generation } from './generation.ts';
import { createListener, type Listener } from './listener.ts';
import type { ProxyDeps } from './options.ts';
import { createPools } from './pools.ts';
import { createRequestIds } from './request-id.ts';
import { createDate, type ProxyState, type Shared } from './shared.ts';
import { createSweep } from './sweep.ts';

export interface Proxy {
  /** @throws the system's error when an address cannot be bound. */
  start(): Promise<void>;
  publish(generation: Generation): void;
  /** Not ready, every answer closes its connection; never stops accepting. */
  drain(): void;
  /** Ends what is in flight in order, and whatever is left after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
  addresses(): readonly AddressInfo[];
}

export function createProxy(deps: ProxyDeps): Proxy {
  const sweep = createSweep(deps.monotonic);
  const state: ProxyState = { draining: false, overloaded: false };
  const isForbidden = createAddressGuard();
  const guard = { isForbidden, lookup: createGuardedLookup(isForbidden) };
  const { monotonic, clock, telemetry, apps, resolve } = deps;
  const pools = createPools({ apps, resolve, guard, monotonic, sweep, log: telemetry.log });
  const ids = createRequestIds(deps.randomBytes);
  const shared: Shared = { telemetry, clock, monotonic, ids, pools, sweep, state, date: createDate(clock) };
  const listeners: Listener[] = deps.listen.map(listen => createListener(listen, shared));
  let current: Generation | undefined;

  return {
    start: async () => {
      await Promise.all(listeners.map(listener => listener.start()));
      if (current !== undefined) for (const listener of listeners) listener.publish(current);
      sweep.start();
    },
    publish: generation => {
      current = generation;
      for (const listener of listeners) listener.publish(generation);
      pools.markStale();
      sweep.run();
    },
    drain: () => {
      state.draining = true;
    },
    stop: async () => {
      for (const listener of listeners) {
        listener.stop();
        for (const connection of listener.connections) connection.reset();
      }
      pools.close();
      sweep.stop();
      return Promise.resolve();
    },
    addresses: () => listeners.flatMap(listener => listener.address ?? []),
  };
}
