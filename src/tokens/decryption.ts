/** Encrypted tokens (JWE, RFC 7516), only where a TokenIssuer has decryption keys. `zip` and PBES2 are never accepted. */
import { createPrivateKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import {
  AES_KEY_MANAGEMENT,
  CONTENT_ENCRYPTION,
  CURVE_SIGNATURES,
  EC_KEY_MANAGEMENT,
  RSA_KEY_MANAGEMENT,
} from './algorithms.ts';
import type { CompactToken } from './compact.ts';

export interface DecryptionKey {
  readonly keyId?: string;
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

/** A private key in PEM or JWK, or a symmetric JWK; undefined when it is none, weak, or not for decrypting. */
export function readDecryptionKey(text: string): DecryptionKey | undefined {
  try {
    return text.trimStart().startsWith('{') ? readJwk(JSON.parse(text) as unknown) : describe(createPrivateKey(text));
  } catch {
    return undefined;
  }
}

function readJwk(value: unknown): DecryptionKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const jwk = value as JsonWebKey & { use?: unknown; alg?: unknown; kid?: unknown; key_ops?: unknown };
  if (jwk.use !== undefined && jwk.use !== 'enc') return undefined;
  const key =
    jwk.kty === 'oct'
      ? createSecretKey(Buffer.from(jwk.k ?? '', 'base64url'))
      : createPrivateKey({ key: jwk, format: 'jwk' });
  const described = describe(key);
  if (described === undefined) return undefined;
  const algorithms = described.algorithms.filter(a => jwk.alg === undefined || a === jwk.alg);
  if (algorithms.length === 0) return undefined;
  return { ...described, algorithms, ...(typeof jwk.kid === 'string' ? { keyId: jwk.kid } : {}) };
}

function describe(key: KeyObject): DecryptionKey | undefined {
  const algorithms = findAlgorithms(key);
  return algorithms === undefined ? undefined : { algorithms, key };
}

function findAlgorithms(key: KeyObject): readonly string[] | undefined {
  if (key.type === 'secret') return AES_KEY_MANAGEMENT.get(key.symmetricKeySize ?? 0);
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa') return modulusLength >= 2048 ? RSA_KEY_MANAGEMENT : undefined;
  if (key.asymmetricKeyType === 'ec') return CURVE_SIGNATURES.has(namedCurve) ? EC_KEY_MANAGEMENT : undefined;
  return key.asymmetricKeyType === 'x25519' ? EC_KEY_MANAGEMENT : undefined;
}

/** Keys that may open the token, by its key id and algorithm. */
export const findDecryptionKeys = (keys: readonly DecryptionKey[], token: CompactToken): readonly DecryptionKey[] =>
  keys.filter(
    k =>
      k.algorithms.includes(token.algorithm) &&
      (token.keyId === undefined || k.keyId === undefined || k.keyId === token.keyId),
  );

/** What the token holds, as text; undefined when no key opens it. Why it failed is told to nobody (padding oracles). */
export async function decryptToken(token: CompactToken, keys: readonly DecryptionKey[]): Promise<string | undefined> {
  if (keys.length === 0) return undefined;
  // Most configurations open no token, so they do not pay for what opens them.
  const { compactDecrypt } = await import('jose/jwe/compact/decrypt');
  const options = { keyManagementAlgorithms: [token.algorithm], contentEncryptionAlgorithms: [...CONTENT_ENCRYPTION] };
  for (const { key } of keys) {
    try {
      const { plaintext } = await compactDecrypt(token.text, key, options);
      return Buffer.from(plaintext).toString('latin1');
    } catch {
      // Not this key, or not a token for us.
    }
  }
  return undefined;
}
