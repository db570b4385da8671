/** Answers a sidecar’s request for a mesh certificate: its public key, our names. */
import { createPublicKey, verify, constants } from 'node:crypto';
import { fitsKey, isKeyAcceptable, type SignatureAlgorithm } from '../x509/algorithm.ts';
import { MAX_REQUEST_BYTES, parseCertificateRequest, type CertificateRequest } from '../x509/certificate-request.ts';
import { parsePem } from '../x509/pem.ts';
import type { CertificateResponse } from '../material/protocol.ts';
import { signMeshLeaf } from './mesh-authority.ts';
import { bundleOf, type MeshCa } from './mesh-ca.ts';
import { formatSpiffeId } from './supporting-status.ts';

export interface IssueOptions {
  readonly ca: MeshCa;
  readonly trustDomain: string;
  /** Of the pod whose token asked. */
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly lifetimeMs: number;
  readonly now: number;
  readonly random: (size: number) => Uint8Array;
}

export type Issued = CertificateResponse | { readonly problem: string };

/** Nothing of the request counts but the key that signed it. */
export function issueMeshCertificate(csr: string, options: IssueOptions): Issued {
  const request = readRequest(csr);
  if ('problem' in request) return request;
  const { ca, trustDomain, namespace, serviceAccount, lifetimeMs, now, random } = options;
  const spiffeId = formatSpiffeId(trustDomain, namespace, serviceAccount);
  const leaf = signMeshLeaf(ca.signing, { publicKey: request.spki, spiffeId, now, lifetimeMs, random });
  return { ...leaf, ca: bundleOf(ca), spiffeId };
}

function readRequest(csr: string): CertificateRequest | { readonly problem: string } {
  try {
    const [block, extra] = parsePem(csr, MAX_REQUEST_BYTES);
    if (block?.label !== 'CERTIFICATE REQUEST' || extra !== undefined) {
      return { problem: 'csr is not one CERTIFICATE REQUEST in PEM' };
    }
    const request = parseCertificateRequest(block.der);
    if (!isKeyAcceptable(request.key)) return { problem: 'the key of the request is too weak or of an unknown sort' };
    if (!isSignedByOwnKey(request)) return { problem: 'the request is not signed by its own key' };
    return request;
  } catch {
    return { problem: 'csr cannot be read' };
  }
}

function isSignedByOwnKey({ info, algorithm, signature, spki, key }: CertificateRequest): boolean {
  if (!fitsKey(algorithm, key)) return false;
  const publicKey = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  return verify(hashOf(algorithm), info, { key: publicKey, ...paddingOf(algorithm) }, signature);
}

const hashOf = (algorithm: SignatureAlgorithm): string | null => ('hash' in algorithm ? algorithm.hash : null);

const paddingOf = (algorithm: SignatureAlgorithm) =>
  algorithm.kind === 'rsa-pss' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.saltLength } : {};
