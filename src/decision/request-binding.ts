/** The variable `request` (E6): what expressions see of the received request, made only as far as one reads it. */
import type { RequestView } from '../policy/request.ts';
import { joinValues } from '../http/head.ts';
import { celRecord, type CelRecord } from './cel-value.ts';
import { removeCookies } from './cookies.ts';
import { parseQuery } from './query.ts';
import { removedHeaders } from './request-headers.ts';

/** What authentication steps read is visible to them only: a token in a log or a header for the app is a leak. */
export interface Hidden {
  /** As Pipeline.credentialHeaders. */
  readonly credentials: ReadonlySet<string>;
  readonly reserved: ReadonlySet<string>;
}

/** A header that holds nothing but credentials is not there at all. */
function addCookies(visible: Map<string, string>, value: string, { credentials }: Hidden): void {
  const rest = removeCookies(value, cookie => credentials.has(`cookie:${cookie}`));
  if (rest !== '' || value === '') visible.set('cookie', rest);
}

function visibleHeaders(request: RequestView, hidden: Hidden): CelRecord {
  const isRemoved = removedHeaders(request, hidden.reserved);
  const visible = new Map<string, string>();
  for (const name of request.headers.lower) {
    if (visible.has(name) || hidden.credentials.has(name) || isRemoved(name)) continue;
    const value = joinValues(request.headers, name) ?? '';
    if (name !== 'cookie') visible.set(name, value);
    else addCookies(visible, value, hidden);
  }
  return celRecord(visible);
}

function visibleQuery(request: RequestView, hidden: Hidden): CelRecord {
  const lists = new Map<string, string[]>();
  for (const { name, value } of parseQuery(request.query)) {
    if (hidden.credentials.has(`?${name}`)) continue;
    const values = lists.get(name);
    if (values === undefined) lists.set(name, [value]);
    else values.push(value);
  }
  return celRecord(lists);
}

/** Own members, as the CEL library asks for; headers and query are worked out when they are first read. */
export function requestBinding(request: RequestView, hidden: Hidden, now: number): Readonly<Record<string, unknown>> {
  let headers: CelRecord | undefined;
  let query: CelRecord | undefined;
  const binding = {
    method: request.method,
    path: request.path,
    host: request.host,
    scheme: request.scheme,
    size: BigInt(request.size),
    time: new Date(now),
    get headers() {
      return (headers ??= visibleHeaders(request, hidden));
    },
    get query() {
      return (query ??= visibleQuery(request, hidden));
    },
  };
  return Object.setPrototypeOf(binding, null) as typeof binding;
}
