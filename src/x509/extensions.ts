/** Extensions of RFC 5280 4.2 that path validation reads. */
import { Asn1Error, childrenOf, contentOf, parseDer, primitiveOf, someOf, tagOf, UNIVERSAL, type Node } from './der.ts';
import { parseAlternativeNames, parseGeneralName, type GeneralName } from './general-name.ts';
import { parseNameConstraints, type NameConstraints } from './name-constraints.ts';
import { booleanOf, hex, namedBitsOf, octetsOf, oidOf, smallIntegerOf } from './primitives.ts';

export interface BasicConstraints {
  readonly ca: boolean;
  readonly pathLength?: number;
}

export interface KeyUsage {
  readonly digitalSignature: boolean;
  readonly keyAgreement: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

export interface Extensions {
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: KeyUsage | undefined;
  /** Dotted decimal. */
  readonly extendedKeyUsage: ReadonlySet<string> | undefined;
  readonly subjectAltName: readonly GeneralName[] | undefined;
  readonly subjectAltNameCritical: boolean;
  readonly nameConstraints: NameConstraints | undefined;
  /** Upper-case hex. */
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  /** URIs at which the issuer publishes the list that covers this certificate. */
  readonly distributionPoints: readonly string[];
  readonly policyConstraints: boolean;
  /** A critical extension that nothing here acts on: the certificate must be refused (RFC 5280 4.2). */
  readonly unknownCritical: boolean;
}

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

const MAX_EXTENSIONS = 64;

/** Extensions by identifier, in order. @throws Asn1Error, also when one occurs twice: readers would differ in which counts. */
export function parseExtensionList(node: Node | undefined): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  for (const item of someOf(node)) {
    const fields = childrenOf(item);
    const flagged = fields.length === 3;
    if (fields.length < 2 || fields.length > 3) throw new Asn1Error('extension has a wrong form');
    const oid = oidOf(fields[0]);
    if (found.has(oid)) throw new Asn1Error('an extension occurs twice');
    const value = octetsOf(fields[flagged ? 2 : 1]);
    found.set(oid, { oid, critical: flagged && booleanOf(fields[1]), value });
  }
  if (found.size > MAX_EXTENSIONS) throw new Asn1Error('too many extensions');
  return found;
}

const ID = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  distributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyId: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
} as const;

/**
 * Those whose criticality is honoured because validation acts on them. certificatePolicies is here since with the
 * any-policy set as what we ask for (RFC 5280 6.1.1 c) it constrains nothing; what would make it constrain, policyConstraints
 * and inhibitAnyPolicy, is not processed, and a path that holds it is refused. Key identifiers must not be critical.
 */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  ID.keyUsage,
  ID.subjectAltName,
  ID.basicConstraints,
  ID.nameConstraints,
  ID.certificatePolicies,
  ID.extendedKeyUsage,
]);

export const NO_EXTENSIONS: Extensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  subjectAltName: undefined,
  nameConstraints: undefined,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  subjectAltNameCritical: false,
  distributionPoints: [],
  policyConstraints: false,
  unknownCritical: false,
};

/** @throws Asn1Error when one that is read here is malformed, critical or not. */
export function readExtensions(list: ReadonlyMap<string, Extension>): Extensions {
  const read = <T>(oid: string, parse: (node: Node) => T): T | undefined => {
    const extension = list.get(oid);
    return extension === undefined ? undefined : parse(parseDer(extension.value));
  };
  const subjectKeyId = read(ID.subjectKeyId, octetsOf);
  return {
    basicConstraints: read(ID.basicConstraints, parseBasicConstraints),
    keyUsage: read(ID.keyUsage, parseKeyUsage),
    extendedKeyUsage: read(ID.extendedKeyUsage, node => new Set(someOf(node).map(oidOf))),
    subjectAltName: read(ID.subjectAltName, parseAlternativeNames),
    subjectAltNameCritical: list.get(ID.subjectAltName)?.critical ?? false,
    nameConstraints: read(ID.nameConstraints, parseNameConstraints),
    subjectKeyId: subjectKeyId === undefined ? undefined : hex(subjectKeyId),
    authorityKeyId: read(ID.authorityKeyId, parseAuthorityKeyId),
    distributionPoints: read(ID.distributionPoints, parseDistributionPoints) ?? [],
    policyConstraints: list.has(ID.policyConstraints),
    unknownCritical: [...list.values()].some(({ oid, critical }) => critical && !UNDERSTOOD.has(oid)),
  };
}

function parseBasicConstraints(node: Node): BasicConstraints {
  const fields = childrenOf(node);
  const flagged = fields[0] !== undefined && tagOf(fields[0]) === UNIVERSAL.boolean;
  const ca = flagged && booleanOf(fields[0]);
  const length = fields[flagged ? 1 : 0];
  if (fields.length > (flagged ? 2 : 1)) throw new Asn1Error('basicConstraints has a wrong form');
  if (length === undefined) return { ca };
  if (!ca) throw new Asn1Error('pathLenConstraint without cA');
  return { ca, pathLength: smallIntegerOf(length) };
}

function parseKeyUsage(node: Node): KeyUsage {
  const bit = namedBitsOf(node);
  if (contentOf(node).every((octet, at) => at === 0 || octet === 0)) throw new Asn1Error('keyUsage is empty');
  return { digitalSignature: bit(0), keyAgreement: bit(4), keyCertSign: bit(5), crlSign: bit(6) };
}

function parseAuthorityKeyId(node: Node): string | undefined {
  const id = childrenOf(node).find(field => tagOf(field) === 0x80);
  return id === undefined ? undefined : hex(primitiveOf(id, 0x80));
}

/** URIs of complete distribution points; those limited to some reasons or signed by another issuer are left out. */
function parseDistributionPoints(node: Node): readonly string[] {
  const uris: string[] = [];
  for (const point of someOf(node)) {
    const [name, extra] = childrenOf(point);
    if (name !== undefined && extra === undefined && tagOf(name) === 0xa0) uris.push(...fullNameUris(name));
  }
  return uris;
}

/** URIs of `[0] DistributionPointName`; empty for a name relative to the issuer. @throws Asn1Error */
export function fullNameUris(node: Node): readonly string[] {
  const [choice] = childrenOf(node, 0xa0);
  if (choice === undefined || tagOf(choice) !== 0xa0) return [];
  return childrenOf(choice, 0xa0)
    .map(parseGeneralName)
    .flatMap(name => (name.type === 'uri' ? [name.text] : []));
}
