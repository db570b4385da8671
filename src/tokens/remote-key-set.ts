/**
 * Fetched keys. Fetched again in the background after cache.maxAge, after failures with back-off and jitter; the last good
 * keys serve until maxAge + maxStale after they were fetched. There is one fetch at a time, so answers cannot overtake one
 * another, and a closed set takes no answer.
 */
import type { Log } from '../telemetry/telemetry.ts';
import { KeyFetchError, type FetchedKeys } from './key-fetch.ts';
import { hasSameKeys, type KeyList } from './key-list.ts';
import type { KeySet, KeySetStatus } from './key-set.ts';

/** Runs something later; the answer cancels it. Never keeps the process alive. */
export type Later = (milliseconds: number, run: () => void) => () => void;

export interface RemoteKeySetOptions {
  /** For the log: `namespace/name` of the TokenIssuer. */
  readonly name: string;
  readonly load: () => Promise<FetchedKeys>;
  /** From TokenIssuer.issuer, known without asking. */
  readonly issuer: string | undefined;
  readonly cache: { readonly maxAge: number; readonly unknownKidCooldown: number; readonly maxStale: number };
  readonly clock: () => number;
  readonly later: Later;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Gets the keys after every fetch that was good. */
  readonly keep?: ((good: Inherited) => void) | undefined;
  /** Keys that were good under the same source and issuer before something else about it changed. */
  readonly inherited?: Inherited | undefined;
}

export interface Inherited {
  readonly issuer: string;
  readonly list: KeyList;
  readonly fetchedAt: number;
}

export interface RemoteKeySet extends KeySet {
  inheritance(): Inherited | undefined;
}

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export function createRemoteKeySet(options: RemoteKeySetOptions): RemoteKeySet {
  const { cache, clock, later, random, log } = options;
  let good = options.inherited;
  let generation = 0;
  let failures = 0;
  let lastError = '';
  let unknownAskedAt = -Infinity;
  let inFlight: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let closed = false;

  const accept = (fetched: FetchedKeys): void => {
    const changed = good === undefined || good.issuer !== fetched.issuer || !hasSameKeys(good.list, fetched.list);
    if (changed) generation++;
    good = { issuer: fetched.issuer, list: changed ? fetched.list : (good ?? fetched).list, fetchedAt: clock() };
    failures = 0;
    lastError = '';
    options.keep?.(good);
    if (!changed) return;
    const { keys, problems } = fetched.list;
    log.info({ issuer: options.name, keys: keys.length, refused: problems }, 'the issuer’s keys were fetched');
  };
  const fail = (error: unknown): void => {
    failures++;
    lastError = error instanceof KeyFetchError ? error.code : 'FAILED';
    const detail = error instanceof KeyFetchError ? error.detail : undefined;
    const fields = {
      issuer: options.name,
      code: lastError,
      detail,
      failures,
      keysInForce: good?.list.keys.length ?? 0,
    };
    log.warn(fields, 'the issuer’s keys could not be fetched');
  };
  const schedule = (): void => {
    cancel?.();
    if (closed) return;
    const backoff = Math.min(MAX_RETRY_MS, cache.maxAge, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
    cancel = later(failures === 0 ? cache.maxAge * (0.9 + 0.1 * random()) : backoff * (0.5 + 0.5 * random()), () => {
      void attempt();
    });
  };
  const attempt = (): Promise<void> => {
    inFlight ??= options
      .load()
      .then(
        fetched => {
          if (!closed) accept(fetched);
        },
        (error: unknown) => {
          if (!closed) fail(error);
        },
      )
      .finally(() => {
        inFlight = undefined;
        first = undefined;
        schedule();
      });
    return inFlight;
  };

  const usableUntil = (): number => (good === undefined ? -Infinity : good.fetchedAt + cache.maxAge + cache.maxStale);
  let first: Promise<void> | undefined;
  first = attempt();

  return {
    issuer: () => options.issuer ?? good?.issuer,
    current: now => (now < usableUntil() ? good?.list : undefined),
    generation: () => generation,
    // With keys at hand nobody needs to wait for newer ones.
    firstAttempt: () => (clock() < usableUntil() ? undefined : first),
    refreshForUnknownKey(now) {
      if (inFlight !== undefined) return inFlight;
      if (closed || now < unknownAskedAt + cache.unknownKidCooldown) return undefined;
      unknownAskedAt = now;
      return attempt();
    },
    lastAttemptFailed: () => failures > 0,
    status: (now): KeySetStatus => ({
      count: good?.list.keys.length ?? 0,
      fetchedAt: good?.fetchedAt,
      stale: good === undefined || now >= good.fetchedAt + cache.maxAge,
      lastError,
    }),
    inheritance: () => good,
    close() {
      closed = true;
      cancel?.();
    },
  };
}
