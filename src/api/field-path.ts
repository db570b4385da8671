/** Field paths: `spec.request[0].anyOf[1].clientCertificate.trust`, `metadata.labels["example.com/tier"]`. */

const SIMPLE = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const SEGMENT = /\.?([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]/y;
/** A longer key is cut, so that no line of a report is longer than a manifest may make it. */
const KEY_LENGTH = 128;

/** The path of a member. */
export function memberPath(parent: string, key: string): string {
  if (SIMPLE.test(key) && key.length <= KEY_LENGTH) return parent === '' ? key : `${parent}.${key}`;
  return `${parent}[${JSON.stringify(key.slice(0, KEY_LENGTH).toWellFormed())}]`;
}

/** The path of a list's item. */
export const itemPath = (parent: string, index: number): string => `${parent}[${index}]`;

/** The members and indices of a path, outermost first; what cannot be read ends the list, so that a parent is found. */
export function splitPath(path: string): (string | number)[] {
  const segments: (string | number)[] = [];
  SEGMENT.lastIndex = 0;
  for (let match = SEGMENT.exec(path); match !== null; match = SEGMENT.exec(path)) {
    const [, name, index, quoted] = match;
    if (name !== undefined) segments.push(name);
    else if (index !== undefined) segments.push(Number(index));
    else segments.push(String(JSON.parse(quoted ?? '""')));
  }
  return segments;
}
