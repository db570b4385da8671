/**
 * The signature of a token, by OpenSSL through node:crypto. jose's way to it (WebCrypto, threads, promises) costs
 * more CPU and memory; its rules are kept here: one algorithm per token, pinned by the key (docs/design, 2026-11-23).
 */
import { constants, createHmac, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import type { CompactToken } from './compact.ts';
import { encodeSignature } from './ecdsa-signature.ts';
import type { VerificationKey } from './verification-key.ts';

type Check = (signed: Buffer, key: KeyObject, signature: Buffer) => boolean;

/**
 * RSASSA-PKCS1-v1_5 (RFC 7518 section 3.3), Node's default for an RSA key. The key is given as it is, without options:
 * with options Node finds out by two exceptions that they are no key, 10 µs for each signature.
 */
const rsa =
  (hash: string): Check =>
  (signed, key, signature) =>
    verify(hash, signed, key, signature);

/** RSASSA-PSS, MGF1 with the same hash, the salt exactly as long as the hash (RFC 7518 section 3.5). */
const rsaPss = (hash: string): Check => {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  return (signed, key, signature) => verify(hash, signed, { key, padding, saltLength }, signature);
};

/**
 * ECDSA: r and s side by side, each as long as the curve's order (RFC 7518 section 3.4), never DER. Node's default is DER,
 * which is written here for the reason above.
 */
const ecdsa =
  (hash: string, bytes: number): Check =>
  (signed, key, signature) =>
    signature.length === bytes && verify(hash, signed, key, encodeSignature(signature));

/** Ed25519 (RFC 8037 section 3.1). */
const edDsa: Check = (signed, key, signature) => signature.length === 64 && verify(null, signed, key, signature);

/** HMAC (RFC 7518 section 3.2): all of it, compared in constant time. */
const hmac =
  (hash: string): Check =>
  (signed, key, signature) => {
    const expected = createHmac(hash, key).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  };

const CHECKS: ReadonlyMap<string, Check> = new Map([
  ['RS256', rsa('sha256')],
  ['RS384', rsa('sha384')],
  ['RS512', rsa('sha512')],
  ['PS256', rsaPss('sha256')],
  ['PS384', rsaPss('sha384')],
  ['PS512', rsaPss('sha512')],
  ['ES256', ecdsa('sha256', 64)],
  ['ES384', ecdsa('sha384', 96)],
  ['ES512', ecdsa('sha512', 132)],
  ['EdDSA', edDsa],
  ['HS256', hmac('sha256')],
  ['HS384', hmac('sha384')],
  ['HS512', hmac('sha512')],
]);

/**
 * Whether one of the keys made the token's signature. A key is only asked about an algorithm that it was read for: type,
 * curve and size of a key are judged there (verification-key.ts).
 */
export function verifySignature({ text, algorithm }: CompactToken, keys: readonly VerificationKey[]): boolean {
  const check = CHECKS.get(algorithm);
  if (check === undefined) return false;
  const end = text.lastIndexOf('.');
  const signed = Buffer.from(text.slice(0, end), 'latin1');
  const signature = Buffer.from(text.slice(end + 1), 'base64url');
  return keys.some(({ algorithms, key }) => algorithms.has(algorithm) && isSound(check, signed, key, signature));
}

function isSound(check: Check, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return check(signed, key, signature);
  } catch {
    // OpenSSL could not even try: not this key.
    return false;
  }
}
