/** Revocation lists with a URL: fetched, refreshed, never replaced by an older or foreign one. */
import type { Fetcher } from '../outbound/fetcher.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Crl } from '../x509/crl.ts';
import { Asn1Error } from '../x509/der.ts';
import { equalBytes } from '../x509/primitives.ts';
import { describeLists, readLists, type HeldList, type Hold, type ListSource } from './revocation.ts';
import type { Schedule } from './trust.ts';

export interface FetchedListsOptions {
  readonly fetcher?: Pick<Fetcher, 'fetch'>;
  readonly log: Log;
  readonly clock: () => number;
  readonly schedule: Schedule;
  readonly onChange?: () => void;
  readonly hold: Hold;
}

export interface FetchedLists {
  find(trust: string, url: string, refreshMs: number): ListSource;
  /** Stops fetching what was not asked for by `find` since the last call. */
  keepUsed(): void;
  settled(): Promise<void>;
}

interface Fetched {
  readonly source: ListSource;
  readonly first: Promise<void>;
  readonly stop: () => void;
}

const TIMEOUT_MS = 15_000;
const MAX_BYTES = 8 * 1024 * 1024;
const RETRY_MS = 30_000;
const SOONEST_MS = 1000;

export function createFetchedLists(options: FetchedListsOptions): FetchedLists {
  const fetched = new Map<string, Fetched>();
  const used = new Set<string>();
  return {
    find: (trust, url, refreshMs) => {
      const key = JSON.stringify([trust, url, refreshMs]);
      const known = fetched.get(key) ?? startFetching(trust, url, refreshMs, options);
      fetched.set(key, known);
      used.add(key);
      return known.source;
    },
    keepUsed: () => {
      for (const [key, { stop }] of fetched) {
        if (used.has(key)) continue;
        stop();
        fetched.delete(key);
      }
      used.clear();
    },
    settled: async () => {
      await Promise.all([...fetched.values()].map(({ first }) => first));
    },
  };
}

function startFetching(trust: string, url: string, refreshMs: number, options: FetchedListsOptions): Fetched {
  const { log, clock, schedule } = options;
  const name = nameUrl(url);
  let lists: readonly HeldList[] = [];
  let problem: string | undefined = 'not fetched yet';
  let stopped = false;
  let cancel = (): void => undefined;
  const round = async (): Promise<void> => {
    const found = await fetchLists(url, options);
    if (stopped) return;
    problem = typeof found === 'string' ? found : undefined;
    if (typeof found === 'string') log.warn({ trust, source: name, held: lists.length }, `revocation list: ${found}`);
    else {
      lists = replaceLists(lists, found, options.hold);
      options.onChange?.();
    }
    cancel = schedule(nextDelay(lists, problem, refreshMs, clock()), () => void round());
  };
  const first = options.fetcher === undefined ? Promise.resolve() : round();
  return {
    first,
    source: { lists: () => lists, status: () => describeLists(name, lists, problem) },
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

/** The lists, or why there are none: fixed words, since an answer's text is not ours. */
async function fetchLists(url: string, { fetcher }: FetchedListsOptions): Promise<readonly Crl[] | string> {
  try {
    const answer = await fetcher?.fetch(url, {
      trust: 'systemRoots',
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
      redirects: 'same-host',
    });
    if (answer === undefined) return 'cannot be fetched here';
    return answer.status === 200 ? readLists(answer.body) : `answered ${answer.status}`;
  } catch (error) {
    if (error instanceof Asn1Error) return `cannot be read: ${error.message}`;
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
    return `cannot be fetched: ${typeof code === 'string' ? code : 'error'}`;
  }
}

/**
 * The new lists, and of the old ones those whose signature was found right and which no new list supersedes. Lists come by
 * plain HTTP: whoever forges or replays one must not make a proven one forgotten, only add one that proves nothing.
 */
function replaceLists(old: readonly HeldList[], found: readonly Crl[], hold: Hold): readonly HeldList[] {
  const fresh = found.map(crl => old.find(({ crl: { tbs } }) => equalBytes(tbs, crl.tbs)) ?? hold(crl));
  const kept = old.filter(list => !fresh.includes(list) && list.signer() !== undefined);
  return [...fresh, ...kept.filter(list => !fresh.some(next => supersedes(next, list)))];
}

function supersedes(next: HeldList, list: HeldList): boolean {
  const signer = list.signer();
  const { crl } = list;
  if (next.crl.issuer.key !== crl.issuer.key || next.crl.thisUpdate < crl.thisUpdate) return false;
  return signer !== undefined && sameScope(next.crl, crl) && next.isSignedBy(signer);
}

const sameScope = (a: Crl, b: Crl): boolean => JSON.stringify(a.scope) === JSON.stringify(b.scope);

/** The refresh interval, but soon after a failure and in time for the nextUpdate of what is held. */
function nextDelay(lists: readonly HeldList[], problem: string | undefined, refreshMs: number, now: number): number {
  let delay = problem === undefined ? refreshMs : Math.min(refreshMs, RETRY_MS);
  for (const { crl } of lists) {
    const left = crl.nextUpdate - now;
    delay = Math.min(delay, left > 0 ? left : RETRY_MS);
  }
  return Math.max(SOONEST_MS, delay);
}

/** Without credentials and query, which logs and status must not show. */
function nameUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
