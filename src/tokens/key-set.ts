/** An issuer's keys over time: what they are now, how old, when they are fetched again. */
import type { KeyList } from './key-list.ts';

export interface KeySetStatus {
  readonly count: number;
  /** Milliseconds since the epoch; undefined before the first success, and for keys kept in the cluster. */
  readonly fetchedAt: number | undefined;
  /** The keys are older than cache.maxAge, or there are none. */
  readonly stale: boolean;
  /** A stable code, empty when the last attempt succeeded. Never anything of an answer. */
  readonly lastError: string;
}

export interface KeySet {
  /** Exact `iss`; undefined until discovery has said it. */
  issuer(): string | undefined;
  /** The keys that may verify at this time; undefined when there are none or they are stale for too long (503). */
  current(now: number): KeyList | undefined;
  /** Counts the changes of the keys: what was verified under another generation is verified again. */
  generation(): number;
  /** The first attempt, while it runs; undefined when it has ended, whatever came of it. */
  firstAttempt(): Promise<void> | undefined;
  /**
   * A token names an unknown key: fetches again, unless that was done within the cooldown. Undefined: it was. Calls share
   * one fetch, so a flood of made-up key ids causes one per cooldown.
   */
  refreshForUnknownKey(now: number): Promise<void> | undefined;
  /** The last attempt failed, or a named key is missing, so a key that is not here may still exist. */
  lastAttemptFailed(): boolean;
  status(now: number): KeySetStatus;
  /** Ends timers; what is in flight has no effect any more. The keys stay readable for requests under way. */
  close(): void;
}

/** Keys kept in the cluster: they change only with their Secret or ConfigMap. */
export function createStaticKeySet(issuer: string, list: KeyList, problem: string): KeySet {
  return {
    issuer: () => issuer,
    current: () => (list.keys.length === 0 ? undefined : list),
    generation: () => 0,
    firstAttempt: () => undefined,
    refreshForUnknownKey: () => undefined,
    lastAttemptFailed: () => problem === 'MISSING_KEY',
    status: () => ({
      count: list.keys.length,
      fetchedAt: undefined,
      stale: list.keys.length === 0,
      lastError: problem,
    }),
    close: () => undefined,
  };
}
