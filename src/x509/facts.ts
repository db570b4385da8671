/** What expressions, logs and identities see of a certificate. */
import type { Certificate } from './certificate.ts';
import { formatAddress, type GeneralName } from './general-name.ts';
import { attributesOf, formatName } from './name.ts';
import { hex } from './primitives.ts';

/** A certificate's public facts, as expressions see them (`cert`). */
export interface CertificateFacts {
  /** Upper-case hex. */
  readonly sha1: string;
  readonly sha256: string;
  /** Base64 of the SHA-256 of the public key. */
  readonly publicKeyPin: string;
  /** Upper-case hex without leading zeros. */
  readonly serialNumber: string;
  /** By attribute type (CN, O, OU, C, L, ST, DC, emailAddress, serialNumber, UID, or dotted decimal); a type that occurs twice is absent (P2). */
  readonly subject: Readonly<Record<string, string>>;
  readonly issuer: Readonly<Record<string, string>>;
  /** RFC 4514 text, most specific first. */
  readonly subjectText: string;
  readonly issuerText: string;
  readonly subjectAltName: {
    readonly uri: readonly string[];
    readonly dns: readonly string[];
    readonly email: readonly string[];
    readonly ip: readonly string[];
  };
  readonly notBefore: number;
  readonly notAfter: number;
  /** Of the issuing certificate in the validated path: upper-case hex SHA-1 and SHA-256. */
  readonly issuerThumbprints?: readonly string[];
}

/** Hashes as the caller has them; results are raw octets. */
export interface Hashing {
  sha1(bytes: Uint8Array): Uint8Array;
  sha256(bytes: Uint8Array): Uint8Array;
  base64(bytes: Uint8Array): string;
}

export function describeCertificate(
  certificate: Certificate,
  hashing: Hashing,
  issuer?: Certificate,
): CertificateFacts {
  const { der, spki, serialBytes, subject, notBefore, notAfter } = certificate;
  const names = certificate.extensions.subjectAltName ?? [];
  const thumbprints = (bytes: Uint8Array) => [hex(hashing.sha1(bytes)), hex(hashing.sha256(bytes))] as const;
  const [sha1, sha256] = thumbprints(der);
  return {
    sha1,
    sha256,
    publicKeyPin: hashing.base64(hashing.sha256(spki)),
    serialNumber: hex(serialBytes).replace(/^0+(?=.)/, ''),
    subject: attributesOf(subject),
    issuer: attributesOf(certificate.issuer),
    subjectText: formatName(subject),
    issuerText: formatName(certificate.issuer),
    subjectAltName: {
      uri: textsOf(names, 'uri'),
      dns: textsOf(names, 'dns'),
      email: textsOf(names, 'email'),
      ip: names.flatMap(name => (name.type === 'ip' ? [formatAddress(name.bytes)] : [])),
    },
    notBefore,
    notAfter,
    ...(issuer === undefined ? {} : { issuerThumbprints: thumbprints(issuer.der) }),
  };
}

function textsOf(names: readonly GeneralName[], type: 'uri' | 'dns' | 'email'): readonly string[] {
  return names.flatMap(name => (name.type === type ? [name.text] : []));
}
