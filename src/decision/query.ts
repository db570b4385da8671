/** The query string as pairs, read as form encoding (WHATWG URL, section 5.1), and cut without touching other bytes. */

export interface QueryPair {
  /** As received, between two `&`. */
  readonly raw: string;
  readonly name: string;
  readonly value: string;
}

/** `+` is a space; a broken escape stands for itself, so that no request can make this fail. */
function decode(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

function parsePair(raw: string): QueryPair {
  const equals = raw.indexOf('=');
  if (equals < 0) return { raw, name: decode(raw), value: '' };
  return { raw, name: decode(raw.slice(0, equals)), value: decode(raw.slice(equals + 1)) };
}

export function parseQuery(query: string): QueryPair[] {
  return query === '' ? [] : query.split('&').map(parsePair);
}

/** The query without the parameters of this (decoded) name; every other byte as it was. */
export function removeParameter(query: string, name: string): string {
  return parseQuery(query)
    .filter(pair => pair.name !== name)
    .map(pair => pair.raw)
    .join('&');
}
