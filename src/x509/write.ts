/**
 * Writes certificates and certificate requests (RFC 5280 4.1, RFC 2986). DER by asn1js; who signs is an argument. What is
 * written here is read back by certificate.ts and certificate-request.ts, which are strict.
 */
import {
  BitString,
  Boolean as Asn1Boolean,
  Constructed,
  GeneralizedTime,
  Integer,
  Null,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  Set as Asn1Set,
  UTCTime,
  Utf8String,
  type BaseBlock,
} from 'asn1js';
import { parseDer } from './der.ts';

export interface Signer {
  readonly algorithm: 'ecdsa-sha256' | 'ecdsa-sha384' | 'rsa-sha256' | 'ed25519';
  /** The signature as X.509 holds it: of ECDSA a DER sequence. */
  sign(bytes: Uint8Array): Uint8Array;
}

export interface CertificateContent {
  /** Big-endian; 16 random bytes, say. Written as a positive number. */
  readonly serial: Uint8Array;
  /** DER of a name: nameOf, or the subject of the certificate above. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Milliseconds since the epoch; seconds are written. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly extensions: readonly WrittenExtension[];
}

export interface WrittenExtension {
  readonly oid: string;
  readonly critical: boolean;
  /** DER of the value. */
  readonly value: Uint8Array;
}

export function writeCertificate(content: CertificateContent, signer: Signer): Uint8Array {
  const algorithm = (): BaseBlock => algorithmOf(signer.algorithm);
  const tbs = sequence(
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [new Integer({ value: 2 })] }),
    new Integer({ valueHex: toPositive(content.serial) }),
    algorithm(),
    raw(content.issuer),
    sequence(time(content.notBefore), time(content.notAfter)),
    raw(content.subject),
    raw(content.publicKey),
    new Constructed({
      idBlock: { tagClass: 3, tagNumber: 3 },
      value: [sequence(...content.extensions.map(extension))],
    }),
  );
  return seal(tbs, algorithm(), signer);
}

/** PKCS #10, without attributes. */
export function writeCertificateRequest(subject: Uint8Array, publicKey: Uint8Array, signer: Signer): Uint8Array {
  const attributes = new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [] });
  const info = sequence(new Integer({ value: 0 }), raw(subject), raw(publicKey), attributes);
  return seal(info, algorithmOf(signer.algorithm), signer);
}

function seal(signed: BaseBlock, algorithm: BaseBlock, signer: Signer): Uint8Array {
  const signature = new BitString({ valueHex: toBuffer(signer.sign(encode(signed))) });
  return encode(sequence(signed, algorithm, signature));
}

/** A name of common name and, before it, organization; without either the empty name. */
export function writeName({ organization, commonName }: { organization?: string; commonName?: string }): Uint8Array {
  const part = (oid: string, text: string | undefined): BaseBlock[] =>
    text === undefined
      ? []
      : [new Asn1Set({ value: [sequence(new ObjectIdentifier({ value: oid }), new Utf8String({ value: text }))] })];
  return encode(sequence(...part('2.5.4.10', organization), ...part('2.5.4.3', commonName)));
}

/** Absent `ca`: an end entity, said explicitly. */
export function basicConstraints(ca?: { readonly pathLength?: number }): WrittenExtension {
  const { pathLength } = ca ?? {};
  const parts: BaseBlock[] = ca === undefined ? [] : [new Asn1Boolean({ value: true })];
  if (pathLength !== undefined) parts.push(new Integer({ value: pathLength }));
  return { oid: '2.5.29.19', critical: true, value: encode(sequence(...parts)) };
}

const USAGE_BITS = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const;

export function keyUsage(...usages: readonly (keyof typeof USAGE_BITS)[]): WrittenExtension {
  const bits = usages.map(usage => USAGE_BITS[usage]);
  // The bits of one octet suffice; trailing zeros are not written (X.690 11.2.2).
  const octet = bits.reduce<number>((sum, bit) => sum | (0x80 >> bit), 0);
  const unusedBits = 7 - Math.max(...bits);
  const value = new BitString({ valueHex: toBuffer(Uint8Array.of(octet)), unusedBits });
  return { oid: '2.5.29.15', critical: true, value: encode(value) };
}

const PURPOSES = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const;

export function extendedKeyUsage(...purposes: readonly (keyof typeof PURPOSES)[]): WrittenExtension {
  const oids = purposes.map(purpose => new ObjectIdentifier({ value: PURPOSES[purpose] }));
  return { oid: '2.5.29.37', critical: false, value: encode(sequence(...oids)) };
}

export interface AlternativeNames {
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  /** 4 or 16 bytes each. */
  readonly ip?: readonly Uint8Array[];
}

/** Critical where the subject is empty (RFC 5280 4.2.1.6). */
export function subjectAlternativeName(names: AlternativeNames, critical: boolean): WrittenExtension {
  const text = (tagNumber: number, value: string): BaseBlock => tagged(tagNumber, new TextEncoder().encode(value));
  const all = [
    ...(names.dns ?? []).map(name => text(2, name)),
    ...(names.uri ?? []).map(name => text(6, name)),
    ...(names.ip ?? []).map(address => tagged(7, address)),
  ];
  return { oid: '2.5.29.17', critical, value: encode(sequence(...all)) };
}

export const subjectKeyIdentifier = (id: Uint8Array): WrittenExtension => ({
  oid: '2.5.29.14',
  critical: false,
  value: encode(new OctetString({ valueHex: toBuffer(id) })),
});

export const authorityKeyIdentifier = (id: Uint8Array): WrittenExtension => ({
  oid: '2.5.29.35',
  critical: false,
  value: encode(sequence(tagged(0, id))),
});

function extension({ oid, critical, value }: WrittenExtension): BaseBlock {
  const flag = critical ? [new Asn1Boolean({ value: true })] : [];
  return sequence(new ObjectIdentifier({ value: oid }), ...flag, new OctetString({ valueHex: toBuffer(value) }));
}

function algorithmOf(name: Signer['algorithm']): BaseBlock {
  const oid = (value: string): BaseBlock => new ObjectIdentifier({ value });
  switch (name) {
    case 'ecdsa-sha256':
      return sequence(oid('1.2.840.10045.4.3.2'));
    case 'ecdsa-sha384':
      return sequence(oid('1.2.840.10045.4.3.3'));
    case 'rsa-sha256':
      return sequence(oid('1.2.840.113549.1.1.11'), new Null());
    case 'ed25519':
      return sequence(oid('1.3.101.112'));
  }
}

const sequence = (...value: BaseBlock[]): BaseBlock => new Sequence({ value });
const tagged = (tagNumber: number, bytes: Uint8Array): BaseBlock =>
  new Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: toBuffer(bytes) });
/** An element that is encoded already; DER is written again as it was. @throws Asn1Error */
const raw = (bytes: Uint8Array): BaseBlock => parseDer(bytes);

const encode = (block: BaseBlock): Uint8Array => new Uint8Array(block.toBER());

/** A buffer of its own: asn1js keeps what it is given. */
function toBuffer(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}

/** An INTEGER that is neither negative nor padded. */
function toPositive(bytes: Uint8Array): ArrayBuffer {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const significant = bytes.subarray(from);
  return toBuffer((significant[0] ?? 0) >= 0x80 ? Uint8Array.of(0, ...significant) : significant);
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
function time(ms: number): BaseBlock {
  const valueDate = new Date(Math.floor(ms / 1000) * 1000);
  return valueDate.getUTCFullYear() < 2050 ? new UTCTime({ valueDate }) : new GeneralizedTime({ valueDate });
}
