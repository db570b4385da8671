/** Which bytes may stand where (RFC 9110 section 5.6, RFC 3986). Tables by character code, 0 means no. */

const DIGITS = '0123456789';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (let i = 0; i < characters.length; i++) table[characters.charCodeAt(i)] = 1;
  return table;
}

function tableWhere(holds: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (holds(code) ? 1 : 0));
}

const TOKEN_MARKS = "!#$%&'*+-.^_`|~";

/** tchar of RFC 9110 section 5.6.2. */
export const TOKEN = tableOf(DIGITS + UPPER + LOWER + TOKEN_MARKS);

/** tchar without lower-case letters: some back ends take `delete` for DELETE, so there is one spelling only. */
export const METHOD = tableOf(DIGITS + UPPER + TOKEN_MARKS);

/** Visible ASCII: what a request target may hold before it is looked at more closely. */
export const VISIBLE = tableWhere(code => code > 0x20 && code < 0x7f);

/** Visible ASCII and obs-text: what a field value holds besides spaces and tabs. */
export const VALUE = tableWhere(code => code > 0x20 && code !== 0x7f);

/** unreserved of RFC 3986 section 2.3: their escapes mean the same as they do. */
export const UNRESERVED = tableOf(DIGITS + UPPER + LOWER + '-._~');

/** pchar of RFC 3986 section 3.3 without `;`, and `/`: what a path holds that needs no second look. */
export const PLAIN_PATH = tableOf(DIGITS + UPPER + LOWER + "-._~!$&'()*+,=:@/");

/** Letters, digits, `-`, `_` and `.`: what a host name holds here. */
export const HOST_NAME = tableOf(DIGITS + UPPER + LOWER + '-_.');

/** Whether every character of `text` is allowed by `table`; an empty text is not. */
export function holdsOnly(text: string, table: Uint8Array): boolean {
  if (text === '') return false;
  for (let i = 0; i < text.length; i++) {
    if (table[text.charCodeAt(i)] !== 1) return false;
  }
  return true;
}

export function isToken(text: string): boolean {
  return holdsOnly(text, TOKEN);
}

/** Whether a field value can be written: no control characters but tab, one byte a character; may be empty. */
export function isFieldValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (VALUE[code] !== 1 && code !== 0x20 && code !== 0x09) return false;
  }
  return true;
}

/** Value of a hexadecimal digit, or -1. */
export function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
