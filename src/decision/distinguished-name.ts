/** Distinguished names as text (RFC 4514, and the quoted form of RFC 2253), compared as lists of RDNs. */

/** Splits at separators that are neither escaped nor quoted. */
function splitOutside(text: string, separators: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && separators.includes(character)) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

const decoder = new TextDecoder('utf-8');

/** Escapes undone: `\2C` is a byte of UTF-8, `\,` the character itself. */
function unescape(value: string): string {
  const trimmed = value.replace(/^ +/, '').replace(/(?<!\\) +$/, '');
  const text = trimmed.length > 1 && trimmed.startsWith('"') && trimmed.endsWith('"') ? trimmed.slice(1, -1) : trimmed;
  return text.replace(/((?:\\[0-9A-Fa-f]{2})+)|\\(.)/g, (_, bytes: string | undefined, character: string) =>
    bytes === undefined
      ? character
      : decoder.decode(Uint8Array.from(bytes.slice(1).split('\\'), pair => Number.parseInt(pair, 16))),
  );
}

/** `TYPE=value` with the type in upper case; the parts of a multi-valued RDN sorted, since they are a set. */
function canonicalRdn(rdn: string): string {
  const parts = splitOutside(rdn, '+').map(part => {
    const equals = part.indexOf('=');
    if (equals < 0) return part.trim();
    return `${part.slice(0, equals).trim().toUpperCase()}=${unescape(part.slice(equals + 1))}`;
  });
  return JSON.stringify(parts.sort());
}

/** Same RDNs in the same order (most specific first); attribute types without case, values exactly. */
export function equalNames(a: string, b: string): boolean {
  if (a === b) return true;
  const left = splitOutside(a, ',;').map(canonicalRdn);
  const right = splitOutside(b, ',;').map(canonicalRdn);
  return left.length === right.length && left.every((rdn, at) => rdn === right[at]);
}
