/** Claims as header values for the app (`claimHeaders`). */

const encoder = new TextEncoder();

/**
 * Visible ASCII stays, so do spaces inside; `%`, leading and trailing spaces, everything beyond ASCII and, in a list,
 * `,` are percent-encoded as UTF-8, so that a value can be read back and cannot forge a second list item.
 */
function encode(text: string, inList: boolean): string {
  const plain = inList ? /[^\x21-\x24\x26-\x2B\x2D-\x7E]/gu : /[^\x21-\x24\x26-\x7E]/gu;
  return text.replace(plain, (character, at: number) => {
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
 * undefined (the header is removed): the claim is missing, null, an empty list or an object.
 * null: it holds a control character, and the token is refused.
 */
export function renderClaim(claim: unknown): string | null | undefined {
  const isList = Array.isArray(claim);
  const items: unknown[] = isList ? claim : [claim];
  const texts: string[] = [];
  for (const item of items) {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') return undefined;
    const text = typeof item === 'string' ? item : JSON.stringify(item);
    if (CONTROL.test(text)) return null;
    texts.push(encode(text, isList));
  }
  return texts.length === 0 ? undefined : texts.join(',');
}
