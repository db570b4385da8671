/** Path validation of presented chains, remembered per connection (or header) and per chain. */
import { LRUCache } from 'lru-cache';
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import type { CertificateEvidence } from '../decision/evidence.ts';
import { parseCertificate, type Certificate } from '../x509/certificate.ts';
import { describeCertificate, type CertificateFacts } from '../x509/facts.ts';
import { CLIENT_AUTH, validatePath, type PathProblem } from '../x509/path.ts';
import { equalBytes, latin1 } from '../x509/primitives.ts';
import { hashing, type VerifySignature } from './hashing.ts';
import type { PresentedCertificate } from './trust.ts';

export type Validation =
  | {
      readonly ok: true;
      readonly path: readonly Certificate[];
      /** The answer, made once. */
      readonly evidence: Extract<CertificateEvidence, { state: 'verified' }>;
      readonly from: number;
      readonly until: number;
    }
  | {
      readonly ok: false;
      readonly problem: PathProblem;
      /** Holds from `from` to before `until`, unless time alone can change nothing. */
      readonly from: number;
      readonly until: number;
    };

export interface Validator {
  /** The path for `now`; what was found earlier serves as long as it holds for `now`. Never throws. */
  validate(presented: PresentedCertificate, now: number): Validation;
}

/** Most certificates of a presented chain that are read, the leaf included. */
export const MAX_PRESENTED = 16;
const REMEMBERED_CHAINS = 256;
const REMEMBERED_ISSUERS = 64;

export interface ValidatorOptions {
  readonly anchors: readonly Certificate[];
  readonly spec: Pick<ClientTrustSpec, 'maxDepth' | 'partialChain' | 'validity'>;
  readonly verifySignature: VerifySignature;
  readonly readIssuer: ReadCertificate;
  /** Called once for each validation that is not answered from memory. */
  readonly onValidated: (facts: CertificateFacts) => void;
}

export function createValidator(options: ValidatorOptions): Validator {
  const byMemo = new WeakMap<object, Validation>();
  // The same device on a new connection: one hash instead of parsing and signatures.
  const byChain = new LRUCache<string, Validation>({ max: REMEMBERED_CHAINS });
  return {
    validate: (presented, now) => {
      const known = byMemo.get(presented.memo);
      if (known !== undefined && holds(known, now)) return known;
      const chain = presented.chain.slice(0, MAX_PRESENTED);
      const key = identify(chain);
      let found = byChain.get(key);
      if (found === undefined || !holds(found, now)) {
        found = validateChain(chain, options, now);
        byChain.set(key, found);
      }
      byMemo.set(presented.memo, found);
      return found;
    },
  };
}

const holds = (validation: Validation, now: number): boolean => now >= validation.from && now <= validation.until;

/** Lengths are part of what is hashed: two chains must not share a key by moving a border. */
function identify(chain: readonly Uint8Array[]): string {
  const parts = chain.map(der => Buffer.from(der.buffer, der.byteOffset, der.byteLength));
  return latin1(hashing.sha256(Buffer.concat([Buffer.from(`${parts.map(part => part.length).join()};`), ...parts])));
}

function validateChain(chain: readonly Uint8Array[], options: ValidatorOptions, now: number): Validation {
  const leaf = read(chain[0] ?? new Uint8Array());
  if (leaf === undefined) return { ok: false, problem: 'untrusted', from: -Infinity, until: Infinity };
  const { anchors, spec, verifySignature, readIssuer } = options;
  const intermediates = chain.slice(1).flatMap(der => {
    // Clients often send the root too; it is an anchor already, or of no use.
    const certificate = anchors.some(anchor => equalBytes(anchor.der, der)) ? undefined : readIssuer(der);
    return certificate === undefined ? [] : [certificate];
  });
  const result = validatePath({ leaf, intermediates, anchors, now, purpose: CLIENT_AUTH, verifySignature, ...spec });
  if (!result.ok) return { ok: false, problem: result.problem, from: now, until: result.retryAt - 1 };
  const certificate = describeCertificate(leaf, hashing, result.path[1]);
  options.onValidated(certificate);
  return { ...result, evidence: { state: 'verified', certificate } };
}

/** Undefined: a certificate that cannot be read is no part of any path. */
export type ReadCertificate = (der: Uint8Array) => Certificate | undefined;

const read: ReadCertificate = der => {
  try {
    return parseCertificate(der);
  } catch {
    return undefined;
  }
};

/** Reads issuing CAs' certificates, of which there are few, once: all devices of a fleet present the same. */
export function createIssuerReader(): ReadCertificate {
  const known = new LRUCache<string, { readonly certificate: Certificate | undefined }>({ max: REMEMBERED_ISSUERS });
  return der => {
    const key = latin1(hashing.sha256(der));
    const found = known.get(key) ?? { certificate: read(der) };
    known.set(key, found);
    return found.certificate;
  };
}
