/** How values are written where they land (E9). Each throws ExpressionError for what may not stand there. */
import { hexDigit, UNRESERVED } from '../http/characters.ts';
import { fail } from './cel-values.ts';

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const VISIBLE = /^[\x20-\x7e]*$/;

/** Text of a string, int or bool. @throws ExpressionError for anything else, and for control characters. */
export function toPlainText(value: unknown): string {
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== 'string') return fail('a template holds something else than a string, int or bool');
  if (CONTROL.test(value) || !value.isWellFormed()) return fail('a value holds a control character');
  return value;
}

export function toHeaderText(value: unknown): string {
  const text = toPlainText(value);
  return VISIBLE.test(text) ? text : fail('a value for a header is not visible ASCII');
}

/** For the inside of a JSON string; an int or bool stands as it is. */
export const toJsonText = (value: unknown): string => toPlainText(value).replace(/["\\]/g, '\\$&');

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and quoted attributes of HTML and XML. */
export const toMarkupText = (value: unknown): string =>
  toPlainText(value).replace(/[&<>"']/g, mark => ENTITIES[mark] ?? mark);

/** Every byte of UTF-8 but RFC 3986's unreserved characters, upper-case hex. */
export function percentEncode(text: string): string {
  let plain = true;
  for (let i = 0; i < text.length && plain; i += 1) plain = UNRESERVED[text.charCodeAt(i)] === 1;
  if (plain) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, mark => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** One percent-decoding of a path segment, or undefined when it is not UTF-8. */
export function percentDecode(segment: string): string | undefined {
  if (!segment.includes('%')) return segment;
  for (let at = segment.indexOf('%'); at >= 0; at = segment.indexOf('%', at + 1)) {
    if (hexDigit(segment.charCodeAt(at + 1)) < 0 || hexDigit(segment.charCodeAt(at + 2)) < 0) return undefined;
  }
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

const LARGEST = 999_999_999_999_999n;

/** A bare item of RFC 9651: string, display string, integer; booleans are told by the member's form. */
export function toStructuredItem(value: unknown): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return toStructuredItem(BigInt(value));
  if (typeof value === 'bigint') {
    return value <= LARGEST && value >= -LARGEST ? String(value) : fail('an int is too large for a structured field');
  }
  const text = toPlainText(value);
  if (VISIBLE.test(text)) return `"${text.replace(/[\\"]/g, '\\$&')}"`;
  return `%"${toDisplayText(text)}"`;
}

/** RFC 9651 section 4.1.11: `%` and `"` and everything but visible ASCII as lower-case escapes. */
function toDisplayText(text: string): string {
  return Array.from(text, character =>
    /^[\x20\x21\x23\x24\x26-\x7e]$/.test(character)
      ? character
      : encodeURIComponent(character)
          .replace(/^["%]$/, mark => `%${mark.charCodeAt(0).toString(16)}`)
          .toLowerCase(),
  ).join('');
}

/** A member of a dictionary: `key=item`, `key` for true, `key=?0` for false. */
export function toStructuredMember(key: string, value: unknown): string {
  if (value === true) return key;
  return value === false ? `${key}=?0` : `${key}=${toStructuredItem(value)}`;
}

/** By UTF-8 bytes, as rules say "bytewise"; code points order the same way. */
export function compareBytes(left: string, right: string): number {
  if (left === right) return 0;
  const [a, b] = [Array.from(left), Array.from(right)];
  for (let i = 0; i < a.length && i < b.length; i += 1) {
    const difference = (a[i]?.codePointAt(0) ?? 0) - (b[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
