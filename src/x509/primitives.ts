/** Values of primitive elements: identifiers, times, small integers, bits, text. Each throws Asn1Error for another type. */
import { Asn1Error, primitiveOf, tagOf, contentOf, UNIVERSAL, type Node } from './der.ts';

/** Dotted decimal. */
export function oidOf(node: Node | undefined): string {
  const bytes = primitiveOf(node, UNIVERSAL.oid);
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of bytes) {
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER) throw new Asn1Error('OBJECT IDENTIFIER arc out of range');
    if (octet >= 0x80) continue;
    if (arcs.length === 0) {
      const root = Math.min(2, Math.floor(arc / 40));
      arcs.push(root, arc - root * 40);
    } else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}

/** Two's complement content, shortest form. */
export const integerBytesOf = (node: Node | undefined): Uint8Array => primitiveOf(node, UNIVERSAL.integer);

/** A non-negative integer below 2^31 (lengths, versions, depths). `tag` for implicit tagging. */
export function smallIntegerOf(node: Node | undefined, tag: number = UNIVERSAL.integer): number {
  const bytes = primitiveOf(node, tag);
  if (bytes.length === 0 || bytes.length > 4 || (bytes[0] ?? 0) >= 0x80) throw new Asn1Error('INTEGER out of range');
  return bytes.reduce((value, octet) => value * 256 + octet, 0);
}

export function booleanOf(node: Node | undefined, tag: number = UNIVERSAL.boolean): boolean {
  const bytes = primitiveOf(node, tag);
  // Implicitly tagged booleans are not seen by checkDer, which knows universal tags only.
  if (bytes.length !== 1 || (bytes[0] !== 0 && bytes[0] !== 0xff)) throw new Asn1Error('BOOLEAN is not DER');
  return bytes[0] === 0xff;
}

/** Bit n of a named bit list, as RFC 5280 numbers them: bit 0 is the first one. */
export function namedBitsOf(node: Node | undefined): (bit: number) => boolean {
  const bytes = primitiveOf(node, UNIVERSAL.bitString);
  return bit => ((bytes[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0;
}

/** Whole octets of a bit string (signatures, keys). */
export function wholeBitsOf(node: Node | undefined): Uint8Array {
  const bytes = primitiveOf(node, UNIVERSAL.bitString);
  if (bytes[0] !== 0) throw new Asn1Error('BIT STRING does not end at an octet');
  return bytes.subarray(1);
}

export const octetsOf = (node: Node | undefined): Uint8Array => primitiveOf(node, UNIVERSAL.octetString);

const UTC = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * Milliseconds since the epoch. The forms of RFC 5280 4.1.2.5 only: seconds present, `Z`, no fraction; UTCTime years 50–99
 * are 1950–1999. GeneralizedTime before 2050 breaks the RFC but says nothing ambiguous, and is read.
 */
export function timeOf(node: Node | undefined): number {
  const tag = node === undefined ? 0 : tagOf(node);
  const text = latin1(primitiveOf(node, tag === UNIVERSAL.utcTime ? tag : UNIVERSAL.generalizedTime));
  const match = (tag === UNIVERSAL.utcTime ? UTC : GENERALIZED).exec(text);
  if (match === null) throw new Asn1Error('time is not in the form of RFC 5280');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const full = tag === UNIVERSAL.utcTime ? year + (year >= 50 ? 1900 : 2000) : year;
  const date = new Date(0);
  date.setUTCFullYear(full, month - 1, day);
  date.setUTCHours(hour, minute, second, 0);
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!same) throw new Asn1Error('time does not exist');
  return date.getTime();
}

export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const octet of bytes) text += String.fromCharCode(octet);
  return text;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function wide(bytes: Uint8Array, width: 2 | 4): string {
  if (bytes.length % width !== 0) throw new Asn1Error('text has a wrong length');
  let text = '';
  for (let at = 0; at < bytes.length; at += width) {
    let code = 0;
    for (let i = 0; i < width; i++) code = code * 256 + (bytes[at + i] ?? 0);
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw new Asn1Error('text holds no character');
    text += String.fromCodePoint(code);
  }
  return text;
}

/** Text of a DirectoryString or IA5String; undefined for any other type. @throws Asn1Error when it is not of its own kind. */
export function textOf(node: Node): string | undefined {
  const bytes = contentOf(node);
  switch (tagOf(node)) {
    case UNIVERSAL.utf8:
      try {
        return utf8.decode(bytes);
      } catch {
        throw new Asn1Error('text is not UTF-8');
      }
    case UNIVERSAL.printable:
    case UNIVERSAL.numeric:
    case UNIVERSAL.visible:
    case UNIVERSAL.ia5:
      return asciiText(bytes);
    case UNIVERSAL.teletex:
      // Nobody implements T.61; OpenSSL and everybody else read it as latin1.
      return latin1(bytes);
    case UNIVERSAL.bmp:
      return wide(bytes, 2);
    case UNIVERSAL.universalString:
      return wide(bytes, 4);
    default:
      return undefined;
  }
}

/** @throws Asn1Error for an octet that is not ASCII. */
export function asciiText(bytes: Uint8Array): string {
  const text = latin1(bytes);
  if (/[^\x00-\x7f]/.test(text)) throw new Asn1Error('text is not ASCII');
  return text;
}

/** Upper-case hex. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const octet of bytes) text += (octet < 16 ? '0' : '') + octet.toString(16);
  return text.toUpperCase();
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, at) => octet === b[at]);
}
