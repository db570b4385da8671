/** A certificate's bytes, read strictly (RFC 5280 4.1). Nothing here says whether it is trusted. */
import { parsePublicKey, parseSignatureAlgorithm, sameAlgorithm } from './algorithm.ts';
import type { PublicKey, SignatureAlgorithm } from './algorithm.ts';
import { Asn1Error, childrenOf, parseDer, rawOf, tagOf, type Node } from './der.ts';
import { NO_EXTENSIONS, parseExtensionList, readExtensions, type Extensions } from './extensions.ts';
import { isEmptyName, parseName, type DistinguishedName } from './name.ts';
import { integerBytesOf, latin1, smallIntegerOf, timeOf, wholeBitsOf } from './primitives.ts';

export interface Certificate {
  /** Exactly as received. */
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly version: 1 | 2 | 3;
  /** Content of the INTEGER as one character an octet: what revocation lists are searched by. */
  readonly serial: string;
  readonly serialBytes: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Milliseconds since the epoch; the second named by notAfter still belongs to the validity. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly key: PublicKey;
  readonly extensions: Extensions;
}

/** Largest certificate that is read (GHSA-r4pg-vg54-wxx4). */
export const MAX_CERTIFICATE_BYTES = 64 * 1024;

/**
 * Reads one certificate. Refused besides what is not DER: trailing bytes, more than 64 KiB, a serial number that is
 * negative or longer than 20 octets, unequal algorithm identifiers, extensions in another version than 3, duplicate or
 * malformed extensions, an empty issuer, an empty subject without a critical alternative name.
 * @throws Asn1Error and nothing else
 */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) throw new Asn1Error('certificate is larger than 64 KiB');
  const [tbs, outer, signature, extra] = childrenOf(parseDer(der));
  if (tbs === undefined || outer === undefined || extra !== undefined) throw new Asn1Error('not a certificate');
  const { version, fields, optional } = readTbs(tbs);
  const [serial, inner, issuer, validity, subject, spki] = fields;
  if (inner === undefined || spki === undefined) throw new Asn1Error('certificate is incomplete');
  if (!sameAlgorithm(inner, outer)) throw new Asn1Error('signature algorithms differ');
  const [notBefore, notAfter, more] = childrenOf(validity);
  if (more !== undefined) throw new Asn1Error('validity has a wrong form');
  const serialBytes = readSerial(serial);
  const certificate: Certificate = {
    der,
    tbs: rawOf(tbs),
    algorithm: parseSignatureAlgorithm(outer),
    signature: wholeBitsOf(signature),
    version,
    serial: latin1(serialBytes),
    serialBytes,
    issuer: parseName(issuer),
    subject: parseName(subject),
    notBefore: timeOf(notBefore),
    notAfter: timeOf(notAfter),
    spki: rawOf(spki),
    key: parsePublicKey(spki),
    extensions: readOptional(optional, version),
  };
  checkNames(certificate);
  return certificate;
}

function readTbs(tbs: Node): { version: 1 | 2 | 3; fields: readonly Node[]; optional: readonly Node[] } {
  const all = childrenOf(tbs);
  const tagged = all[0] !== undefined && tagOf(all[0]) === 0xa0;
  const at = tagged ? 1 : 0;
  const version = tagged ? readVersion(all[0]) : 1;
  return { version, fields: all.slice(at, at + 6), optional: all.slice(at + 6) };
}

function readVersion(node: Node | undefined): 1 | 2 | 3 {
  const [number, extra] = childrenOf(node, 0xa0);
  const value = smallIntegerOf(number);
  // 0 would be the default, which DER leaves out.
  if (extra !== undefined || (value !== 1 && value !== 2)) throw new Asn1Error('version is not 1, 2 or 3');
  return value === 1 ? 2 : 3;
}

function readSerial(node: Node | undefined): Uint8Array {
  const bytes = integerBytesOf(node);
  if ((bytes[0] ?? 0) >= 0x80) throw new Asn1Error('serial number is negative');
  // 20 octets of RFC 5280 4.1.2.2, and a leading zero where the first bit is set.
  if (bytes.length > 21 || (bytes.length === 21 && bytes[0] !== 0)) throw new Asn1Error('serial number is too long');
  return bytes;
}

/** Unique identifiers ([1], [2]) are skipped, extensions ([3]) read; any other order or tag is refused. */
function readOptional(nodes: readonly Node[], version: 1 | 2 | 3): Extensions {
  let last = 0;
  let extensions = NO_EXTENSIONS;
  for (const node of nodes) {
    const tag = tagOf(node);
    const rank = [0x81, 0x82, 0xa3].indexOf(tag) + 1;
    if (rank <= last) throw new Asn1Error('certificate has an unknown field');
    if (version === 1 || (rank === 3 && version !== 3)) throw new Asn1Error('field of a later version');
    if (rank === 3) {
      const [list, extra] = childrenOf(node, 0xa3);
      if (extra !== undefined) throw new Asn1Error('extensions have a wrong form');
      extensions = readExtensions(parseExtensionList(list));
    }
    last = rank;
  }
  return extensions;
}

function checkNames({ issuer, subject, extensions }: Certificate): void {
  if (isEmptyName(issuer)) throw new Asn1Error('issuer is empty');
  if (!isEmptyName(subject)) return;
  if (extensions.basicConstraints?.ca === true) throw new Asn1Error('subject of a CA is empty');
  const named = extensions.subjectAltName !== undefined && extensions.subjectAltNameCritical;
  if (!named) throw new Asn1Error('subject is empty without a critical alternative name');
}

/** Same name in subject and issuer (RFC 5280 6.1: not counted by path length constraints). */
export const isSelfIssued = ({ issuer, subject }: Certificate): boolean => issuer.key === subject.key;

/** Self-issued, and its own key identifier where it names one: the end of a chain, as OpenSSL sees it. */
export function isRoot(certificate: Certificate): boolean {
  const { authorityKeyId, subjectKeyId } = certificate.extensions;
  return isSelfIssued(certificate) && (authorityKeyId === undefined || authorityKeyId === subjectKeyId);
}
