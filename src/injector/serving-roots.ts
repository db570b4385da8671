/**
 * The roots behind what the controller serves, over their life. There are always two: the one that signs and the next one.
 * Whoever is told both (the API server in caBundle, sidecars in their arguments) trusts what is served before and after the
 * next one begins to sign. Pure but for the keys that are made.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../x509/certificate.ts';
import { encodePem, parsePem } from '../x509/pem.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
  subjectKeyIdentifier,
  writeCertificate,
  writeName,
  type AlternativeNames,
  type CertificateContent,
} from '../x509/write.ts';
import type { ServingCertificate } from './webhook-server.ts';

export interface Root {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Roots {
  readonly signing: Root;
  readonly next: Root;
  /** PEM: those that signed before and have not ended; other replicas may still serve by them. */
  readonly previous: string;
}

/** Milliseconds. */
export interface ServingTimings {
  /** Of a root. The next one signs from half of it on, so a pod may live as long as that and still trust what is served. */
  readonly rootMs: number;
  /** Of what a replica serves; renewed from half of it on. */
  readonly leafMs: number;
}

const DAY = 86_400_000;
export const SERVING_TIMINGS: ServingTimings = { rootMs: 10 * 365 * DAY, leafMs: 30 * DAY };

/** Clocks that are a little behind must not refuse what was just made. */
const BACKDATE_MS = 5 * 60_000;

export interface Making {
  readonly now: number;
  readonly timings: ServingTimings;
  readonly randomBytes: (size: number) => Uint8Array;
}

export const makeRoots = (making: Making): Roots => ({
  signing: makeRoot(making),
  next: makeRoot(making, 1),
  previous: '',
});

/** What should be now; the same object when that is what is. */
export function rotateRoots(roots: Roots, making: Making): Roots {
  const { signing, next, previous } = roots;
  const kept = dropEnded(previous, making.now);
  const isDue = making.now >= signing.notAfter - making.timings.rootMs / 2;
  if (isDue) {
    const before = dropEnded(signing.certificate + kept, making.now);
    // Again, for a controller that was away for years.
    return rotateRoots({ signing: next, next: makeRoot(making, 1), previous: before }, making);
  }
  return kept === previous ? roots : { ...roots, previous: kept };
}

/** What the API server is told. */
export const bundleRoots = ({ signing, next, previous }: Roots): string =>
  signing.certificate + next.certificate + previous;
/** What sidecars are told: their arguments outlive what signed before. */
export const bundleForSidecars = ({ signing, next }: Roots): string => signing.certificate + next.certificate;

/** `turn` 1: it will sign half a life later, and lives as much longer. */
function makeRoot({ now, timings, randomBytes }: Making, turn: 0 | 1 = 0): Root {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = exportSpki(publicKey);
  const id = identifyKey(spki);
  // Two roots of one name would be told apart by their key identifiers alone, which not every verifier looks at.
  const name = writeName({
    organization: 'sallyport.dev',
    commonName: `controller ${Buffer.from(id.subarray(0, 4)).toString('hex')}`,
  });
  const content: CertificateContent = {
    serial: randomBytes(16),
    issuer: name,
    subject: name,
    notBefore: now - BACKDATE_MS,
    notAfter: now + timings.rootMs + (turn * timings.rootMs) / 2,
    publicKey: spki,
    extensions: [basicConstraints({ pathLength: 0 }), keyUsage('keyCertSign', 'cRLSign'), subjectKeyIdentifier(id)],
  };
  return readRoot(signWith(privateKey, content), privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

/** @throws Error that holds nothing of the key */
function readRoot(certificate: string, key: string): Root {
  const { notBefore, notAfter, spki } = readFirst(certificate);
  if (!Buffer.from(spki).equals(exportSpki(createPublicKey(createPrivateKey(key))))) throw new Error('another’s key');
  return { certificate, key, notBefore, notAfter };
}

function readFirst(pem: string) {
  const [first] = parsePem(pem, MAX_CERTIFICATE_BYTES);
  if (first?.label !== 'CERTIFICATE') throw new Error('no certificate');
  return parseCertificate(first.der);
}

function dropEnded(bundle: string, now: number): string {
  return parsePem(bundle, MAX_CERTIFICATE_BYTES)
    .filter(({ der }) => parseCertificate(der).notAfter > now)
    .map(({ label, der }) => encodePem(label, der))
    .join('');
}

export interface Leaf extends ServingCertificate {
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  readonly renewAt: number;
}

/** A certificate for a server of these names, with a key that exists in this process only. */
export function signLeaf(signing: Root, names: AlternativeNames, { now, timings, randomBytes }: Making): Leaf {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = exportSpki(publicKey);
  const issuer = readFirst(signing.certificate);
  const notAfter = Math.min(now + timings.leafMs, signing.notAfter);
  const certificate = signWith(createPrivateKey(signing.key), {
    serial: randomBytes(16),
    issuer: issuer.subject.raw,
    subject: writeName({ organization: 'sallyport.dev', commonName: 'controller' }),
    notBefore: now - BACKDATE_MS,
    notAfter,
    publicKey: spki,
    extensions: [
      basicConstraints(),
      keyUsage('digitalSignature'),
      extendedKeyUsage('serverAuth'),
      subjectAlternativeName(names, false),
      subjectKeyIdentifier(identifyKey(spki)),
      authorityKeyIdentifier(identifyKey(issuer.spki)),
    ],
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certificate, key, notAfter, renewAt: now + (notAfter - now) / 2 };
}

function signWith(key: KeyObject, content: CertificateContent): string {
  const signer = {
    algorithm: 'ecdsa-sha256',
    sign: (bytes: Uint8Array) => new Uint8Array(sign('sha256', bytes, key)),
  } as const;
  return encodePem('CERTIFICATE', writeCertificate(content, signer));
}

const exportSpki = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ type: 'spki', format: 'der' }));
/** RFC 7093, method 1. */
const identifyKey = (spki: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(spki).digest().subarray(0, 20));

/** Data of the Secret, as text. */
export const writeRoots = ({ signing, next, previous }: Roots): Readonly<Record<string, string>> => ({
  'ca.crt': signing.certificate,
  'ca.key': signing.key,
  'next.crt': next.certificate,
  'next.key': next.key,
  'previous.crt': previous,
});

/** Undefined: it cannot be used. */
export function readRoots(data: Readonly<Record<string, string>>): Roots | undefined {
  try {
    const read = (name: string): Root => readRoot(data[`${name}.crt`] ?? '', data[`${name}.key`] ?? '');
    return { signing: read('ca'), next: read('next'), previous: dropEnded(data['previous.crt'] ?? '', -Infinity) };
  } catch {
    return undefined;
  }
}
