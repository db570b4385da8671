/** Limits counted in this process (P7): bounded tables, lost with it. */
import type { CountMode, RateEvidence } from '../decision/evidence.ts';
import { judgeRate, type Rate } from './gcra.ts';
import type { KeyHash } from './key-hash.ts';
import { createKeyTable, type KeyTable } from './key-table.ts';

export interface Counting {
  /** Names the counter, whose keys are told apart by `key`. */
  readonly counter: string;
  readonly key: string;
  /** Keys with a counter of their own; past it new ones share one. */
  readonly maxKeys: number;
  readonly mode: CountMode;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Quota {
  readonly calls: number;
  readonly periodMs: number;
}

export interface LocalLimits {
  rate(counting: Counting, rate: Rate): RateEvidence;
  quota(counting: Counting, quota: Quota): RateEvidence;
  /** What ends it, to be called once; undefined: as many are open already. */
  acquire(counter: string, key: string, max: number): (() => void) | undefined;
  /** Holds one more, however many there are. */
  hold(counter: string, key: string): () => void;
  /** Keys held for a counter, and the bytes of its table. */
  size(counter: string): { readonly keys: number; readonly bytes: number };
  /** Forgets the counters that no loaded policy names any more. */
  keep(counters: ReadonlySet<string>): void;
}

interface Counter {
  readonly table: KeyTable;
  /** Of all keys together that found the table full (P7). */
  until: number;
  count: number;
}

export function createLocalLimits(hash: KeyHash): LocalLimits {
  const counters = new Map<string, Counter>();
  const open = new Map<string, Map<string, number>>();
  // Moments count from the first: small figures keep their fractions.
  let origin: number | undefined;
  const counterOf = (name: string): Counter => {
    const known = counters.get(name);
    if (known !== undefined) return known;
    const counter = { table: createKeyTable(hash), until: 0, count: 0 };
    counters.set(name, counter);
    return counter;
  };
  const sinceOrigin = (now: number): number => {
    // A clock that is set back further than that begins anew; what was remembered is cut to one window.
    if (origin === undefined || now < origin) origin = now;
    return now - origin;
  };
  const hold = (counter: string, key: string): (() => void) => {
    const keys = open.get(counter) ?? new Map<string, number>();
    open.set(counter, keys.set(key, (keys.get(key) ?? 0) + 1));
    return () => {
      const left = (keys.get(key) ?? 1) - 1;
      if (left > 0) keys.set(key, left);
      else keys.delete(key);
      if (keys.size === 0 && open.get(counter) === keys) open.delete(counter);
    };
  };

  return {
    rate: (counting, rate) => {
      const now = sinceOrigin(counting.now);
      const counter = counterOf(counting.counter);
      const place = findPlace(counter, counting, now);
      const { evidence, arrival } = judgeRate(rate, untilOf(counter, place), now, counting.mode);
      if (arrival !== undefined) remember(counter, place, arrival, 0);
      return evidence;
    },
    quota: (counting, { calls, periodMs }) => {
      const now = sinceOrigin(counting.now);
      const counter = counterOf(counting.counter);
      const place = findPlace(counter, counting, now);
      // A clock that is set back makes no window longer than a period.
      const end = Math.min(untilOf(counter, place), now + periodMs);
      const used = end > now ? countOf(counter, place) : 0;
      const admitted = used < calls;
      const isCounted = counting.mode === 'count' || (counting.mode === 'admit' && admitted);
      const until = used > 0 ? end : now + periodMs;
      if (isCounted) remember(counter, place, until, used + 1);
      const left = (until - now) / 1000;
      const remaining = Math.max(0, calls - used - (isCounted ? 1 : 0));
      return { admitted, limit: calls, remaining, retryAfter: admitted ? 0 : left, reset: left };
    },
    acquire: (counter, key, max) => ((open.get(counter)?.get(key) ?? 0) < max ? hold(counter, key) : undefined),
    hold,
    size: name => {
      const table = counters.get(name)?.table;
      return { keys: table?.size ?? 0, bytes: table?.bytes ?? 0 };
    },
    keep: named => {
      for (const name of counters.keys()) if (!named.has(name)) counters.delete(name);
    },
  };
}

/** No place of its own: the counter that all keys share which found the table full (P7). */
const SHARED = -1;
/** Looked at only, and never counted. */
const UNSEEN = -2;

/** A full table keeps what it has: a limited key is never evicted. */
function findPlace({ table }: Counter, { key, maxKeys, mode }: Counting, now: number): number {
  if (mode !== 'look') return table.place(key, now, maxKeys);
  const place = table.find(key);
  return place < 0 && table.size < maxKeys ? UNSEEN : place;
}

const untilOf = ({ table, until }: Counter, place: number): number =>
  place >= 0 ? table.until(place) : place === SHARED ? until : 0;

const countOf = ({ table, count }: Counter, place: number): number =>
  place >= 0 ? table.count(place) : place === SHARED ? count : 0;

function remember(counter: Counter, place: number, until: number, count: number): void {
  if (place >= 0) counter.table.set(place, until, count);
  else {
    counter.until = until;
    counter.count = count;
  }
}
