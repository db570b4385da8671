/** Certificate revocation lists (RFC 5280 5), complete and direct ones only. */
import { parseSignatureAlgorithm, sameAlgorithm, fitsKey, isKeyAcceptable } from './algorithm.ts';
import type { SignatureAlgorithm } from './algorithm.ts';
import type { Certificate } from './certificate.ts';
import { Asn1Error, childrenOf, parseDer, readFrame, tagOf, UNIVERSAL, type Frame, type Node } from './der.ts';
import { fullNameUris, parseExtensionList } from './extensions.ts';
import { isEmptyName, parseName, type DistinguishedName } from './name.ts';
import { booleanOf, integerBytesOf, smallIntegerOf, timeOf, wholeBitsOf } from './primitives.ts';

/** Which certificates of its issuer a list speaks of (issuingDistributionPoint). */
export interface CrlScope {
  readonly leaves: boolean;
  readonly authorities: boolean;
  /** Absent: every one; else only certificates that name one of these distribution points. */
  readonly uris?: readonly string[];
}

export interface Crl {
  readonly tbs: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly issuer: DistinguishedName;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers as Certificate.serial has them. */
  readonly revoked: ReadonlySet<string>;
  readonly scope: CrlScope;
}

export const MAX_CRL_BYTES = 16 * 1024 * 1024;
const EVERYTHING: CrlScope = { leaves: true, authorities: true };

/**
 * Reads one list. Entries are walked octet by octet, not turned into objects: 100,000 of them cost some tens of
 * milliseconds and the memory of their serial numbers. Refused: no nextUpdate (nothing would say when it is stale), delta
 * and indirect lists, lists for some reasons only, unknown critical extensions of the list or of an entry.
 * @throws Asn1Error and nothing else
 */
export function parseCrl(der: Uint8Array): Crl {
  if (der.length > MAX_CRL_BYTES) throw new Asn1Error('list is larger than 16 MiB');
  const whole = expect(readFrame(der, 0, der.length), UNIVERSAL.sequence);
  if (whole.end !== der.length) throw new Asn1Error('trailing bytes');
  const [tbs, outer, signature, extra] = framesOf(der, whole);
  if (tbs === undefined || outer === undefined || signature === undefined || extra !== undefined) {
    throw new Asn1Error('not a revocation list');
  }
  const parts = readTbs(der, expect(tbs, UNIVERSAL.sequence));
  const outerNode = nodeAt(der, outer);
  if (!sameAlgorithm(parts.inner, outerNode)) throw new Asn1Error('signature algorithms differ');
  return {
    tbs: der.subarray(tbs.start, tbs.end),
    algorithm: parseSignatureAlgorithm(outerNode),
    signature: wholeBitsOf(nodeAt(der, signature)),
    ...parts.fields,
  };
}

const nodeAt = (der: Uint8Array, { start, end }: Frame): Node => parseDer(der.subarray(start, end));

function expect(frame: Frame, tag: number): Frame {
  if (frame.tag !== tag) throw new Asn1Error('another type was expected');
  return frame;
}

function framesOf(der: Uint8Array, parent: Frame): Frame[] {
  const frames: Frame[] = [];
  for (let at = parent.content; at < parent.end;) {
    const frame = readFrame(der, at, parent.end);
    frames.push(frame);
    if (frames.length > 8) throw new Asn1Error('list has an unknown field');
    at = frame.end;
  }
  return frames;
}

type TbsFields = Pick<Crl, 'issuer' | 'thisUpdate' | 'nextUpdate' | 'revoked' | 'scope'>;

function readTbs(der: Uint8Array, tbs: Frame): { inner: Node; fields: TbsFields } {
  const frames = framesOf(der, tbs);
  const take = (...tags: number[]): Frame | undefined =>
    frames[0] !== undefined && tags.includes(frames[0].tag) ? frames.shift() : undefined;
  const need = (...tags: number[]): Node => {
    const frame = take(...tags);
    if (frame === undefined) throw new Asn1Error('list is incomplete');
    return nodeAt(der, frame);
  };
  const version = take(UNIVERSAL.integer);
  if (version !== undefined && smallIntegerOf(nodeAt(der, version)) !== 1) throw new Asn1Error('list is not version 2');
  const inner = need(UNIVERSAL.sequence);
  const issuer = parseName(need(UNIVERSAL.sequence));
  if (isEmptyName(issuer)) throw new Asn1Error('issuer is empty');
  const thisUpdate = timeOf(need(UNIVERSAL.utcTime, UNIVERSAL.generalizedTime));
  const nextUpdate = timeOf(need(UNIVERSAL.utcTime, UNIVERSAL.generalizedTime));
  const entries = take(UNIVERSAL.sequence);
  const extensions = take(0xa0);
  if (frames.length > 0 || (extensions !== undefined && version === undefined)) {
    throw new Asn1Error('list has an unknown field');
  }
  const revoked = entries === undefined ? new Set<string>() : readEntries(der, entries);
  const scope = extensions === undefined ? EVERYTHING : readScope(nodeAt(der, extensions));
  return { inner, fields: { issuer, thisUpdate, nextUpdate, revoked, scope } };
}

function readEntries(der: Uint8Array, list: Frame): Set<string> {
  const revoked = new Set<string>();
  for (let at = list.content; at < list.end;) {
    const entry = expect(readFrame(der, at, list.end), UNIVERSAL.sequence);
    const serial = expect(readFrame(der, entry.content, entry.end), UNIVERSAL.integer);
    const date = readFrame(der, serial.end, entry.end);
    if (date.tag !== UNIVERSAL.utcTime && date.tag !== UNIVERSAL.generalizedTime)
      throw new Asn1Error('entry has no date');
    revoked.add(serialAt(der, serial));
    if (date.end < entry.end) checkEntryExtensions(der, date.end, entry.end);
    at = entry.end;
  }
  return revoked;
}

function serialAt(der: Uint8Array, { content, end }: Frame): string {
  if (end - content > 64 || end === content) throw new Asn1Error('serial number has a wrong length');
  let text = '';
  for (let at = content; at < end; at++) text += String.fromCharCode(der[at] ?? 0);
  return text;
}

/** certificateIssuer, which makes a list indirect, is critical: read over, it would revoke another CA's certificates. */
function checkEntryExtensions(der: Uint8Array, start: number, limit: number): void {
  const list = expect(readFrame(der, start, limit), UNIVERSAL.sequence);
  if (list.end !== limit) throw new Asn1Error('entry has an unknown field');
  for (let at = list.content; at < list.end;) {
    const extension = expect(readFrame(der, at, list.end), UNIVERSAL.sequence);
    const oid = expect(readFrame(der, extension.content, extension.end), UNIVERSAL.oid);
    const next = readFrame(der, oid.end, extension.end);
    if (next.tag === UNIVERSAL.boolean && der[next.content] !== 0)
      throw new Asn1Error('entry has a critical extension');
    at = extension.end;
  }
}

const CRL_NUMBER = '2.5.29.20';
const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';

function readScope(node: Node): CrlScope {
  const [list, extra] = childrenOf(node, 0xa0);
  if (extra !== undefined) throw new Asn1Error('extensions have a wrong form');
  const extensions = parseExtensionList(list);
  const number = extensions.get(CRL_NUMBER);
  if (number !== undefined) integerBytesOf(parseDer(number.value));
  for (const { oid, critical } of extensions.values()) {
    // The delta indicator is one of these: alone, a delta list would look like a short complete one.
    if (critical && oid !== ISSUING_DISTRIBUTION_POINT) throw new Asn1Error('list has an unknown critical extension');
  }
  const point = extensions.get(ISSUING_DISTRIBUTION_POINT);
  return point === undefined ? EVERYTHING : readDistributionPoint(parseDer(point.value));
}

function readDistributionPoint(node: Node): CrlScope {
  const fields = new Map(childrenOf(node).map(field => [tagOf(field), field]));
  const flag = (tag: number) => fields.has(tag) && booleanOf(fields.get(tag), tag);
  const known = [0xa0, 0x81, 0x82, 0x83, 0x84, 0x85];
  if ([...fields.keys()].some(tag => !known.includes(tag)))
    throw new Asn1Error('distribution point has an unknown field');
  if (fields.has(0x83) || flag(0x84) || flag(0x85)) throw new Asn1Error('list is indirect or for some reasons only');
  const name = fields.get(0xa0);
  const [users, authorities] = [flag(0x81), flag(0x82)];
  if (users && authorities) throw new Asn1Error('distribution point contradicts itself');
  const scope = { leaves: !authorities, authorities: !users };
  return name === undefined ? scope : { ...scope, uris: fullNameUris(name) };
}

/** Whether the list speaks of the certificate, by issuer name and scope; says nothing about the list's signature. */
export function coversCertificate({ issuer, scope }: Crl, certificate: Certificate): boolean {
  if (issuer.key !== certificate.issuer.key) return false;
  const isAuthority = certificate.extensions.basicConstraints?.ca === true;
  if (isAuthority ? !scope.authorities : !scope.leaves) return false;
  return scope.uris?.some(uri => certificate.extensions.distributionPoints.includes(uri)) ?? true;
}

/** Whether that CA may sign lists and the algorithm fits its key; the signature itself is checked by the caller. */
export function maySignCrl(signer: Certificate, crl: Crl): boolean {
  const { keyUsage } = signer.extensions;
  if (signer.subject.key !== crl.issuer.key || (keyUsage !== undefined && !keyUsage.crlSign)) return false;
  return isKeyAcceptable(signer.key) && fitsKey(crl.algorithm, signer.key);
}
