/** A certificate request's bytes, read strictly (PKCS #10, RFC 2986). Of what it asks for only the public key is told. */
import { parsePublicKey, parseSignatureAlgorithm, type PublicKey, type SignatureAlgorithm } from './algorithm.ts';
import { Asn1Error, childrenOf, parseDer, rawOf } from './der.ts';
import { smallIntegerOf, wholeBitsOf } from './primitives.ts';

export interface CertificateRequest {
  /** The signed part. */
  readonly info: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly key: PublicKey;
}

export const MAX_REQUEST_BYTES = 16 * 1024;

/** The signature is not checked here. @throws Asn1Error and nothing else */
export function parseCertificateRequest(der: Uint8Array): CertificateRequest {
  if (der.length > MAX_REQUEST_BYTES) throw new Asn1Error('request is larger than 16 KiB');
  const [info, algorithm, signature, extra] = childrenOf(parseDer(der));
  if (info === undefined || extra !== undefined) throw new Asn1Error('not a certificate request');
  const [version, subject, spki] = childrenOf(info);
  if (smallIntegerOf(version) !== 0 || subject === undefined || spki === undefined) {
    throw new Asn1Error('not a certificate request');
  }
  return {
    info: rawOf(info),
    algorithm: parseSignatureAlgorithm(algorithm),
    signature: wholeBitsOf(signature),
    spki: rawOf(spki),
    key: parsePublicKey(spki),
  };
}
