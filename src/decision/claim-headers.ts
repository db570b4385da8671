/** Claims as header values for the app (`claimHeaders`). */

const encoder = new TextEncoder();

/** What does not stand for itself: all but visible ASCII, and of that `%` and `,`. */
const ENCODED = /[^\x21-\x24\x26-\x2B\x2D-\x7E]/gu;

/**
 * Visible ASCII stays, so do spaces inside; `%`, `,`, leading and trailing spaces and everything beyond ASCII are
 * percent-encoded as UTF-8, so that a value can be read back, and one text is never taken for a list.
 */
function encode(text: string): string {
  return text.replace(ENCODED, (character, at: number) => {
    const isInside = at > 0 && at < text.length - 1;
    return character === ' ' && isInside ? ' ' : percentEncode(character);
  });
}

function percentEncode(character: string): string {
  let encoded = '';
  for (const byte of encoder.encode(character)) encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return encoded;
}

const CONTROL = /[\x00-\x1F\x7F-\x9F]/;

/**
 * Strings; numbers and booleans by their JSON text; lists of these joined with `,`.
 * undefined (the header is removed): the claim is missing, null, an empty text or list, or an object.
 * null: it holds a control character, and the token is refused.
 */
export function renderClaim(claim: unknown): string | null | undefined {
  const items: unknown[] = Array.isArray(claim) ? claim : [claim];
  const texts: string[] = [];
  for (const item of items) {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') return undefined;
    const text = typeof item === 'string' ? item : JSON.stringify(item);
    if (CONTROL.test(text)) return null;
    texts.push(encode(text));
  }
  const value = texts.join(',');
  return value === '' ? undefined : value;
}
