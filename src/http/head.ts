/** http: ground floor, pure. Head parsing and writing, path canonical form, header folding, limits. Imports nothing of Node. */

/**
 * The header fields of one message, in the order received.
 * `lower[i]` is the lower-case name, `names[i]` the name as sent, `values[i]` the value without surrounding white space.
 * Values are latin1 text as on the wire (one character a byte). The lists have the same length and are never changed.
 */
export interface HeaderFields {
  readonly names: readonly string[];
  readonly lower: readonly string[];
  readonly values: readonly string[];
}

/** The only value of a header, or undefined when it is absent or sent more than once. */
export function findSingle(fields: HeaderFields, lowerName: string): string | undefined {
  const at = fields.lower.indexOf(lowerName);
  if (at < 0 || fields.lower.indexOf(lowerName, at + 1) >= 0) return undefined;
  return fields.values[at];
}

/** Every value of a header, in the order received; empty when it is absent. */
export function findAll(fields: HeaderFields, lowerName: string): string[] {
  const found: string[] = [];
  for (let i = fields.lower.indexOf(lowerName); i >= 0; i = fields.lower.indexOf(lowerName, i + 1)) {
    found.push(fields.values[i] ?? '');
  }
  return found;
}

/** Lines of a header joined as E6 says (`, `; cookies `; `), or undefined when it is absent. */
export function joinValues(fields: HeaderFields, lowerName: string): string | undefined {
  const first = fields.lower.indexOf(lowerName);
  if (first < 0) return undefined;
  if (fields.lower.indexOf(lowerName, first + 1) < 0) return fields.values[first];
  return findAll(fields, lowerName).join(lowerName === 'cookie' ? '; ' : ', ');
}

/**
 * The form in which two header names count as the same header: case, `_` and `.` folded, since CGI, WSGI, Rack, PHP and
 * others fold them together. What we set is removed from requests under this form.
 */
export function foldName(name: string): string {
  return name.toLowerCase().replace(/[_.]/g, '-');
}
