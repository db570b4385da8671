/** The pool of each target, by everything that makes connections interchangeable; targets of routes, worked out once. */
import type { Reason } from '../api/reasons.ts';
import type { ObjectKey } from '../api/object.ts';
import type { AppPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { FindPlace } from './app-place.ts';
import { findTarget, type AppTarget, type Speaks } from './app-target.ts';
import type { AppCertificate, Generation } from './generation.ts';
import type { ProxyDeps, SocketAddress } from './options.ts';
import { createPool, type Pool, type PoolDeps } from './pool.ts';

export type Reached = { readonly target: AppTarget; readonly pool: Pool } | { readonly reason: Reason };

export interface Pools {
  /**
   * The app of a route in this generation, with the certificate credential that applies (S5). `port` is the Api's, `dialled`
   * the pod's address that the client connected to, where that matters; `speaks` what is spoken there.
   */
  find(
    generation: Generation,
    app: AppPlan,
    port: number,
    dialled: string | undefined,
    credential: ObjectKey | undefined,
    speaks: Speaks,
  ): Reached;
  markStale(): void;
  close(): void;
  count(): { readonly idle: number; readonly open: number };
}

interface Remembered {
  readonly certificate: AppCertificate | undefined;
  readonly reached: Reached;
}

interface Place {
  readonly port: number;
  readonly dialled: string | undefined;
  readonly credential: ObjectKey | undefined;
  readonly speaks: Speaks;
  readonly text: string;
}

export interface PoolsDeps extends PoolDeps {
  readonly findPlace: FindPlace;
  readonly resolve: ProxyDeps['resolve'];
  readonly log: Log;
}

export function createPools(deps: PoolsDeps): Pools {
  const pools = new Map<string, Pool>();
  const remembered = new WeakMap<Generation, Map<AppPlan, Map<string, Remembered>>>();
  /** Most requests come for the same place as the one before. */
  let last: Place = { port: 0, dialled: undefined, credential: undefined, speaks: 'Auto', text: '' };

  const findPool = (target: AppTarget): Pool => {
    let pool = pools.get(target.key);
    if (pool === undefined) {
      pool = createPool(target, deps);
      pools.set(target.key, pool);
    }
    return pool;
  };
  const reach = (
    generation: Generation,
    app: AppPlan,
    address: SocketAddress | undefined,
    certificate: AppCertificate | undefined,
    speaks: Speaks,
  ) => {
    const found = findTarget({
      app,
      speaks,
      material: generation.material,
      resolve: deps.resolve,
      ...(certificate === undefined ? {} : { credential: certificate }),
      ...(address === undefined ? {} : { address }),
    });
    if ('target' in found) return { target: found.target, pool: findPool(found.target) };
    deps.log.error({ reason: found.reason, problem: found.problem, namespace: app.namespace }, 'app cannot be reached');
    return { reason: found.reason };
  };

  return {
    find: (generation, app, port, dialled, credential, speaks) => {
      const { credentials } = generation;
      const certificate = credential === undefined ? undefined : credentials.clientCertificate(credential, app.host);
      // A mesh certificate that is missing must not turn into a call without one.
      if (credential !== undefined && certificate === undefined) return { reason: 'CredentialUnavailable' };
      const byApp = getOrMake(remembered, generation, () => new Map<AppPlan, Map<string, Remembered>>());
      const byPlace = getOrMake(byApp, app, () => new Map<string, Remembered>());
      if (last.port !== port || last.dialled !== dialled || last.credential !== credential || last.speaks !== speaks) {
        last = { port, dialled, credential, speaks, text: `${speaks} ${port} ${dialled ?? ''} ${credential ?? ''}` };
      }
      const known = byPlace.get(last.text);
      if (known !== undefined && known.certificate === certificate) return known.reached;
      const reached = reach(generation, app, deps.findPlace(app, port, dialled), certificate, speaks);
      byPlace.set(last.text, { certificate, reached });
      return reached;
    },
    markStale: () => {
      for (const [key, pool] of pools) {
        if (pool.open === 0) {
          pool.close();
          pools.delete(key);
        } else pool.markStale();
      }
    },
    close: () => {
      for (const pool of pools.values()) pool.close();
      pools.clear();
    },
    count: () => {
      let [idle, open] = [0, 0];
      for (const pool of pools.values()) [idle, open] = [idle + pool.idle, open + pool.open];
      return { idle, open };
    },
  };
}

function getOrMake<K extends object, V>(
  map: { get(key: K): V | undefined; set(key: K, value: V): unknown },
  key: K,
  make: () => V,
): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
