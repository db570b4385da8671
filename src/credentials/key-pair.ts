/** A certificate chain and its private key, read and matched. */
import { createPrivateKey, X509Certificate } from 'node:crypto';

/** What is presented to the app or a service that asks for a certificate. */
export interface ClientCertificate {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** PEM. Never logged, never in status. */
  readonly key: string;
  /** Of the leaf: upper-case hex. */
  readonly sha1: string;
  readonly sha256: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** Why a pair cannot be used; a stable code. */
export type PairProblem = 'MISSING' | 'BAD_CERTIFICATE' | 'BAD_KEY' | 'KEY_DOES_NOT_MATCH';
export type PairReading = { readonly pair: ClientCertificate } | { readonly problem: PairProblem };

const BUNDLE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const MAX_LENGTH = 64 * 1024;

/** Reads a pair. A key that does not belong to the leaf, as between the two writes of a rotation, is a problem. */
export function readPair(certificate: string, key: string): PairReading {
  const leaf = readChain(certificate);
  if (leaf === undefined) return { problem: 'BAD_CERTIFICATE' };
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return { problem: 'KEY_DOES_NOT_MATCH' };
  } catch {
    return { problem: 'BAD_KEY' };
  }
  const sha1 = leaf.fingerprint.replaceAll(':', '');
  const sha256 = leaf.fingerprint256.replaceAll(':', '');
  return { pair: { certificate, key, sha1, sha256, notAfter: leaf.validToDate.getTime() } };
}

/** The leaf of a bundle in which every certificate can be read. */
function readChain(text: string): X509Certificate | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    return (text.match(BUNDLE) ?? []).map(pem => new X509Certificate(pem))[0];
  } catch {
    return undefined;
  }
}
