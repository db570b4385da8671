/** PEM (RFC 7468), read strictly and without a backtracking pattern. */
import { Asn1Error } from './der.ts';

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES: ReadonlyMap<string, number> = new Map(Array.from(ALPHABET, (letter, at) => [letter, at]));

/** Standard alphabet with padding; white space is refused. @throws Asn1Error */
export function decodeBase64(text: string): Uint8Array {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (text.length % 4 !== 0) throw new Asn1Error('base64 has a wrong length');
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let held = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const value = i < text.length - padding ? VALUES.get(text.charAt(i)) : 0;
    if (value === undefined) throw new Asn1Error('base64 holds another character');
    held = (held << 6) | value;
    if (i % 4 !== 3) continue;
    bytes[at++] = (held >> 16) & 0xff;
    if (at < bytes.length) bytes[at++] = (held >> 8) & 0xff;
    if (at < bytes.length) bytes[at++] = held & 0xff;
    // Bits behind the last octet would let one certificate be written in several ways.
    if (i === text.length - 1 && (held & ((1 << (padding * 8)) - 1)) !== 0)
      throw new Asn1Error('base64 is not canonical');
    held = 0;
  }
  return bytes;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';

/**
 * Every block of a text, in order; text between blocks is skipped, as OpenSSL's tools write it. Empty text: no block.
 * `maxBytes` bounds each block's bytes. @throws Asn1Error for a block that does not end, is too large, or is not base64
 */
export function parsePem(text: string, maxBytes: number): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const label = text.slice(at + BEGIN.length, labelEnd);
    if (labelEnd < 0 || label.length > 64 || /[^A-Z0-9 ]/.test(label)) throw new Asn1Error('PEM label is malformed');
    const bodyStart = labelEnd + DASHES.length;
    const end = `-----END ${label}-----`;
    const bodyEnd = text.indexOf(DASHES, bodyStart);
    if (bodyEnd < 0 || !text.startsWith(end, bodyEnd)) throw new Asn1Error('PEM block does not end');
    if (bodyEnd - bodyStart > maxBytes * 1.5 + 64) throw new Asn1Error('PEM block is too large');
    const der = decodeBase64(text.slice(bodyStart, bodyEnd).replace(/[ \t\r\n]+/g, ''));
    if (der.length > maxBytes) throw new Asn1Error('PEM block is too large');
    blocks.push({ label, der });
    at = bodyEnd + end.length;
  }
  return blocks;
}

/** PEM of one block, 64 columns, ending with a line break. */
export function encodePem(label: string, der: Uint8Array): string {
  let text = '';
  for (let at = 0; at < der.length; at += 3) {
    const rest = der.length - at;
    const held = ((der[at] ?? 0) << 16) | ((der[at + 1] ?? 0) << 8) | (der[at + 2] ?? 0);
    text += ALPHABET.charAt(held >> 18) + ALPHABET.charAt((held >> 12) & 63);
    text += rest > 1 ? ALPHABET.charAt((held >> 6) & 63) : '=';
    text += rest > 2 ? ALPHABET.charAt(held & 63) : '=';
  }
  const lines = text.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
