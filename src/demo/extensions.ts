/** The certificate fields that the demo's authorities write: names, alternative names, extensions (RFC 5280, 4.1 and 4.2). */
import { isIPv4 } from 'node:net';
import {
  type Der,
  boolean,
  concatBytes,
  encodeTagged,
  explicit,
  ia5String,
  implicit,
  integer,
  namedBits,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  setOf,
  utf8String,
} from './der.ts';

const ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['CN', '2.5.4.3'],
  ['SN', '2.5.4.4'],
  ['serialNumber', '2.5.4.5'],
  ['C', '2.5.4.6'],
  ['L', '2.5.4.7'],
  ['ST', '2.5.4.8'],
  ['O', '2.5.4.10'],
  ['OU', '2.5.4.11'],
  ['UID', '0.9.2342.19200300.100.1.1'],
  ['DC', '0.9.2342.19200300.100.1.25'],
  ['emailAddress', '1.2.840.113549.1.9.1'],
]);

/** `{CN: 'robot-7', O: 'Fleet'}`, one attribute after the other; or pairs, where a type may occur twice. */
export type Subject = Readonly<Record<string, string>> | readonly (readonly [type: string, value: string])[];

export interface AlternativeNames {
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  readonly email?: readonly string[];
  readonly ip?: readonly string[];
}

export type Purpose = 'serverAuth' | 'clientAuth' | 'codeSigning' | 'emailProtection' | 'anyExtendedKeyUsage';
const PURPOSES: Readonly<Record<Purpose, string>> = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  anyExtendedKeyUsage: '2.5.29.37.0',
};

const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

export interface NameConstraints {
  readonly permitted?: AlternativeNames;
  readonly excluded?: AlternativeNames;
}

export interface Extension {
  readonly oid: string;
  readonly critical?: boolean;
  /** DER of the extension's value, without the OCTET STRING around it. */
  readonly value: Uint8Array;
}

/** @throws Error when an attribute type is neither known nor a dotted object identifier. */
export function encodeName(subject: Subject): Der {
  const pairs = isPairs(subject) ? subject : Object.entries(subject);
  return sequence(...pairs.map(([type, value]) => setOf(encodeAttribute(type, value))));
}

export function encodeExtensions(extensions: readonly Extension[]): Der {
  return sequence(
    ...extensions.map(({ oid, critical = false, value }) =>
      sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), octetString(value)),
    ),
  );
}

export function basicConstraints(authority: boolean, pathLength?: number): Extension {
  const fields = authority ? [boolean(true), ...(pathLength === undefined ? [] : [integer(pathLength)])] : [];
  return { oid: '2.5.29.19', critical: true, value: sequence(...fields) };
}

export function keyUsage(usages: readonly KeyUsage[]): Extension {
  return { oid: '2.5.29.15', critical: true, value: namedBits(usages.map(usage => KEY_USAGES.indexOf(usage))) };
}

export function extendedKeyUsage(purposes: readonly (Purpose | `${number}.${string}`)[]): Extension {
  const oids = purposes.map(purpose => objectIdentifier(isPurpose(purpose) ? PURPOSES[purpose] : purpose));
  return { oid: '2.5.29.37', value: sequence(...oids) };
}

export function subjectAlternativeName(names: AlternativeNames, critical = false): Extension {
  return { oid: '2.5.29.17', critical, value: sequence(...encodeNames(names, encodeAddress)) };
}

export function nameConstraints({ permitted, excluded }: NameConstraints): Extension {
  const subtrees = (tag: number, names: AlternativeNames | undefined): Der[] =>
    names === undefined
      ? []
      : [encodeTagged(0xa0 | tag, ...encodeNames(names, encodeNetwork).map(name => sequence(name)))];
  return { oid: '2.5.29.30', critical: true, value: sequence(...subtrees(0, permitted), ...subtrees(1, excluded)) };
}

export function subjectKeyIdentifier(identifier: Uint8Array): Extension {
  return { oid: '2.5.29.14', value: octetString(identifier) };
}

export function authorityKeyIdentifier(identifier: Uint8Array): Extension {
  return { oid: '2.5.29.35', value: sequence(implicit(0, identifier)) };
}

export function crlNumber(number: number): Extension {
  return { oid: '2.5.29.20', value: integer(number) };
}

function isPairs(subject: Subject): subject is readonly (readonly [string, string])[] {
  return Array.isArray(subject);
}

function isPurpose(purpose: string): purpose is Purpose {
  return purpose in PURPOSES;
}

function encodeAttribute(type: string, value: string): Der {
  const oid = ATTRIBUTES.get(type) ?? type;
  if (!/^\d+(\.\d+)+$/.test(oid)) throw new Error(`unknown attribute type ${type}`);
  return sequence(objectIdentifier(oid), encodeAttributeValue(type, value));
}

function encodeAttributeValue(type: string, value: string): Der {
  if (type === 'C' || type === 'serialNumber') return printableString(value);
  return type === 'DC' || type === 'emailAddress' ? ia5String(value) : utf8String(value);
}

function encodeNames(names: AlternativeNames, encodeIp: (ip: string) => Uint8Array): Der[] {
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
  return [
    ...(names.email ?? []).map(name => implicit(1, bytes(name))),
    ...(names.dns ?? []).map(name => implicit(2, bytes(name))),
    ...(names.uri ?? []).map(name => implicit(6, bytes(name))),
    ...(names.ip ?? []).map(name => implicit(7, encodeIp(name))),
  ];
}

function encodeAddress(ip: string): Uint8Array {
  if (isIPv4(ip)) return Uint8Array.from(ip.split('.').map(Number));
  const [head = '', tail] = ip.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map(group => parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? [] : new Array<number>(8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap(group => [group >> 8, group & 255]));
}

/** `10.0.0.0/8` as address and mask (RFC 5280, 4.2.1.10). */
function encodeNetwork(cidr: string): Uint8Array {
  const [ip = '', prefix] = cidr.split('/');
  const address = encodeAddress(ip);
  const bits = prefix === undefined ? address.length * 8 : Number(prefix);
  const mask = address.map((_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff);
  return concatBytes([address, mask]);
}

export const encodeContextExtensions = (extensions: readonly Extension[], tag: number): Der =>
  explicit(tag, encodeExtensions(extensions));
