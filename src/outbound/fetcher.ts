/**
 * outbound: floor 2. Every call that the sidecar makes of its own: key sets, device-auth, revocation lists. May import
 * api/, http/, policy/, decision/, material/ and telemetry/.
 *
 * undici speaks HTTP; this folder decides whom it may speak to, whom it trusts and how much it may hear. undici is loaded
 * at the first call, and only its connection pool (about 5 MiB resident beside node:tls; its main file costs 17).
 */
import type { Log } from '../telemetry/telemetry.ts';
import { createAddressGuard, createGuardedLookup } from './address.ts';
import { exchange, type Answer } from './exchange.ts';
import { FetchError } from './fetch-error.ts';
import { createPools, type Pools } from './pools.ts';
import type { ResolveRule } from './resolve.ts';

/** What is presented to a server that asks for a certificate. PEM; the chain with the leaf first. */
export interface OutboundCertificate {
  readonly certificate: string;
  readonly key: string;
  /** Of the leaf, hex: tells two certificates apart without reading them. */
  readonly sha256: string;
}

export interface FetchOptions {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** PEM of the certificate authorities; one without a certificate fails with TLS. */
  readonly trust: { readonly ca: string } | 'systemRoots';
  readonly clientCertificate?: OutboundCertificate;
  /** For SNI and the check of the server's name; default the URL's host. */
  readonly serverName?: string;
  /** For everything from dialling to the last byte of the body. */
  readonly timeoutMs: number;
  /** Of the body. */
  readonly maxBytes: number;
  /** `same-host`: same scheme, host and port, GET only, at most three. Default `refuse`. */
  readonly redirects?: 'same-host' | 'refuse';
}

export interface FetchAnswer {
  readonly status: number;
  /** Lower-case names, null prototype; lines of one name joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface Fetcher {
  /**
   * One bounded call. Certificates are always checked, TLS sessions are never resumed.
   * @throws FetchError with a stable code
   */
  fetch(url: string, options: FetchOptions): Promise<FetchAnswer>;
  /** Ends what is in flight with CLOSED; later calls fail the same way. */
  close(): Promise<void>;
}

export interface FetcherOptions {
  readonly resolve?: readonly ResolveRule[];
  readonly log?: Log;
  /** Milliseconds for TCP and TLS of one connection; default 5000. */
  readonly connectTimeoutMs?: number;
}

const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Nothing is loaded or opened before the first call. */
export function createFetcher({ resolve = [], log, connectTimeoutMs = 5000 }: FetcherOptions = {}): Fetcher {
  const isForbidden = createAddressGuard();
  const connecting = { resolve, isForbidden, lookup: createGuardedLookup(isForbidden), connectTimeoutMs };
  const pools = createPools(connecting);
  return {
    async fetch(url, options) {
      try {
        return await follow(pools, readUrl(url), options);
      } catch (error) {
        const failure = error instanceof FetchError ? error : new FetchError('PROTOCOL', '');
        log?.debug({ host: failure.host, code: failure.code, detail: failure.detail }, 'an outgoing call failed');
        throw failure;
      }
    },
    close: () => pools.close(),
  };
}

async function follow(pools: Pools, start: URL, options: FetchOptions): Promise<Answer> {
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), options.timeoutMs);
  try {
    return await followUntil(pools, start, options, clock.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function followUntil(pools: Pools, start: URL, options: FetchOptions, deadline: AbortSignal): Promise<Answer> {
  let url = start;
  for (let hops = 0; ; hops++) {
    const answer = await exchange(pools, url, options, deadline);
    if (!REDIRECTS.has(answer.status) || answer.headers['location'] === undefined) return answer;
    const next = URL.parse(answer.headers['location'], url.href);
    const allowed = options.redirects === 'same-host' && (options.method ?? 'GET') === 'GET' && hops < MAX_REDIRECTS;
    if (!allowed || next?.origin !== url.origin || next.username !== '' || next.password !== '') {
      throw new FetchError('REDIRECT', url.host);
    }
    url = next;
  }
}

function readUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new FetchError('PROTOCOL', '', 'BAD_URL');
  }
  return url;
}
