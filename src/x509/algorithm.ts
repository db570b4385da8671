/** Signature algorithms and public keys: which we verify, which are too weak. */
import { childrenOf, rawOf, tagOf, UNIVERSAL, type Node } from './der.ts';
import { equalBytes, integerBytesOf, oidOf, smallIntegerOf, wholeBitsOf } from './primitives.ts';
import { parseDer } from './der.ts';

export type Hash = 'sha256' | 'sha384' | 'sha512';

/** What a verifier needs to know; `unsupported` covers SHA-1, MD5, DSA and everything we do not name. */
export type SignatureAlgorithm =
  | { readonly kind: 'rsa'; readonly hash: Hash }
  | { readonly kind: 'rsa-pss'; readonly hash: Hash; readonly saltLength: number }
  | { readonly kind: 'ecdsa'; readonly hash: Hash }
  | { readonly kind: 'ed25519' }
  | { readonly kind: 'ed448' }
  | { readonly kind: 'unsupported' };

export type PublicKey =
  | { readonly kind: 'rsa'; readonly bits: number; readonly exponentBits: number; readonly pssOnly: boolean }
  | { readonly kind: 'ec'; readonly curve: 'P-256' | 'P-384' | 'P-521' }
  | { readonly kind: 'ed25519' }
  | { readonly kind: 'ed448' }
  | { readonly kind: 'unsupported' };

const UNSUPPORTED = { kind: 'unsupported' } as const;
const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';

const HASHES = new Map<string, { hash: Hash; length: number }>([
  ['2.16.840.1.101.3.4.2.1', { hash: 'sha256', length: 32 }],
  ['2.16.840.1.101.3.4.2.2', { hash: 'sha384', length: 48 }],
  ['2.16.840.1.101.3.4.2.3', { hash: 'sha512', length: 64 }],
]);

const RSA = new Map<string, SignatureAlgorithm>([
  ['1.2.840.113549.1.1.11', { kind: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { kind: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { kind: 'rsa', hash: 'sha512' }],
]);

const WITHOUT_PARAMETERS = new Map<string, SignatureAlgorithm>([
  ['1.2.840.10045.4.3.2', { kind: 'ecdsa', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { kind: 'ecdsa', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { kind: 'ecdsa', hash: 'sha512' }],
  ['1.3.101.112', { kind: 'ed25519' }],
  ['1.3.101.113', { kind: 'ed448' }],
]);

const CURVES = new Map<string, 'P-256' | 'P-384' | 'P-521'>([
  ['1.2.840.10045.3.1.7', 'P-256'],
  ['1.3.132.0.34', 'P-384'],
  ['1.3.132.0.35', 'P-521'],
]);

/** @throws Asn1Error when it is not an AlgorithmIdentifier. */
export function parseSignatureAlgorithm(node: Node | undefined): SignatureAlgorithm {
  const [id, parameters] = childrenOf(node);
  const oid = oidOf(id);
  const nullOrAbsent = parameters === undefined || tagOf(parameters) === UNIVERSAL.null;
  const rsa = RSA.get(oid);
  if (rsa !== undefined) return nullOrAbsent ? rsa : UNSUPPORTED;
  if (oid === RSASSA_PSS) return parsePss(parameters);
  return parameters === undefined ? (WITHOUT_PARAMETERS.get(oid) ?? UNSUPPORTED) : UNSUPPORTED;
}

/** RFC 4055 3.1; the defaults mean SHA-1 and are refused, and both hashes must be one. */
function parsePss(parameters: Node | undefined): SignatureAlgorithm {
  if (parameters === undefined) return UNSUPPORTED;
  const fields = new Map(childrenOf(parameters).map(field => [tagOf(field), field]));
  const [hashField, maskField, saltField] = [fields.get(0xa0), fields.get(0xa1), fields.get(0xa2)];
  if (hashField === undefined || maskField === undefined || saltField === undefined) return UNSUPPORTED;
  const hash = hashOf(childrenOf(hashField, 0xa0)[0]);
  const [mask, maskParameters] = childrenOf(childrenOf(maskField, 0xa1)[0]);
  if (hash === undefined || oidOf(mask) !== MGF1 || hashOf(maskParameters)?.hash !== hash.hash) return UNSUPPORTED;
  const saltLength = smallIntegerOf(childrenOf(saltField, 0xa2)[0]);
  if (saltLength !== hash.length) return UNSUPPORTED;
  return { kind: 'rsa-pss', hash: hash.hash, saltLength };
}

const hashOf = (node: Node | undefined) => HASHES.get(oidOf(childrenOf(node)[0]));

/** @throws Asn1Error when it is not a SubjectPublicKeyInfo. */
export function parsePublicKey(node: Node | undefined): PublicKey {
  const [algorithm, bits] = childrenOf(node);
  const [id, parameters] = childrenOf(algorithm);
  const oid = oidOf(id);
  const key = wholeBitsOf(bits);
  if (oid === '1.2.840.113549.1.1.1' || oid === RSASSA_PSS) return parseRsaKey(key, oid === RSASSA_PSS);
  if (oid === '1.2.840.10045.2.1') {
    // Named curves only: explicit parameters can describe a curve on which anybody signs (CVE-2020-0601).
    if (parameters === undefined || tagOf(parameters) !== UNIVERSAL.oid) return UNSUPPORTED;
    const curve = CURVES.get(oidOf(parameters));
    return curve === undefined ? UNSUPPORTED : { kind: 'ec', curve };
  }
  if (oid === '1.3.101.112') return { kind: 'ed25519' };
  return oid === '1.3.101.113' ? { kind: 'ed448' } : UNSUPPORTED;
}

function parseRsaKey(bytes: Uint8Array, pssOnly: boolean): PublicKey {
  const [modulus, exponent] = childrenOf(parseDer(bytes));
  return {
    kind: 'rsa',
    bits: bitLength(integerBytesOf(modulus)),
    exponentBits: bitLength(integerBytesOf(exponent)),
    pssOnly,
  };
}

function bitLength(integer: Uint8Array): number {
  const significant = integer[0] === 0 ? integer.subarray(1) : integer;
  const first = significant[0];
  return first === undefined ? 0 : (significant.length - 1) * 8 + (32 - Math.clz32(first));
}

/**
 * Keys that count: RSA of 2048 to 8192 bits with an exponent of at most 64 bits, P-256, P-384, P-521, Ed25519, Ed448.
 * The lower bound is OpenSSL's security level 2, which Node's handshakes demand too; the upper ones bound what one
 * signature check may cost.
 */
export function isKeyAcceptable(key: PublicKey): boolean {
  if (key.kind !== 'rsa') return key.kind !== 'unsupported';
  return key.bits >= 2048 && key.bits <= 8192 && key.exponentBits >= 2 && key.exponentBits <= 64;
}

/** Whether a key of this kind can have made a signature of that algorithm. */
export function fitsKey(algorithm: SignatureAlgorithm, key: PublicKey): boolean {
  switch (algorithm.kind) {
    case 'rsa':
      return key.kind === 'rsa' && !key.pssOnly;
    case 'rsa-pss':
      return key.kind === 'rsa';
    case 'ecdsa':
      return key.kind === 'ec';
    case 'ed25519':
    case 'ed448':
      return key.kind === algorithm.kind;
    case 'unsupported':
      return false;
  }
}

/** RFC 5280 4.1.1.2: the outer algorithm must repeat the signed one, or an attacker could choose it. */
export const sameAlgorithm = (inner: Node, outer: Node): boolean => equalBytes(rawOf(inner), rawOf(outer));
