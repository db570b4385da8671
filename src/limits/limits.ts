/**
 * limits: floor 2. Rates, quotas and concurrency (P7): counted in this process, for it or for its part of the workload, or
 * in a store that all pods share. May import api/, policy/, decision/, telemetry/, material/, credentials/ and outbound/.
 */
import type { ConcurrencyRequest, QuotaRequest, RateEvidence, RateRequest } from '../decision/evidence.ts';
import { CouldNotDecide } from '../decision/could-not-decide.ts';
import type { Material } from '../material/material.ts';
import type { ResolveRule } from '../outbound/resolve.ts';
import type { SharedStorePlan } from '../policy/model.ts';
import type { CompiledCount } from '../policy/steps.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createRate } from './gcra.ts';
import { createKeyHash } from './key-hash.ts';
import { createLocalLimits, type Counting } from './local-limits.ts';
import { createSharedLimits, RENEW_MS, type Lease } from './shared-limits.ts';
import { createStoreKeeper, type StoreStatus } from './store-keeper.ts';

type OrPromise<T> = T | Promise<T>;

export interface LimitsOptions {
  /** Ready pods of the workload, this one included; at least 1. */
  readonly readyPods: () => number;
  readonly resolve: readonly ResolveRule[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly monotonic: () => number;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
}

export interface Limits {
  /** Admits and counts, as its mode says. `now`: milliseconds since the epoch. Throws CouldNotDecide. */
  rate(request: RateRequest, now: number): OrPromise<RateEvidence>;
  quota(request: QuotaRequest, now: number): OrPromise<RateEvidence>;
  /** What ends it, to be called once; undefined: as many are open already. Throws CouldNotDecide. */
  acquire(request: ConcurrencyRequest): OrPromise<Lease | undefined>;
  /** The store of the generation that comes into force, if it has one. The same one keeps its connection. */
  prepare(plan: SharedStorePlan | undefined, material: Material): void;
  /** Forgets the counters that no loaded policy names any more. */
  keep(counters: ReadonlySet<string>): void;
  /** Of a counter in this process: keys held, and the bytes of its table. */
  size(counter: string): { readonly keys: number; readonly bytes: number };
  /** Tells the store again of what is open; called every 10 s by itself. */
  renew(): Promise<void>;
  /** Resolves when the store was tried once. */
  ready(): Promise<void>;
  /** Absent: no policy counts in a store. */
  status(): StoreStatus | undefined;
  close(): Promise<void>;
}

export function createLimits(options: LimitsOptions): Limits {
  const { randomBytes } = options;
  const local = createLocalLimits(createKeyHash(randomBytes(8)));
  const stores = createStoreKeeper(options);
  const shared = createSharedLimits(() => stores.current(), Buffer.from(randomBytes(9)).toString('base64url'));
  const renewing = setInterval(() => void shared.renew(), RENEW_MS).unref();
  /** How many a limit is divided by. */
  const podsOf = ({ scope }: CompiledCount): number => (scope === 'Workload' ? options.readyPods() : 1);

  const countHere = (request: RateRequest | QuotaRequest, now: number): RateEvidence => {
    const { step, key, mode } = request;
    const { counter, maxKeys, calls, periodMs } = step;
    const counting: Counting = { counter, key, maxKeys, mode, now };
    return request.type === 'rate'
      ? local.rate(counting, createRate(calls, periodMs, podsOf(step)))
      : local.quota(counting, { calls: divide(calls, podsOf(step)), periodMs });
  };
  const countThere = ({ type, step, key, mode }: RateRequest | QuotaRequest): Promise<RateEvidence> =>
    type === 'rate'
      ? shared.rate({ counter: step.counter, key }, createRate(step.calls, step.periodMs, 1), mode)
      : shared.quota({ counter: step.counter, key }, step, mode);
  /** With the store away, each pod counts for itself or nothing is let in. */
  const otherwise = <T>(count: () => T): T => {
    if (stores.denies()) throw new CouldNotDecide('Overloaded');
    return count();
  };
  const count = (request: RateRequest | QuotaRequest, now: number): OrPromise<RateEvidence> =>
    request.step.scope === 'Shared'
      ? countThere(request).catch(() => otherwise(() => countHere(request, now)))
      : countHere(request, now);

  const acquireHere = ({ step, key }: ConcurrencyRequest): Lease | undefined =>
    local.acquire(step.counter, key, divide(step.max, podsOf(step)));
  const acquireThere = ({ step: { counter, max }, key }: ConcurrencyRequest): Promise<Lease | undefined> =>
    shared.acquire({ counter, key }, max).then(lease => lease && join(lease, local.hold(counter, key)));
  const acquireMeanwhile = (request: ConcurrencyRequest): Lease | undefined => {
    const lease = acquireHere(request);
    return lease && join(lease, shared.hold({ counter: request.step.counter, key: request.key }));
  };

  return {
    rate: count,
    quota: count,
    acquire: request =>
      request.step.scope === 'Shared'
        ? acquireThere(request).catch(() => otherwise(() => acquireMeanwhile(request)))
        : acquireHere(request),
    prepare: (plan, material) => stores.prepare(plan, material),
    keep: counters => local.keep(counters),
    size: counter => local.size(counter),
    renew: () => shared.renew(),
    ready: () => stores.ready(),
    status: () => stores.status(),
    async close() {
      clearInterval(renewing);
      await stores.close();
    },
  };
}

/** A pod's part of what is whole; never nothing. */
const divide = (whole: number, pods: number): number => Math.max(1, Math.floor(whole / pods));

function join(one: Lease, other: Lease): Lease {
  return () => {
    one();
    other();
  };
}
