/** Small pieces of CEL (the admission policies' language), written from TypeScript so that names cannot drift. */

export const quoteCel = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
export const listCel = (items: readonly (string | number)[]): string =>
  `[${items.map(item => (typeof item === 'number' ? String(item) : quoteCel(item))).join(', ')}]`;
export const allOf = (...terms: readonly string[]): string => terms.map(term => `(${term})`).join(' && ');
export const anyOf = (...terms: readonly string[]): string => terms.map(term => `(${term})`).join(' || ');
