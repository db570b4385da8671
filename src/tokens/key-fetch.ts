/** Fetches an issuer's keys: discovery document, then key set (OpenID Connect Discovery 1.0, RFC 7517). */
import type { Fetcher } from '../outbound/fetcher.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import { makeKeyList, type KeyList } from './key-list.ts';
import { readJwk } from './verification-key.ts';

export interface KeySource {
  readonly kind: 'discovery' | 'jwks';
  readonly url: string;
  /** Undefined: the ConfigMap or Secret that holds it is missing, so nothing is fetched. */
  readonly trust: { readonly ca: string } | 'systemRoots' | undefined;
  /** From TokenIssuer.issuer; undefined: what discovery says. */
  readonly issuer: string | undefined;
}

export interface FetchedKeys {
  readonly issuer: string;
  readonly list: KeyList;
}

export type KeyFetchCode =
  | FetchError['code']
  | `HTTP_${number}`
  | 'TRUST_MISSING'
  | 'NOT_JSON'
  | 'NOT_A_KEY_SET'
  | 'NO_USABLE_KEYS'
  | 'NO_JWKS_URI'
  | 'NO_ISSUER'
  | 'ISSUER_MISMATCH'
  | 'FAILED';

/** Why keys could not be had. Carries a stable code, never anything of an answer. */
export class KeyFetchError extends Error {
  override readonly name = 'KeyFetchError';
  readonly code: KeyFetchCode;
  /** What FetchError adds: the system's or OpenSSL's code. */
  readonly detail: string | undefined;

  constructor(code: KeyFetchCode, detail?: string) {
    super(`the keys could not be fetched: ${code}`);
    this.code = code;
    this.detail = detail;
  }
}

const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 5000;

/** @throws KeyFetchError */
export async function fetchKeys(fetcher: Fetcher, source: KeySource): Promise<FetchedKeys> {
  try {
    if (source.kind === 'jwks') {
      return { issuer: source.issuer ?? '', list: readKeySet(await fetchJson(fetcher, source, source.url)) };
    }
    const { issuer, url } = readDiscovery(await fetchJson(fetcher, source, source.url), source);
    return { issuer, list: readKeySet(await fetchJson(fetcher, source, url)) };
  } catch (error) {
    if (error instanceof KeyFetchError) throw error;
    if (error instanceof FetchError) throw new KeyFetchError(error.code, error.detail);
    throw new KeyFetchError('FAILED');
  }
}

async function fetchJson(fetcher: Fetcher, { trust }: KeySource, url: string): Promise<ReadonlyMap<string, unknown>> {
  if (trust === undefined) throw new KeyFetchError('TRUST_MISSING');
  const { status, body } = await fetcher.fetch(url, {
    trust,
    headers: { accept: 'application/json' },
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    redirects: 'same-host',
  });
  if (status !== 200) throw new KeyFetchError(`HTTP_${status}`);
  const value = parseJson(body);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new KeyFetchError('NOT_JSON');
  return new Map(Object.entries(value));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new KeyFetchError('NOT_JSON');
  }
}

/** The document's issuer must be the expected one; its jwks_uri may be plain http only if the document came so. */
function readDiscovery(document: ReadonlyMap<string, unknown>, source: KeySource): { issuer: string; url: string } {
  const issuer = document.get('issuer');
  const url = document.get('jwks_uri');
  if (typeof issuer !== 'string' || issuer === '') throw new KeyFetchError('NO_ISSUER');
  if (source.issuer !== undefined && issuer !== source.issuer) throw new KeyFetchError('ISSUER_MISMATCH');
  if (typeof url !== 'string') throw new KeyFetchError('NO_JWKS_URI');
  const secure = url.startsWith('https://');
  const plain = url.startsWith('http://') && source.url.startsWith('http://');
  if (!secure && !plain) throw new KeyFetchError('NO_JWKS_URI');
  return { issuer, url };
}

/** An empty set, or one without a usable key, is a failed fetch: the last good keys stay. */
function readKeySet(document: ReadonlyMap<string, unknown>): KeyList {
  const keys = document.get('keys');
  if (!Array.isArray(keys)) throw new KeyFetchError('NOT_A_KEY_SET');
  const list = makeKeyList(keys.map(jwk => readJwk(jwk, { symmetric: false })));
  if (list.keys.length === 0) throw new KeyFetchError('NO_USABLE_KEYS');
  return list;
}
