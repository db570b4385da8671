/**
 * The compact form of a token, read strictly before any cryptography (security.md rule 4, RFC 7515 section 7.1, RFC 7516
 * section 7.1). One text has one reading: what `jose` would forgive (other alphabets, stray bits) is refused here, so that
 * a token has one spelling only.
 */
import type { Reason } from '../api/reasons.ts';

export const MAX_TOKEN_LENGTH = 16 * 1024;
const MAX_KEY_ID_LENGTH = 1024;
const MAX_DEPTH = 32;

const SIGNED = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** The encrypted key is empty for direct encryption and direct key agreement. */
const ENCRYPTED = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export interface CompactToken {
  readonly kind: 'signed' | 'encrypted';
  readonly text: string;
  readonly algorithm: string;
  readonly keyId?: string;
  /** The second part as text: the payload of a signed token. */
  readonly payload: string;
}

const refuse = (reason: Reason): { readonly refused: Reason } => ({ refused: reason });

/**
 * Reads a token's form and header. `jku`, `x5u`, `jwk`, `x5c` are not looked at: a token does not choose its key.
 * Any `crit`, `b64` or `zip` is refused as TokenAlgorithmNotAllowed, all else that is wrong as TokenMalformed.
 */
export function parseCompact(text: string): CompactToken | { readonly refused: Reason } {
  if (text.length > MAX_TOKEN_LENGTH) return refuse('TokenMalformed');
  const kind = SIGNED.test(text) ? 'signed' : ENCRYPTED.test(text) ? 'encrypted' : undefined;
  if (kind === undefined) return refuse('TokenMalformed');
  const parts = text.split('.');
  if (!parts.every(isCanonical)) return refuse('TokenMalformed');
  const header = parseJsonObject(parts[0] ?? '');
  if (header === undefined || typeof header['alg'] !== 'string') return refuse('TokenMalformed');
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64') || Object.hasOwn(header, 'zip')) {
    return refuse('TokenAlgorithmNotAllowed');
  }
  if (!isOfThisUse(header['typ'])) return refuse('TokenMalformed');
  const keyId = header['kid'];
  if (keyId !== undefined && (typeof keyId !== 'string' || keyId.length > MAX_KEY_ID_LENGTH)) {
    return refuse('TokenMalformed');
  }
  const token = { kind, text, algorithm: header['alg'], payload: parts[1] ?? '' } as const;
  return keyId === undefined ? token : { ...token, keyId };
}

/**
 * Whether `typ` allows the token to be a credential here (RFC 8725 section 3.11): a type of its own, `logout+jwt` or
 * `dpop+jwt`, says that the token serves something else, though the same keys sign it. `at+jwt` is RFC 9068's.
 */
function isOfThisUse(type: unknown): boolean {
  if (type === undefined) return true;
  if (typeof type !== 'string') return false;
  const name = type.trim().toLowerCase();
  return !name.endsWith('+jwt') || name === 'at+jwt' || name === 'application/at+jwt';
}

/** Base64url without stray bits: one text per byte sequence (RFC 4648 section 3.5). */
export function isCanonical(part: string): boolean {
  const rest = part.length % 4;
  if (rest === 0) return true;
  if (rest === 1) return false;
  const last = ALPHABET.indexOf(part.charAt(part.length - 1));
  return (last & (rest === 2 ? 0b1111 : 0b11)) === 0;
}

/**
 * The JSON object that a part holds, without prototypes at any level; undefined when it is not UTF-8, not JSON, no object
 * or nested deeper than 32. A member given twice has its last value (RFC 7515 section 4).
 */
export function parseJsonObject(part: string): Record<string, unknown> | undefined {
  try {
    const bytes = Buffer.from(part, 'base64url');
    const text = bytes.toString('utf8');
    // Invalid UTF-8 was replaced by U+FFFD, which is longer or shorter than what stood there, or differs from it.
    if (text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(bytes)) return undefined;
    const value: unknown = JSON.parse(text);
    if (!isRecord(value) || !dropPrototypes(value, 1)) return undefined;
    return value;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function dropPrototypes(value: object, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null && !dropPrototypes(member, depth + 1)) return false;
  }
  // Unlike a copy into a null-prototype object, this keeps the compact layout that objects of one shape share.
  if (!Array.isArray(value)) Object.setPrototypeOf(value, null);
  return true;
}
