/** One text for equal content, so that a hash says whether anything changed. */
import { createHash } from 'node:crypto';

/** JSON with sorted member names; bytes as their SHA-256, so that no secret's value is held in the text. */
export function canonicalize(value: unknown): string {
  if (value instanceof Uint8Array) return `sha256:${digest(value)}`;
  if (Array.isArray(value)) return `[${value.map(canonicalize).join(',')}]`;
  if (value instanceof Map) return canonicalizeEntries([...(value as ReadonlyMap<string, unknown>)]);
  if (typeof value === 'object' && value !== null) return canonicalizeEntries(Object.entries(value));
  if (typeof value === 'function' || value === undefined) return 'null';
  return JSON.stringify(value);
}

function canonicalizeEntries(entries: readonly (readonly [string, unknown])[]): string {
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${sorted.map(([key, value]) => `${JSON.stringify(key)}:${canonicalize(value)}`).join(',')}}`;
}

/** SHA-256, hex. */
export const digest = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');
