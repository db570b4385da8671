/** The one form of a path that is judged and forwarded (RFC 3986 section 6.2.2), or why there is none. */
import { hexDigit, PLAIN_PATH, UNRESERVED, VISIBLE } from './characters.ts';

export type CanonicalPath =
  { readonly path: string; readonly reason?: undefined } | { readonly path?: undefined; readonly reason: PathReason };

export type PathReason = 'AmbiguousPath' | 'MalformedRequest';

const AMBIGUOUS = { reason: 'AmbiguousPath' } as const;
const MALFORMED = { reason: 'MalformedRequest' } as const;

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;

/**
 * Dot segments are removed, escapes of unreserved characters decoded, other escapes in upper-case hex, visible characters
 * that a path may not hold (`|`, `"`, `[` …) escaped. Refused as ambiguous, since back ends read them in different ways:
 * `\`, `;`, `#`, `//`, escapes of `/`, `\`, `;` and control characters, escapes that are not UTF-8, an escaped `%`
 * before what would then be an escape (double encoding), and dot segments that climb above the root. RFC 3986 would stop
 * at the root there, but clients resolve dot segments before they send: who climbs is looking for a hole.
 * Malformed: empty, not starting with `/`, control characters, spaces, bytes from 0x80, broken escapes.
 * The result is its own canonical form.
 */
export function canonicalPath(raw: string): CanonicalPath {
  if (raw.charCodeAt(0) !== SLASH) return MALFORMED;
  return isPlain(raw) ? { path: raw } : rewritePath(raw);
}

function isPlain(raw: string): boolean {
  let afterSlash = false;
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (PLAIN_PATH[code] !== 1) return false;
    if (afterSlash && (code === SLASH || code === DOT)) return false;
    afterSlash = code === SLASH;
  }
  return true;
}

function rewritePath(raw: string): CanonicalPath {
  let decoded = '';
  /** Start of characters that are kept as they are. */
  let run = 0;
  for (let i = 0; i < raw.length;) {
    const code = raw.charCodeAt(i);
    if (PLAIN_PATH[code] === 1) {
      i++;
      continue;
    }
    const length = code === PERCENT ? escapeLength(raw, i) : lengthOfOther(code);
    if (length < 0) return length === BROKEN ? MALFORMED : AMBIGUOUS;
    decoded += raw.slice(run, i) + (code === PERCENT ? canonicalEscape(raw, i, length) : escapeByte(code));
    i += length;
    run = i;
  }
  decoded += raw.slice(run);
  return DOUBLY_ESCAPED.test(decoded) ? AMBIGUOUS : removeDotSegments(decoded);
}

/** `%25` before what would be an escape once it is decoded, also in the manner of IIS (`%u002f`). */
const DOUBLY_ESCAPED = /%25(?:[0-9a-f]{2}|u)/i;

const BROKEN = -1;
const UNCLEAR = -2;

/** Characters of the escape or escapes of one character at `at`; BROKEN or UNCLEAR when there is no such character. */
function escapeLength(raw: string, at: number): number {
  const first = escapedByte(raw, at);
  if (first < 0) return BROKEN;
  if (first < 0x80) return isUnclear(first) ? UNCLEAR : 3;
  const bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (bytes === 0) return UNCLEAR;
  const second = escapedByte(raw, at + 3);
  if (second < secondFrom(first) || second > secondTo(first)) return UNCLEAR;
  for (let i = 2; i < bytes; i++) {
    const next = escapedByte(raw, at + 3 * i);
    if (next < 0x80 || next > 0xbf) return UNCLEAR;
  }
  return 3 * bytes;
}

/** A visible character that stands for itself is escaped, unless it is one that back ends take for a separator. */
function lengthOfOther(code: number): number {
  if (VISIBLE[code] !== 1) return BROKEN;
  return code === 0x5c || code === 0x3b || code === 0x23 ? UNCLEAR : 1;
}

/** Least second byte of UTF-8 (Unicode table 3-7): no overlong forms, no C1 controls. */
function secondFrom(first: number): number {
  return first === 0xc2 || first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
}

/** Greatest second byte: no surrogates, nothing above U+10FFFF. */
function secondTo(first: number): number {
  return first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
}

function isUnclear(byte: number): boolean {
  return byte < 0x20 || byte === 0x7f || byte === SLASH || byte === 0x5c || byte === 0x3b;
}

/** The byte escaped at `at`, or -1 when there is no whole escape. */
function escapedByte(raw: string, at: number): number {
  if (raw.charCodeAt(at) !== PERCENT) return -1;
  const high = hexDigit(raw.charCodeAt(at + 1));
  const low = hexDigit(raw.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function canonicalEscape(raw: string, at: number, length: number): string {
  const byte = escapedByte(raw, at);
  return UNRESERVED[byte] === 1 ? String.fromCharCode(byte) : raw.slice(at, at + length).toUpperCase();
}

const ESCAPES = Array.from({ length: 128 }, (_, code) => `%${code.toString(16).toUpperCase().padStart(2, '0')}`);

function escapeByte(code: number): string {
  return ESCAPES[code] ?? '';
}

function removeDotSegments(path: string): CanonicalPath {
  const segments = path.split('/');
  const kept: string[] = [];
  const last = segments.length - 1;
  for (let i = 1; i <= last; i++) {
    const segment = segments[i];
    if (segment === undefined || (segment === '' && i < last)) return AMBIGUOUS;
    if (segment === '..' && kept.pop() === undefined) return AMBIGUOUS;
    const isDots = segment === '.' || segment === '..';
    if (!isDots) kept.push(segment);
    else if (i === last) kept.push('');
  }
  return { path: `/${kept.join('/')}` };
}
