/** Keys that verify tokens: read from JWK, PEM or raw bytes, refused when weak, ambiguous or not meant for it. */
import { createHash, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { CURVE_SIGNATURES, HMAC_KEY_BYTES, RSA_SIGNATURES } from './algorithms.ts';
import { hasRocaFingerprint } from './roca.ts';

export interface VerificationKey {
  /** Absent: fits any key id. */
  readonly keyId?: string;
  /** The algorithms that this key may verify; never empty. */
  readonly algorithms: ReadonlySet<string>;
  readonly key: KeyObject;
  /** Of the key itself: tells two keys apart. Never shown. */
  readonly fingerprint: string;
}

/** Why a key is left out; a stable code for logs and status. */
export type KeyProblem =
  | 'NOT_A_KEY'
  | 'PRIVATE_KEY'
  | 'SYMMETRIC_KEY'
  | 'WRONG_USE'
  | 'UNSUPPORTED_KEY'
  | 'WEAK_KEY'
  | 'WRONG_ALGORITHM'
  | 'DUPLICATE_KEY_ID'
  | 'MIXED_KEYS';

export type KeyReading = { readonly key: VerificationKey } | { readonly problem: KeyProblem };

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const TEXT_MEMBERS = ['n', 'e', 'x', 'y', 'k'];
const MIN_RSA_BITS = 2048;
/** Verifying with a larger key costs more than a token is worth. */
const MAX_RSA_BITS = 8192;

const problem = (code: KeyProblem): KeyReading => ({ problem: code });

/**
 * A key of a JSON Web Key (RFC 7517). With `symmetric: false`, as for everything fetched, a symmetric key is refused.
 * A private key is refused always: whoever can read it can sign.
 */
export function readJwk(jwk: unknown, { symmetric }: { readonly symmetric: boolean }): KeyReading {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return problem('NOT_A_KEY');
  const members = new Map<string, unknown>(Object.entries(jwk));
  if (PRIVATE_MEMBERS.some(name => members.has(name))) return problem('PRIVATE_KEY');
  const type = members.get('kty');
  if (!symmetric && (members.has('k') || type === 'oct')) return problem('SYMMETRIC_KEY');
  if (!isForVerifying(members)) return problem('WRONG_USE');
  for (const name of TEXT_MEMBERS) {
    const value = members.get(name);
    if (value !== undefined && (typeof value !== 'string' || !BASE64URL.test(value))) return problem('NOT_A_KEY');
  }
  const key = importJwk(members);
  return key === undefined
    ? problem('NOT_A_KEY')
    : describeKey(key, optionalText(members.get('kid')), members.get('alg'));
}

/** `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3), where they are given, must allow verifying. */
function isForVerifying(members: ReadonlyMap<string, unknown>): boolean {
  const use = members.get('use');
  const operations = members.get('key_ops');
  if (use !== undefined && use !== 'sig') return false;
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'));
}

function importJwk(members: ReadonlyMap<string, unknown>): KeyObject | undefined {
  try {
    if (members.get('kty') === 'oct') {
      const bytes = Buffer.from(optionalText(members.get('k')) ?? '', 'base64url');
      return bytes.length === 0 ? undefined : createSecretKey(bytes);
    }
    const jwk: JsonWebKey = {};
    for (const name of ['kty', 'crv', 'n', 'e', 'x', 'y'] as const) {
      const value = optionalText(members.get(name));
      if (value !== undefined) jwk[name] = value;
    }
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return undefined;
  }
}

const optionalText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** A public key or certificate in PEM. A certificate counts for its key alone; its dates and names are not judged. */
export function readPem(text: string): KeyReading {
  if (text.includes('PRIVATE KEY-----')) return problem('PRIVATE_KEY');
  try {
    return describeKey(createPublicKey(text), undefined, undefined);
  } catch {
    return problem('NOT_A_KEY');
  }
}

/** A symmetric key of raw bytes, exactly as they are kept. */
export const readSymmetric = (bytes: Uint8Array): KeyReading =>
  bytes.length === 0 ? problem('WEAK_KEY') : describeKey(createSecretKey(bytes), undefined, undefined);

function describeKey(key: KeyObject, keyId: string | undefined, algorithm: unknown): KeyReading {
  const fitting = key.type === 'secret' ? findHmacs(key) : findSignatures(key);
  if (typeof fitting === 'string') return problem(fitting);
  const algorithms = algorithm === undefined ? fitting : fitting.filter(a => a === canonicalAlgorithm(algorithm));
  if (algorithms.length === 0) return problem('WRONG_ALGORITHM');
  const reading = { algorithms: new Set(algorithms), key, fingerprint: fingerprintKey(key) };
  return { key: keyId === undefined ? reading : { ...reading, keyId } };
}

/** RFC 9864 gives EdDSA over Ed25519 a second name. */
const canonicalAlgorithm = (name: unknown): unknown => (name === 'Ed25519' ? 'EdDSA' : name);

function findHmacs(key: KeyObject): string[] | KeyProblem {
  const size = key.symmetricKeySize ?? 0;
  const fitting = [...HMAC_KEY_BYTES].filter(([, bytes]) => size >= bytes).map(([name]) => name);
  return fitting.length === 0 ? 'WEAK_KEY' : fitting;
}

function findSignatures(key: KeyObject): string[] | KeyProblem {
  const details = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA'];
  if (key.asymmetricKeyType === 'ec') {
    const algorithm = CURVE_SIGNATURES.get(details.namedCurve ?? '');
    return algorithm === undefined ? 'UNSUPPORTED_KEY' : [algorithm];
  }
  if (key.asymmetricKeyType !== 'rsa') return 'UNSUPPORTED_KEY';
  return isSoundRsa(key) ? [...RSA_SIGNATURES] : 'WEAK_KEY';
}

function isSoundRsa(key: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) return false;
  if (publicExponent < 3n || publicExponent % 2n === 0n || publicExponent > 0xffffffffn) return false;
  const modulus = Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url').toString('hex');
  return !hasRocaFingerprint(BigInt(`0x${modulus}`));
}

function fingerprintKey(key: KeyObject): string {
  const bytes = key.type === 'secret' ? key.export() : key.export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(bytes).digest('base64');
}
