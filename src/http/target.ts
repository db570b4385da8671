/** Request targets (RFC 9112 section 3.2) and `:path` of HTTP/2: path and query, each checked. */
import { VISIBLE } from './characters.ts';
import { canonicalPath, type PathReason } from './path.ts';

export type Target =
  | { readonly path: string; readonly query: string; readonly reason?: undefined }
  | { readonly path?: undefined; readonly query?: undefined; readonly reason: PathReason };

/**
 * A target in origin form. `path` is canonical; `query` as received without the first `?`, empty when there is none.
 * Malformed: see canonicalPath and isQueryAllowed; `#` anywhere is ambiguous (it never belongs on the wire).
 */
export function readTarget(target: string): Target {
  const mark = target.indexOf('?');
  const canonical = canonicalPath(mark < 0 ? target : target.slice(0, mark));
  if (canonical.reason !== undefined) return canonical;
  const query = mark < 0 ? '' : target.slice(mark + 1);
  if (query === '') return { path: canonical.path, query };
  if (query.includes('#')) return { reason: 'AmbiguousPath' };
  return isQueryAllowed(query) ? { path: canonical.path, query } : { reason: 'MalformedRequest' };
}

/**
 * `_method` as a parameter name, each letter as it is or escaped. PHP drops spaces in front, takes `.` and spaces for `_`
 * and ends a name at NUL or `[`; some frameworks part parameters at `;` and ignore case.
 */
const METHOD_OVERRIDE =
  /(?:^|[&;])(?:\+|%20)*(?:[_.+]|%5f|%2e|%20)(?:m|%[46]d)(?:e|%[46]5)(?:t|%[57]4)(?:h|%[46]8)(?:o|%[46]f)(?:d|%[46]4)(?:$|[&;=[]|%5b|%00)/i;

/** Visible ASCII only, and no `_method` parameter in any spelling that a framework may take for it (rule M3). */
export function isQueryAllowed(query: string): boolean {
  for (let i = 0; i < query.length; i++) {
    if (VISIBLE[query.charCodeAt(i)] !== 1) return false;
  }
  return !METHOD_OVERRIDE.test(query);
}
