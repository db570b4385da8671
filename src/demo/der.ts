/**
 * Writes DER (X.690), the little of it that certificates and revocation lists need. For the demo and for tests only:
 * what comes from outside is read by a library (src/x509), never by this file.
 */

/** One encoded value: tag, length, content. */
export type Der = Uint8Array;

export function encodeTagged(tag: number, ...content: readonly Uint8Array[]): Der {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return concatBytes([Uint8Array.of(tag, ...encodeLength(length)), ...content]);
}

export const sequence = (...items: readonly Der[]): Der => encodeTagged(0x30, ...items);
/** DER orders the members of a SET OF by their encoding. */
export const setOf = (...items: readonly Der[]): Der => encodeTagged(0x31, ...[...items].sort(compareBytes));
export const octetString = (content: Uint8Array): Der => encodeTagged(0x04, content);
export const bitString = (content: Uint8Array, unusedBits = 0): Der =>
  encodeTagged(0x03, Uint8Array.of(unusedBits), content);
export const utf8String = (text: string): Der => encodeTagged(0x0c, new TextEncoder().encode(text));
export const printableString = (text: string): Der => encodeTagged(0x13, latin1(text));
export const ia5String = (text: string): Der => encodeTagged(0x16, latin1(text));
export const boolean = (value: boolean): Der => Uint8Array.of(0x01, 0x01, value ? 0xff : 0x00);
export const nullValue = (): Der => Uint8Array.of(0x05, 0x00);
/** [number] EXPLICIT: wraps a whole value. */
export const explicit = (number: number, content: Der): Der => encodeTagged(0xa0 | number, content);
/** [number] IMPLICIT over a primitive: takes the content without its own tag. */
export const implicit = (number: number, content: Uint8Array): Der => encodeTagged(0x80 | number, content);

/** A non-negative INTEGER from big-endian bytes or a number. */
export function integer(value: number | Uint8Array): Der {
  let bytes = typeof value === 'number' ? numberBytes(value) : value;
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] ?? 0) < 0x80) bytes = bytes.subarray(1);
  return (bytes[0] ?? 0) >= 0x80 ? encodeTagged(0x02, Uint8Array.of(0), bytes) : encodeTagged(0x02, bytes);
}

export const enumerated = (value: number): Der => Uint8Array.of(0x0a, 0x01, value);

export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return encodeTagged(0x06, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5). Whole seconds, UTC. */
export function time(date: Date): Der {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050
    ? encodeTagged(0x17, latin1(digits.slice(2)))
    : encodeTagged(0x18, latin1(digits));
}

/** A BIT STRING of named bits, trailing zeros left out (X.690, 11.2.2). */
export function namedBits(positions: readonly number[]): Der {
  if (positions.length === 0) return bitString(new Uint8Array());
  const last = Math.max(...positions);
  const bytes = new Uint8Array((last >> 3) + 1);
  for (const position of positions) bytes[position >> 3] = (bytes[position >> 3] ?? 0) | (0x80 >> (position & 7));
  return bitString(bytes, 7 - (last & 7));
}

export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function encodeLength(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes = [...numberBytes(length)];
  return [0x80 | bytes.length, ...bytes];
}

function numberBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.from(bytes.length === 0 ? [0] : bytes);
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((rest % 128) | 0x80);
  return bytes;
}
