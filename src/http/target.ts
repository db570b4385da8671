/** Request targets (RFC 9112 section 3.2) and `:path` of HTTP/2: path and query, each checked. */
import { hexDigit, VISIBLE } from './characters.ts';
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

/** Visible ASCII only, and no `_method` parameter in any spelling that a framework may take for it (rule M3). */
export function isQueryAllowed(query: string): boolean {
  for (let i = 0; i < query.length; i++) {
    if (VISIBLE[query.charCodeAt(i)] !== 1) return false;
  }
  return !/%|method/i.test(query) || !query.split(/[&;]/).some(isMethodOverride);
}

function isMethodOverride(parameter: string): boolean {
  const equals = parameter.indexOf('=');
  const name = decodeName(equals < 0 ? parameter : parameter.slice(0, equals));
  return foldParameter(name) === '_method';
}

/** Byte by byte; broken escapes stay as they are. */
function decodeName(name: string): string {
  return name.replace(/%[0-9a-f]{2}/gi, escape =>
    String.fromCharCode(hexDigit(escape.charCodeAt(1)) * 16 + hexDigit(escape.charCodeAt(2))),
  );
}

/**
 * PHP drops spaces in front, ends a name at NUL or `[`, and turns `.` and spaces into `_`; others ignore case. What
 * remains is what any of them would look up.
 */
function foldParameter(name: string): string {
  return name
    .replace(/^[ +]+/, '')
    .replace(/[\0[].*$/s, '')
    .replace(/[. +]/g, '_')
    .toLowerCase();
}
