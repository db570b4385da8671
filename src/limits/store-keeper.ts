/** The shared store of the generation in force: one connection, kept as long as nothing about it changes. */
import type { Material } from '../material/material.ts';
import type { SharedStorePlan } from '../policy/model.ts';
import { createRedisStore, type RedisStoreOptions } from './redis-store.ts';
import { findPlace } from './store-place.ts';
import type { Store, StoreState } from './store.ts';

export interface StoreStatus extends StoreState {
  /** The ClusterAuthPolicy that names it. */
  readonly policy: string;
}

export interface StoreKeeper {
  /** Undefined: there is none, or it cannot be reached at all. */
  current(): Store | undefined;
  /** What becomes of limits while it is away. */
  denies(): boolean;
  prepare(plan: SharedStorePlan | undefined, material: Material): void;
  /** Resolves when it was tried once. */
  ready(): Promise<void>;
  status(): StoreStatus | undefined;
  close(): Promise<void>;
}

interface Held {
  readonly plan: SharedStorePlan;
  readonly digest: string;
  /** Or why there is none. */
  readonly store: Store | string;
}

export function createStoreKeeper(options: Omit<RedisStoreOptions, 'policy'>): StoreKeeper {
  const { log } = options;
  let held: Held | undefined;
  const open = (plan: SharedStorePlan, material: Material): Held => {
    const { digest, open: openPlace } = findPlace(plan, material);
    if (held?.digest === digest) return { ...held, plan };
    void close();
    const place = openPlace();
    if (typeof place !== 'string')
      return { plan, digest, store: createRedisStore(place, { ...options, policy: plan.policy }) };
    log.error({ policy: plan.policy, code: place }, 'the shared store of limits cannot be used');
    return { plan, digest, store: place };
  };
  const current = (): Store | undefined => (typeof held?.store === 'object' ? held.store : undefined);
  const close = (): Promise<void> => current()?.close() ?? Promise.resolve();
  return {
    current,
    denies: () => held?.plan.onUnavailable === 'Deny',
    prepare(plan, material) {
      if (plan !== undefined) held = open(plan, material);
      else {
        void close();
        held = undefined;
      }
    },
    ready: () => current()?.tried() ?? Promise.resolve(),
    status: () => {
      if (held === undefined) return undefined;
      const { plan, store } = held;
      const state = typeof store === 'string' ? { connected: false, problem: store } : store.state();
      return { policy: plan.policy, ...state };
    },
    close,
  };
}
