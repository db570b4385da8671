/** The keys of one issuer at one moment. */
import type { KeyProblem, KeyReading, VerificationKey } from './verification-key.ts';

export interface KeyList {
  readonly keys: readonly VerificationKey[];
  /** Why keys were left out. */
  readonly problems: readonly KeyProblem[];
}

export const MAX_KEYS = 100;
/** Most keys that one token is tried with. */
const MAX_TRIED = 8;

/**
 * Sorts out what was read. Two different keys of one type under one key id are both left out: which one a token means
 * would depend on their order. Symmetric keys beside public ones are left out.
 */
export function makeKeyList(readings: readonly KeyReading[]): KeyList {
  const problems: KeyProblem[] = [];
  const keys: VerificationKey[] = [];
  for (const reading of readings.slice(0, MAX_KEYS)) {
    if ('problem' in reading) problems.push(reading.problem);
    else if (!keys.some(k => k.fingerprint === reading.key.fingerprint && k.keyId === reading.key.keyId)) {
      keys.push(reading.key);
    }
  }
  const mixed = new Set(keys.map(k => k.key.type)).size > 1;
  const kept = keys.filter(key => {
    const code = mixed && key.key.type === 'secret' ? 'MIXED_KEYS' : isAmbiguous(key, keys) && 'DUPLICATE_KEY_ID';
    if (code !== false) problems.push(code);
    return code === false;
  });
  return { keys: kept, problems };
}

function isAmbiguous(key: VerificationKey, keys: readonly VerificationKey[]): boolean {
  if (key.keyId === undefined) return false;
  return keys.some(
    other =>
      other !== key &&
      other.keyId === key.keyId &&
      other.fingerprint !== key.fingerprint &&
      [...other.algorithms].some(algorithm => key.algorithms.has(algorithm)),
  );
}

export interface Candidates {
  readonly keys: readonly VerificationKey[];
  /** A key of that id exists, but not for that algorithm. */
  readonly otherAlgorithm: boolean;
}

/** Keys that may have signed: those of the token's key id and those without one; without a key id all, at most eight. */
export function findCandidates(list: KeyList, keyId: string | undefined, algorithm: string): Candidates {
  const named = list.keys.filter(k => keyId === undefined || k.keyId === undefined || k.keyId === keyId);
  const keys = named.filter(k => k.algorithms.has(algorithm)).slice(0, MAX_TRIED);
  return { keys, otherAlgorithm: keys.length === 0 && keyId !== undefined && named.some(k => k.keyId === keyId) };
}

/** Whether two lists hold the same keys under the same ids, in any order. */
export function hasSameKeys(a: KeyList, b: KeyList): boolean {
  const names = (list: KeyList): string =>
    list.keys
      .map(k => `${k.fingerprint} ${[...k.algorithms].join()} ${k.keyId ?? ''}`)
      .sort()
      .join('\n');
  return names(a) === names(b);
}
