/** Limits counted in a store that all pods share (P7). */
import { createHash } from 'node:crypto';
import type { CountMode, RateEvidence } from '../decision/evidence.ts';
import { tellRate, type Rate } from './gcra.ts';
import type { Quota } from './local-limits.ts';
import { ACQUIRE, QUOTA, RATE, RELEASE, RENEW } from './store-scripts.ts';
import { StoreUnavailable, type Store } from './store.ts';

/** Every call throws StoreUnavailable where the store gives no answer in time. */
export interface SharedLimits {
  rate(place: SharedKey, rate: Rate, mode: CountMode): Promise<RateEvidence>;
  quota(place: SharedKey, quota: Quota, mode: CountMode): Promise<RateEvidence>;
  /** Undefined: as many are open already. */
  acquire(place: SharedKey, max: number): Promise<Lease | undefined>;
  /** Holds one without asking; the store learns of it when it can. */
  hold(place: SharedKey): Lease;
  /** Tells the store again of all that is held, so that it does not forget them. */
  renew(): Promise<void>;
}

export interface SharedKey {
  readonly counter: string;
  readonly key: string;
}

/** Ends it; once. */
export type Lease = () => void;

/** A pod that is gone holds nothing any more after this time. */
export const LEASE_MS = 30_000;
export const RENEW_MS = 10_000;
const RENEWED_AT_ONCE = 500;

/** Keys of callers are not told to the store, and cannot be made to look like another counter's. */
export const nameKey = (type: 'rate' | 'quota' | 'open', { counter, key }: SharedKey): string =>
  `sallyport:${type}:${createHash('sha256').update(`${counter}\0${key}`).digest('base64url').slice(0, 22)}`;

/** `process` tells this process's leases from those of others. */
export function createSharedLimits(store: () => Store | undefined, process: string): SharedLimits {
  const held = new Map<string, Set<string>>();
  let last = 0;
  const ask: Store['run'] = (script, key, args) =>
    store()?.run(script, key, args) ?? Promise.reject(new StoreUnavailable('NO_STORE'));
  const tell = (...asked: Parameters<Store['run']>): void => void ask(...asked).catch(() => undefined);

  const keep = (key: string, lease: string): Lease => {
    const leases = held.get(key) ?? new Set();
    held.set(key, leases.add(lease));
    return () => {
      leases.delete(lease);
      if (leases.size === 0 && held.get(key) === leases) held.delete(key);
      tell(RELEASE, key, [lease]);
    };
  };

  return {
    async rate(place, rate, mode) {
      const reply = await ask(RATE, nameKey('rate', place), [String(rate.interval), String(rate.window), mode]);
      const [admitted, reset] = readNumbers(reply, 2);
      return tellRate(rate, admitted === 1, reset ?? 0);
    },
    async quota(place, { calls, periodMs }, mode) {
      const reply = await ask(QUOTA, nameKey('quota', place), [String(calls), String(periodMs), mode]);
      const [admitted, used = 0, left = 0] = readNumbers(reply, 3);
      const isAdmitted = admitted === 1;
      const remaining = Math.max(0, calls - used);
      return {
        admitted: isAdmitted,
        limit: calls,
        remaining,
        retryAfter: isAdmitted ? 0 : left / 1000,
        reset: left / 1000,
      };
    },
    async acquire(place, max) {
      const [key, lease] = [nameKey('open', place), `${process}-${++last}`];
      try {
        const [isHeld] = readNumbers([await ask(ACQUIRE, key, [String(max), String(LEASE_MS), lease])], 1);
        return isHeld === 1 ? keep(key, lease) : undefined;
      } catch (error) {
        // It may have been taken, and only the answer be lost.
        tell(RELEASE, key, [lease]);
        throw error;
      }
    },
    hold: place => keep(nameKey('open', place), `${process}-${++last}`),
    async renew() {
      const all = [...held].flatMap(([key, leases]) => sliceLeases([...leases]).map(some => [key, some] as const));
      await Promise.all(
        all.map(([key, leases]) => ask(RENEW, key, [String(LEASE_MS), ...leases]).catch(() => undefined)),
      );
    },
  };
}

const sliceLeases = (leases: readonly string[]): readonly (readonly string[])[] =>
  Array.from({ length: Math.ceil(leases.length / RENEWED_AT_ONCE) }, (_, at) =>
    leases.slice(at * RENEWED_AT_ONCE, (at + 1) * RENEWED_AT_ONCE),
  );

/** Somebody else's server answers: what is no list of numbers is no answer. */
function readNumbers(reply: unknown, count: number): readonly number[] {
  const numbers = Array.isArray(reply) ? reply.map(Number) : [];
  if (numbers.length !== count || !numbers.every(Number.isFinite)) throw new StoreUnavailable('BAD_ANSWER');
  return numbers;
}
