/**
 * demo: floor 3. A small public key infrastructure in pure Node: keys, authorities, certificates, revocation lists.
 * The demo and the tests make everything they present with it; nothing on the data path imports it.
 */
import { type KeyObject, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import {
  type Der,
  bitString,
  enumerated,
  explicit,
  integer,
  nullValue,
  objectIdentifier,
  sequence,
  time,
  toPem,
} from './der.ts';
import {
  type AlternativeNames,
  type Extension,
  type KeyUsage,
  type NameConstraints,
  type Purpose,
  type Subject,
  authorityKeyIdentifier,
  basicConstraints,
  crlNumber,
  encodeContextExtensions,
  encodeExtensions,
  encodeName,
  extendedKeyUsage,
  keyUsage,
  nameConstraints,
  subjectAlternativeName,
  subjectKeyIdentifier,
} from './extensions.ts';

export type KeyType = 'P-256' | 'P-384' | 'RSA' | 'Ed25519';
export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface Validity {
  /** Default: one hour ago. */
  readonly notBefore?: Date;
  /** Default: in 30 days. */
  readonly notAfter?: Date;
}

export interface AuthorityOptions extends Validity {
  /** Common name, or the whole subject. */
  readonly name: string | Subject;
  /** Default `P-256`; `RSA` has 2048 bits. */
  readonly keyType?: KeyType;
  readonly keyPair?: KeyPair;
  readonly pathLength?: number;
  readonly nameConstraints?: NameConstraints;
  /** Default keyCertSign and cRLSign; empty: the extension is left out. */
  readonly keyUsage?: readonly KeyUsage[];
  readonly extensions?: readonly Extension[];
  readonly hash?: 'sha1' | 'sha256' | 'sha384';
}

export interface LeafOptions extends Validity {
  readonly subject: string | Subject;
  readonly san?: AlternativeNames;
  /** Default `['clientAuth']`; empty: the extension is left out. */
  readonly usages?: readonly (Purpose | `${number}.${string}`)[];
  /** Default digitalSignature; empty: the extension is left out. */
  readonly keyUsage?: readonly KeyUsage[];
  readonly keyType?: KeyType;
  readonly keyPair?: KeyPair;
  /** Big-endian, 1 to 20 bytes. Default: 16 random ones. */
  readonly serial?: Uint8Array;
  /** Further extensions, written last. */
  readonly extensions?: readonly Extension[];
  /** For negative tests: `sha1`. Ed25519 has no choice. */
  readonly hash?: 'sha1' | 'sha256' | 'sha384';
  /** For negative tests: a leaf that says it is an authority. */
  readonly authority?: boolean;
}

export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** The certificate and the intermediates above it, without the root. */
  readonly chainPem: string;
  readonly der: Uint8Array;
  /** DER of `chainPem`, leaf first. */
  readonly chainDer: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Upper-case hex, as X.509 tools print it. */
  readonly serial: string;
  readonly sha1: string;
  readonly sha256: string;
  readonly notAfter: Date;
}

export interface CrlOptions {
  /** Default: one hour ago. */
  readonly thisUpdate?: Date;
  /** Default: in 7 days; `null`: the field is left out. */
  readonly nextUpdate?: Date | null;
  readonly number?: number;
  readonly extensions?: readonly Extension[];
  readonly hash?: 'sha1' | 'sha256' | 'sha384';
}

export interface Authority extends IssuedCertificate {
  issue(options: LeafOptions): IssuedCertificate;
  createIntermediate(options: AuthorityOptions): Authority;
  /** Puts a certificate on this authority's list; takes it or its serial number in hex. */
  revoke(certificate: IssuedCertificate | string, at?: Date): void;
  crlPem(options?: CrlOptions): string;
  crlDer(options?: CrlOptions): Uint8Array;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export function createKeyPair(type: KeyType = 'P-256'): KeyPair {
  if (type === 'RSA') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  if (type === 'Ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: type });
}

/** A self-signed root. */
export function createAuthority(options: AuthorityOptions): Authority {
  return makeAuthority(options, undefined);
}

/** What stands above a certificate: whose name and key sign it, and the chain it hands down. */
interface Signer {
  readonly name: Der;
  readonly keyPair: KeyPair;
  readonly chainDer: readonly Uint8Array[];
}

function makeAuthority(options: AuthorityOptions, parent: Signer | undefined): Authority {
  const keyPair = options.keyPair ?? createKeyPair(options.keyType);
  const name = encodeSubject(options.name);
  const usages = options.keyUsage ?? ['keyCertSign', 'cRLSign'];
  const certificate = makeCertificate(options, {
    signer: parent ?? { name, keyPair, chainDer: [] },
    subject: name,
    keyPair,
    serial: randomSerial(),
    extensions: [
      basicConstraints(true, options.pathLength),
      ...(usages.length > 0 ? [keyUsage(usages)] : []),
      ...(options.nameConstraints ? [nameConstraints(options.nameConstraints)] : []),
      ...(options.extensions ?? []),
    ],
  });
  const signer: Signer = { name, keyPair, chainDer: parent === undefined ? [] : certificate.chainDer };
  const revoked = new Map<string, Date>();
  const crlDer = (crl: CrlOptions = {}): Uint8Array => makeCrl(signer, revoked, crl);
  return {
    ...certificate,
    issue: leaf => issueLeaf(leaf, signer),
    createIntermediate: intermediate => makeAuthority(intermediate, signer),
    revoke: (target, at = new Date()) => {
      revoked.set((typeof target === 'string' ? target : target.serial).toUpperCase(), at);
    },
    crlDer,
    crlPem: crl => toPem('X509 CRL', crlDer(crl)),
  };
}

function issueLeaf(options: LeafOptions, signer: Signer): IssuedCertificate {
  const usages = options.usages ?? ['clientAuth'];
  const keyUsages = options.keyUsage ?? ['digitalSignature'];
  return makeCertificate(options, {
    signer,
    subject: encodeSubject(options.subject),
    keyPair: options.keyPair ?? createKeyPair(options.keyType),
    serial: options.serial ?? randomSerial(),
    extensions: [
      basicConstraints(options.authority ?? false),
      ...(keyUsages.length > 0 ? [keyUsage(keyUsages)] : []),
      ...(usages.length > 0 ? [extendedKeyUsage(usages)] : []),
      ...(options.san ? [subjectAlternativeName(options.san)] : []),
      ...(options.extensions ?? []),
    ],
  });
}

interface CertificateParts {
  readonly signer: Signer;
  readonly subject: Der;
  readonly keyPair: KeyPair;
  readonly serial: Uint8Array;
  readonly extensions: readonly Extension[];
}

type Hash = 'sha1' | 'sha256' | 'sha384';

function makeCertificate(
  { notBefore, notAfter, hash }: Validity & { readonly hash?: Hash },
  { signer, subject, keyPair, serial, extensions }: CertificateParts,
): IssuedCertificate {
  const until = notAfter ?? new Date(Date.now() + 30 * DAY);
  const spki = exportSpki(keyPair);
  const signed = signDer(signer, hash, algorithm =>
    sequence(
      explicit(0, integer(2)),
      integer(serial),
      algorithm,
      signer.name,
      sequence(time(notBefore ?? new Date(Date.now() - HOUR)), time(until)),
      subject,
      spki,
      encodeContextExtensions(
        [
          subjectKeyIdentifier(identifyKey(keyPair)),
          authorityKeyIdentifier(identifyKey(signer.keyPair)),
          ...extensions,
        ],
        3,
      ),
    ),
  );
  return describeCertificate(signed, { signer, keyPair, serial, notAfter: until });
}

function describeCertificate(
  der: Uint8Array,
  { signer, keyPair, serial, notAfter }: Pick<CertificateParts, 'signer' | 'keyPair' | 'serial'> & { notAfter: Date },
): IssuedCertificate {
  const chainDer = [der, ...signer.chainDer];
  const digest = (name: string): string => createHash(name).update(der).digest('hex').toUpperCase();
  return {
    certificatePem: toPem('CERTIFICATE', der),
    keyPem: keyPair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chainPem: chainDer.map(link => toPem('CERTIFICATE', link)).join(''),
    der,
    chainDer,
    privateKey: keyPair.privateKey,
    publicKey: keyPair.publicKey,
    serial: Buffer.from(serial).toString('hex').toUpperCase(),
    sha1: digest('sha1'),
    sha256: digest('sha256'),
    notAfter,
  };
}

function makeCrl(signer: Signer, revoked: ReadonlyMap<string, Date>, options: CrlOptions): Uint8Array {
  const nextUpdate = options.nextUpdate === undefined ? new Date(Date.now() + 7 * DAY) : options.nextUpdate;
  const entries = [...revoked].map(([serial, at]) =>
    sequence(
      integer(new Uint8Array(Buffer.from(serial, 'hex'))),
      time(at),
      encodeExtensions([{ oid: '2.5.29.21', value: enumerated(1) }]), // reasonCode: keyCompromise
    ),
  );
  return signDer(signer, options.hash, algorithm =>
    sequence(
      integer(1),
      algorithm,
      signer.name,
      time(options.thisUpdate ?? new Date(Date.now() - HOUR)),
      ...(nextUpdate === null ? [] : [time(nextUpdate)]),
      ...(entries.length > 0 ? [sequence(...entries)] : []), // an empty list must be absent (RFC 5280, 5.1.2.6)
      encodeContextExtensions(
        [
          authorityKeyIdentifier(identifyKey(signer.keyPair)),
          crlNumber(options.number ?? 1),
          ...(options.extensions ?? []),
        ],
        0,
      ),
    ),
  );
}

function signDer(signer: Signer, hash: Hash = 'sha256', makeBody: (algorithm: Der) => Der): Uint8Array {
  const { privateKey } = signer.keyPair;
  const algorithm = signatureAlgorithm(privateKey, hash);
  const body = makeBody(algorithm);
  const signature = sign(privateKey.asymmetricKeyType === 'ed25519' ? null : hash, body, privateKey);
  return sequence(body, algorithm, bitString(signature));
}

function signatureAlgorithm(key: KeyObject, hash: Hash): Der {
  if (key.asymmetricKeyType === 'ed25519') return sequence(objectIdentifier('1.3.101.112'));
  if (key.asymmetricKeyType === 'ec') {
    const oids = { sha1: '1.2.840.10045.4.1', sha256: '1.2.840.10045.4.3.2', sha384: '1.2.840.10045.4.3.3' };
    return sequence(objectIdentifier(oids[hash]));
  }
  const oids = { sha1: '1.2.840.113549.1.1.5', sha256: '1.2.840.113549.1.1.11', sha384: '1.2.840.113549.1.1.12' };
  return sequence(objectIdentifier(oids[hash]), nullValue());
}

function encodeSubject(subject: string | Subject): Der {
  return encodeName(typeof subject === 'string' ? { CN: subject } : subject);
}

function exportSpki({ publicKey }: KeyPair): Uint8Array {
  return new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
}

function identifyKey(keyPair: KeyPair): Uint8Array {
  return new Uint8Array(createHash('sha256').update(exportSpki(keyPair)).digest().subarray(0, 20));
}

function randomSerial(): Uint8Array {
  const bytes = new Uint8Array(randomBytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40; // positive, and never shortened
  return bytes;
}
