/** Keys that sign contexts: given in a Secret, or made by the sidecar for itself; and their public halves. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';

/** A public key (RFC 7517) as it is published. */
export type PublicKey = Readonly<Record<string, string>>;

export interface SigningKey {
  readonly algorithm: string;
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly published: PublicKey;
}

const MIN_RSA_BITS = 2048;
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };
/** RFC 7638 section 3.2: the members that make a key what it is, in the order of their names. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  RSA: ['e', 'kty', 'n'],
  OKP: ['crv', 'kty', 'x'],
};

/** P-256, which every JOSE library verifies. */
export function generateSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = describe(privateKey, undefined);
  if (key === undefined) throw new Error('a P-256 key was made and cannot be described');
  return key;
}

/** PEM (PKCS#8, SEC 1, PKCS#1) or JWK; undefined when it is no private key that may sign. */
export function readSigningKey(text: string): SigningKey | undefined {
  try {
    if (!text.trimStart().startsWith('{')) return describe(createPrivateKey(text), undefined);
    const jwk = JSON.parse(text) as JsonWebKey & { readonly kid?: unknown };
    const keyId = typeof jwk.kid === 'string' && /^[\x20-\x7e]{1,256}$/.test(jwk.kid) ? jwk.kid : undefined;
    return describe(createPrivateKey({ key: jwk, format: 'jwk' }), keyId);
  } catch {
    return undefined;
  }
}

function describe(privateKey: KeyObject, keyId: string | undefined): SigningKey | undefined {
  const algorithm = algorithmOf(privateKey);
  if (algorithm === undefined) return undefined;
  const exported = createPublicKey(privateKey).export({ format: 'jwk' }) as Readonly<Record<string, unknown>>;
  const members = MEMBERS[String(exported['kty'])] ?? [];
  const bare = Object.fromEntries(members.map(name => [name, String(exported[name])]));
  const kid = keyId ?? createHash('sha256').update(JSON.stringify(bare)).digest('base64url');
  return { algorithm, keyId: kid, privateKey, published: { ...bare, kid, alg: algorithm, use: 'sig' } };
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | undefined {
  if (asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (asymmetricKeyType === 'ec') return CURVES[asymmetricKeyDetails?.namedCurve ?? ''];
  const strong = asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
  return strong ? 'RS256' : undefined;
}
