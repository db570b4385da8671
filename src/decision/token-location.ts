/** Where tokens are looked for in the received request, and how exactly one is cut out of what is forwarded (P1, E1, E3). */
import { foldName } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledAlternative, CompiledJwt, TokenLocation } from '../policy/steps.ts';
import { findCookies } from './cookies.ts';
import { parseQuery } from './query.ts';

/** A location that is filled twice, or two locations that are filled: 400 DuplicateCredential. */
export const DUPLICATE: unique symbol = Symbol('duplicate credential');
export type Located = string | typeof DUPLICATE | undefined;

/** The rest after the scheme, or undefined when the value has another scheme. */
function afterScheme(value: string, scheme: string): string | undefined {
  const end = scheme.length;
  if (value.length <= end || value.charCodeAt(end) !== 0x20) return undefined;
  const isScheme = value.startsWith(scheme) || value.slice(0, end).toLowerCase() === scheme.toLowerCase();
  return isScheme ? value.slice(end + 1).trim() : undefined;
}

/**
 * A second line of `Authorization` is refused whatever it holds: back ends differ in which one they believe. Another
 * header counts as filled twice when two of its lines are not empty.
 */
function locateHeader(request: RequestView, name: string, scheme: string | undefined): Located {
  const lower = name.toLowerCase();
  const { headers } = request;
  const first = headers.lower.indexOf(lower);
  if (first < 0) return undefined;
  const read = (at: number): string => {
    const value = headers.values[at] ?? '';
    return (scheme === undefined ? value : afterScheme(value, scheme)) ?? '';
  };
  let found = read(first);
  for (let at = headers.lower.indexOf(lower, first + 1); at >= 0; at = headers.lower.indexOf(lower, at + 1)) {
    const next = read(at);
    if (lower === 'authorization' || (found !== '' && next !== '')) return DUPLICATE;
    found ||= next;
  }
  return found === '' ? undefined : found;
}

/** Also when no step reads it, and whatever the lines hold. */
export function hasTwoAuthorizations({ headers: { lower } }: RequestView): boolean {
  const first = lower.indexOf('authorization');
  return first >= 0 && lower.includes('authorization', first + 1);
}

function onlyFilled(values: readonly string[]): Located {
  const filled = values.filter(value => value !== '');
  return filled.length > 1 ? DUPLICATE : filled[0];
}

function locateCookie(request: RequestView, name: string): Located {
  const { lower, values } = request.headers;
  return onlyFilled(lower.flatMap((header, at) => (header === 'cookie' ? findCookies(values[at] ?? '', name) : [])));
}

function locateQuery(request: RequestView, name: string): Located {
  if (request.query === '') return undefined;
  return onlyFilled(
    parseQuery(request.query)
      .filter(pair => pair.name === name)
      .map(pair => pair.value),
  );
}

export function locate(request: RequestView, location: TokenLocation): Located {
  switch (location.in) {
    case 'header':
      return locateHeader(request, location.name, location.scheme);
    case 'query':
      return locateQuery(request, location.name);
    case 'cookie':
      return locateCookie(request, location.name);
  }
}

/** Whether the head holds the name spelled otherwise (`X_Key` for `X-Key`). */
export function hasOtherSpelling({ headers }: RequestView, lower: string): boolean {
  const folded = foldName(lower);
  return headers.lower.some(name => name.length === lower.length && name !== lower && foldName(name) === folded);
}

/** Whether anything of that name is there: empty, or in another spelling, it is no credential and yet none for the app. */
export function isNamed(request: RequestView, location: TokenLocation): boolean {
  if (location.in === 'query') return parseQuery(request.query).some(pair => pair.name === location.name);
  if (location.in === 'cookie') return locate(request, location) !== undefined;
  const lower = location.name.toLowerCase();
  return request.headers.lower.includes(lower) || hasOtherSpelling(request, lower);
}

const samePlace = (a: TokenLocation, b: TokenLocation): boolean =>
  a.in === b.in && (a.in === 'header' ? a.name.toLowerCase() === b.name.toLowerCase() : a.name === b.name);

/** The step's token, wherever it is. */
export function locateToken(request: RequestView, jwt: CompiledJwt): Located {
  let found: Located;
  let at: TokenLocation | undefined;
  for (const location of jwt.from) {
    const here = locate(request, location);
    if (here === undefined) continue;
    if (here === DUPLICATE || (at !== undefined && !samePlace(at, location))) return DUPLICATE;
    found ??= here;
    at = location;
  }
  return found;
}

/** P1 over the alternatives of one anyOf: whether one place is filled twice, or two places are. */
export function hasDuplicate(request: RequestView, alternatives: readonly CompiledAlternative[]): boolean {
  let filled: TokenLocation | undefined;
  for (const alternative of alternatives) {
    if (alternative.type !== 'jwt') continue;
    for (const location of alternative.jwt.from) {
      const here = locate(request, location);
      if (here === undefined) continue;
      if (here === DUPLICATE || (filled !== undefined && !samePlace(filled, location))) return true;
      filled = location;
    }
  }
  return false;
}

/** Whether a token was read from the same place by another step of the same anyOf. */
export const readsSamePlace = (jwt: CompiledJwt, location: TokenLocation): boolean =>
  jwt.from.some(other => samePlace(other, location));
