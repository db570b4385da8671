/** Cookie pairs of a `Cookie` header line (RFC 6265 section 4.2.1), read and cut without touching other bytes. */

const nameOf = (pair: string): string => {
  const equals = pair.indexOf('=');
  return (equals < 0 ? pair : pair.slice(0, equals)).trim();
};

/** Values of every pair of this name, in the order received. */
export function findCookies(line: string, name: string): string[] {
  if (!line.includes(name)) return [];
  return line
    .split(';')
    .filter(pair => nameOf(pair) === name)
    .map(pair => (pair.includes('=') ? pair.slice(pair.indexOf('=') + 1).trim() : ''));
}

/** The line without the pairs of these names; empty when nothing is left. */
export function removeCookies(line: string, isRemoved: (name: string) => boolean): string {
  const pairs = line.split(';');
  const kept = pairs.filter(pair => !isRemoved(nameOf(pair)));
  return kept.length === pairs.length ? line : kept.join(';').trimStart();
}
