/** Public keys of issuers as they were fetched, for a restart of the container while the issuer is away. No secret is in them. */
import type { JsonWebKey } from 'node:crypto';
import { makeKeyList, type KeyList } from './key-list.ts';
import type { Inherited } from './remote-key-set.ts';
import { readJwk, type VerificationKey } from './verification-key.ts';
import type { KeySource } from './key-fetch.ts';

/** Keeps texts by issuer; the caller knows nothing of what they say. */
export interface KeyStore {
  find(issuer: string): unknown;
  keep(issuer: string, saved: object): void;
}

interface SavedKeys {
  readonly url: string;
  readonly expected: string;
  readonly issuer: string;
  readonly fetchedAt: number;
  readonly keys: readonly JsonWebKey[];
}

export function saveKeys({ url, issuer: expected = '' }: KeySource, { issuer, list, fetchedAt }: Inherited): SavedKeys {
  return { url, expected, issuer, fetchedAt, keys: list.keys.map(exportKey) };
}

function exportKey({ key, keyId, algorithms }: VerificationKey): JsonWebKey {
  const [algorithm, another] = [...algorithms];
  return {
    ...key.export({ format: 'jwk' }),
    ...(keyId === undefined ? {} : { kid: keyId }),
    // A key that was for one algorithm alone stays so; else its type says which.
    ...(algorithm === undefined || another !== undefined ? {} : { alg: algorithm }),
  };
}

/** Undefined: none, of another place, or from the future. Every key is judged again as if it were fetched. */
export function restoreKeys(source: KeySource, saved: unknown, now: number): Inherited | undefined {
  if (typeof saved !== 'object' || saved === null) return undefined;
  const { url, expected, issuer, fetchedAt, keys } = saved as Partial<Record<keyof SavedKeys, unknown>>;
  if (url !== source.url || expected !== (source.issuer ?? '') || typeof issuer !== 'string') return undefined;
  if (typeof fetchedAt !== 'number' || fetchedAt > now || !Array.isArray(keys)) return undefined;
  const list: KeyList = makeKeyList(keys.map(jwk => readJwk(jwk, { symmetric: false })));
  return list.keys.length === 0 ? undefined : { issuer, list, fetchedAt };
}
