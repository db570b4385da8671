/** Chains in headers: RFC 9440, Envoy's X-Forwarded-Client-Cert, URL-encoded PEM, base64 DER. Strict and bounded. */
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import { MAX_CERTIFICATE_BYTES } from '../x509/certificate.ts';
import { Asn1Error } from '../x509/der.ts';
import { decodeBase64, parsePem } from '../x509/pem.ts';

type HeaderSource = NonNullable<ClientTrustSpec['sources'][number]['header']>;
export type ForwardedFormat = HeaderSource['format'];

/** A chain, leaf first; `none` when the header says that there was no certificate; `malformed`: refused, never passed over. */
export type ForwardedChain = readonly Uint8Array[] | 'none' | 'malformed';

/** Most certificates of a forwarded chain, the leaf included. */
export const MAX_FORWARDED = 10;
const MAX_HEADER_CHARACTERS = 256 * 1024;

/**
 * `lines` are the header's values in the order received, `chainLines` those of Client-Cert-Chain (RFC 9440 only).
 * No line: `none`.
 */
export function parseForwarded(format: ForwardedFormat, lines: readonly string[], chainLines: readonly string[]) {
  const size = [...lines, ...chainLines].reduce((sum, line) => sum + line.length, 0);
  if (size > MAX_HEADER_CHARACTERS) return 'malformed';
  if (lines.every(line => line.trim() === '')) return 'none';
  try {
    return bound(PARSERS[format](lines, chainLines));
  } catch (error) {
    if (error instanceof Asn1Error) return 'malformed';
    throw error;
  }
}

function bound(chain: readonly Uint8Array[] | 'none'): ForwardedChain {
  if (chain === 'none') return chain;
  const fits = chain.length > 0 && chain.length <= MAX_FORWARDED;
  return fits && chain.every(der => der.length > 0 && der.length <= MAX_CERTIFICATE_BYTES) ? chain : 'malformed';
}

type Parser = (lines: readonly string[], chainLines: readonly string[]) => readonly Uint8Array[] | 'none';

const PARSERS: Readonly<Record<ForwardedFormat, Parser>> = {
  RFC9440: (lines, chainLines) => {
    const leaf = parseByteSequences(lines.join(','));
    if (leaf.length !== 1) throw new Asn1Error('Client-Cert is not one certificate');
    const rest = chainLines.join(',');
    return [...leaf, ...(rest.trim() === '' ? [] : parseByteSequences(rest))];
  },
  XFCC: lines => parseXfcc(lines.join(',')),
  UrlEncodedPEM: lines => certificatesOf(percentDecode(one(lines))),
  Base64DER: lines =>
    one(lines)
      .split(',')
      .map(part => decodeBase64(part.trim())),
};

/** A second line might be the one that a client sent. */
function one(lines: readonly string[]): string {
  const [line, second] = lines;
  if (line === undefined || second !== undefined) throw new Asn1Error('header occurs twice');
  return line.trim();
}

/** RFC 9651 list of byte sequences, `:base64:`; parameters are not part of RFC 9440. */
function parseByteSequences(text: string): readonly Uint8Array[] {
  return text.split(',').map(item => {
    const trimmed = item.trim();
    if (trimmed.length < 3 || !trimmed.startsWith(':') || !trimmed.endsWith(':')) {
      throw new Asn1Error('not a byte sequence');
    }
    return decodeBase64(trimmed.slice(1, -1));
  });
}

function certificatesOf(pem: string): readonly Uint8Array[] {
  const blocks = parsePem(pem, MAX_CERTIFICATE_BYTES);
  if (blocks.some(({ label }) => label !== 'CERTIFICATE')) throw new Asn1Error('PEM holds something else');
  return blocks.map(({ der }) => der);
}

/** `+` stays `+`: base64 is full of it, and proxies leave it as it is. */
function percentDecode(text: string): string {
  const malformed = /%(?![0-9A-Fa-f]{2})/.test(text);
  if (malformed) throw new Asn1Error('percent-encoding is malformed');
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/**
 * The last element: each proxy appends what it saw of its own client (Envoy's APPEND_FORWARD), so the last is what the
 * trusted peer itself vouches for, and all before it may come from anybody. `Chain` begins with the leaf and must agree
 * with `Cert`. An element without either names no certificate that could be verified here.
 */
function parseXfcc(text: string): readonly Uint8Array[] | 'none' {
  const last = splitXfcc(text).at(-1) ?? new Map<string, string>();
  const certificate = last.get('cert');
  const chain = last.get('chain');
  if (certificate === undefined && chain === undefined) return 'none';
  const leaf = certificate === undefined ? [] : certificatesOf(percentDecode(certificate));
  const whole = chain === undefined ? leaf : certificatesOf(percentDecode(chain));
  const [first] = whole;
  const agrees =
    leaf.length === 0 || (first !== undefined && leaf.length === 1 && Buffer.compare(leaf[0] ?? first, first) === 0);
  if (!agrees) throw new Asn1Error('Cert and Chain differ');
  return whole;
}

/**
 * Elements of `Key=value;Key="value, quoted"` with `\"` inside quotes. Quotes stand only around a whole value: a stray one in
 * an element that a client sent makes the whole header malformed and cannot swallow what the proxy appended.
 */
function splitXfcc(text: string): Map<string, string>[] {
  const pair = /\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))\s*(,|;|$)/y;
  const elements = [new Map<string, string>()];
  let at = 0;
  while (at < text.length) {
    pair.lastIndex = at;
    const match = pair.exec(text);
    const element = elements.at(-1);
    if (match === null || element === undefined) throw new Asn1Error('X-Forwarded-Client-Cert is malformed');
    const [whole, key = '', quoted, bare = '', separator] = match;
    const name = key.toLowerCase();
    const repeats = name === 'cert' || name === 'chain';
    if (repeats && element.has(name)) throw new Asn1Error('element names two certificates');
    element.set(name, quoted?.replace(/\\(.)/g, '$1') ?? bare);
    at += whole.length;
    if (separator === ',') elements.push(new Map());
    if (separator !== '' && at === text.length) throw new Asn1Error('X-Forwarded-Client-Cert ends early');
  }
  return elements;
}
