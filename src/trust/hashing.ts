/** Hashes and signature checks that x509/ takes as arguments, by node:crypto. */
import { constants, createPublicKey, hash, verify, type KeyObject } from 'node:crypto';
import type { SignatureAlgorithm } from '../x509/algorithm.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { Hashing } from '../x509/facts.ts';

export const hashing: Hashing = {
  sha1: bytes => hash('sha1', bytes, 'buffer'),
  sha256: bytes => hash('sha256', bytes, 'buffer'),
  base64: bytes => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
};

/** What a certificate and a revocation list have in common. */
export interface Signed {
  readonly tbs: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

export type VerifySignature = (signed: Signed, issuer: Certificate) => boolean;

/**
 * Keys and verdicts are kept with the objects they belong to, so that one issuing CA's certificate is verified once, not for
 * each device. A key or signature that OpenSSL cannot read verifies nothing.
 */
export function createVerifier(): VerifySignature {
  const keys = new WeakMap<Certificate, KeyObject>();
  const verdicts = new WeakMap<Signed, WeakMap<Certificate, boolean>>();
  const keyOf = (certificate: Certificate): KeyObject => {
    const known = keys.get(certificate);
    if (known !== undefined) return known;
    const key = createPublicKey({ key: Buffer.from(certificate.spki), format: 'der', type: 'spki' });
    keys.set(certificate, key);
    return key;
  };
  return (signed, issuer) => {
    const known = verdicts.get(signed) ?? new WeakMap<Certificate, boolean>();
    verdicts.set(signed, known);
    let verdict = known.get(issuer);
    if (verdict === undefined) {
      verdict = tryVerify(() => verifyWith(keyOf(issuer), signed));
      known.set(issuer, verdict);
    }
    return verdict;
  };
}

function tryVerify(verifies: () => boolean): boolean {
  try {
    return verifies();
  } catch {
    return false;
  }
}

function verifyWith(key: KeyObject, { algorithm, tbs, signature }: Signed): boolean {
  switch (algorithm.kind) {
    case 'rsa':
      return verify(algorithm.hash, tbs, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'rsa-pss': {
      const { saltLength } = algorithm;
      return verify(algorithm.hash, tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
    }
    case 'ecdsa':
      return verify(algorithm.hash, tbs, key, signature);
    case 'ed25519':
    case 'ed448':
      return verify(null, tbs, key, signature);
    case 'unsupported':
      return false;
  }
}
