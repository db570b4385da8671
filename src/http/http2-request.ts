/**
 * Requests of HTTP/2 (RFC 9113 section 8.3.1) as what HTTP/1.1 says of them: pseudo header fields checked, `:authority` as
 * Host, cookie crumbs joined, connection-specific fields refused. As strict as request-reader.ts, and what it gives is
 * judged and forwarded by the same code.
 */
import { holdsOnly, METHOD, isFieldValue, VISIBLE } from './characters.ts';
import { NO_OPTIONS } from './connection.ts';
import { readLength } from './control.ts';
import { createFieldList, type FieldList, type ParsedFields } from './fields.ts';
import { readAuthority, type Authority } from './host.ts';
import type { Framing, HeadLimits, HeadReason, RequestHead } from './message.ts';
import { ROLE, type NameInfo, type NameTable } from './names.ts';
import { NEVER_SERVED } from './request-reader.ts';
import { readTarget, type Target } from './target.ts';
import { TRAILER_LIMITS } from './trailers.ts';

/** A field section as it came: name, value, name, value … Names and values are latin1 text. */
export type FieldPairs = readonly string[];

export type Http2Request =
  | { readonly kind: 'head'; readonly head: RequestHead }
  /** Can be answered. */
  | { readonly kind: 'refused'; readonly reason: HeadReason; readonly method: string }
  /** A stream error of type PROTOCOL_ERROR (RFC 9113 section 8.1.1). */
  | { readonly kind: 'malformed' };

const MALFORMED: Http2Request = { kind: 'malformed' };
const LONGEST_METHOD = 32;

interface Pseudo {
  method?: string;
  scheme?: string;
  path?: string;
  authority?: string;
}

interface Gathered {
  readonly pseudo: Pseudo;
  readonly fields: FieldList & ParsedFields;
  readonly host: string | undefined;
  readonly contentLength: string | undefined;
  readonly expect: string | undefined;
}

/**
 * `ends`: the stream ends with this head, so that there is no body.
 * Reasons: MalformedRequest, AmbiguousPath (400), MethodNotAllowed (405), TargetTooLong (414), ExpectationFailed (417),
 * HeadersTooLarge (431).
 */
export function readHttp2Request(pairs: FieldPairs, ends: boolean, limits: HeadLimits, table: NameTable): Http2Request {
  const gathered = gather(pairs, table);
  if (gathered === undefined) return MALFORMED;
  const { pseudo, fields } = gathered;
  const { method, scheme, path } = pseudo;
  if (method === undefined || method.length > LONGEST_METHOD || !holdsOnly(method, METHOD)) return MALFORMED;
  const refuse = (reason: HeadReason): Http2Request => ({ kind: 'refused', reason, method });
  // CONNECT has neither scheme nor path; whatever it has, it is not served.
  if (NEVER_SERVED.has(method)) return refuse('MethodNotAllowed');
  if (path === undefined || (scheme !== 'http' && scheme !== 'https')) return MALFORMED;
  if (path.length > limits.targetBytes) return refuse('TargetTooLong');
  if (fields.names.length > limits.headers || sizeOf(pairs) > limits.headBytes) return refuse('HeadersTooLarge');
  const framing = readFraming(gathered.contentLength, ends);
  if (framing === undefined) return MALFORMED;
  const authority = readHost(gathered);
  if (authority === undefined) return refuse('MalformedRequest');
  const target = readPath(method, path);
  if (target.reason !== undefined) return refuse(target.reason);
  const { expect } = gathered;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return refuse('ExpectationFailed');
  const head = {
    method,
    target: path,
    version: '2',
    path: target.path,
    query: target.query,
    host: authority.host,
    authorityPort: authority.port,
    framing,
    keepAlive: true,
    expectContinue: expect !== undefined && !ends,
    upgradeWebSocket: false,
    connectionNames: NO_OPTIONS.names,
    names: fields.names,
    lower: fields.lower,
    values: fields.values,
    infos: fields.infos,
  };
  return { kind: 'head', head: head as unknown as RequestHead };
}

/** Trailers of a request or an answer, with the bounds of HTTP/1.1 (trailers.ts); undefined: malformed. */
export function readHttp2Trailers(pairs: FieldPairs, table: NameTable): ParsedFields | undefined {
  if (pairs.length > 2 * TRAILER_LIMITS.headers || sizeOf(pairs) > TRAILER_LIMITS.headBytes) return undefined;
  const fields = createFieldList();
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] ?? '';
    const info = name.startsWith(':') ? undefined : classify(name, table);
    if (info === undefined || !add(fields, info, pairs[at + 1] ?? '')) return undefined;
  }
  return fields;
}

function gather(pairs: FieldPairs, table: NameTable): Gathered | undefined {
  const pseudo: Pseudo = {};
  const fields = createFieldList();
  const single: { host?: string; contentLength?: string; expect?: string; contentType?: string } = {};
  let at = 0;
  for (; at < pairs.length && pairs[at]?.startsWith(':') === true; at += 2) {
    if (!takePseudo(pseudo, pairs[at] ?? '', pairs[at + 1] ?? '')) return undefined;
  }
  // Host stands first, as in HTTP/1.1 requests, whichever way it was said.
  const { authority } = pseudo;
  if (authority !== undefined && !addHost(fields, authority, table)) return undefined;
  let cookie = -1;
  for (; at < pairs.length; at += 2) {
    const value = pairs[at + 1] ?? '';
    // A pseudo header field behind a regular one is no name either.
    const info = classify(pairs[at] ?? '', table);
    if (info === undefined || !isAllowed(info, value)) return undefined;
    const key = SINGLE.get(info.role);
    if (key !== undefined) {
      if (single[key] !== undefined) return undefined;
      single[key] = value;
    }
    if (info.role === ROLE.host && authority !== undefined) continue;
    if (info.lower === 'cookie' && cookie >= 0) {
      if (!isFieldValue(value)) return undefined;
      fields.values[cookie] = `${fields.values[cookie] ?? ''}; ${value}`;
      continue;
    }
    if (info.lower === 'cookie') cookie = fields.names.length;
    if (!add(fields, info, value)) return undefined;
  }
  return { pseudo, fields, host: single.host, contentLength: single.contentLength, expect: single.expect };
}

const SINGLE: ReadonlyMap<number, 'host' | 'contentLength' | 'expect' | 'contentType'> = new Map([
  [ROLE.host, 'host'],
  [ROLE.contentLength, 'contentLength'],
  [ROLE.expect, 'expect'],
  [ROLE.contentType, 'contentType'],
] as const);

const PSEUDO: ReadonlyMap<string, keyof Pseudo> = new Map([
  [':method', 'method'],
  [':scheme', 'scheme'],
  [':path', 'path'],
  [':authority', 'authority'],
] as const);

/** False: unknown (`:protocol` among them, as extended CONNECT is off), repeated or empty. */
function takePseudo(pseudo: Pseudo, name: string, value: string): boolean {
  const key = PSEUDO.get(name);
  if (key === undefined || pseudo[key] !== undefined || value === '') return false;
  pseudo[key] = value;
  return true;
}

/** Undefined: no token, or not in lower case (RFC 9113 section 8.2.1). */
function classify(name: string, table: NameTable): NameInfo | undefined {
  const info = table.classify(name);
  return info?.lower === name ? info : undefined;
}

const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** RFC 9113 section 8.2.2. */
function isAllowed({ lower }: NameInfo, value: string): boolean {
  return lower === 'te' ? value.toLowerCase() === 'trailers' : !CONNECTION_SPECIFIC.has(lower);
}

/** Values neither begin nor end with white space (RFC 9113 section 8.2.1). */
function add(fields: FieldList, info: NameInfo, value: string): boolean {
  if (!isFieldValue(value) || value !== value.trim()) return false;
  fields.names.push(info.raw);
  fields.lower.push(info.lower);
  fields.values.push(value);
  fields.infos.push(info);
  return true;
}

function addHost(fields: FieldList, authority: string, table: NameTable): boolean {
  const info = table.classify('host');
  return info !== undefined && add(fields, info, authority);
}

/** RFC 9113 section 8.3.1: Host must say what `:authority` says. Both absent is refused, as in HTTP/1.1. */
function readHost({ pseudo, host }: Gathered): Authority | undefined {
  const said = pseudo.authority ?? host;
  const authority = said === undefined ? undefined : readAuthority(said);
  if (authority === undefined || host === undefined || pseudo.authority === undefined) return authority;
  const other = readAuthority(host);
  return other?.host === authority.host && other.port === authority.port ? authority : undefined;
}

const ASTERISK = { path: '*', query: '' } as const;
const NO_TARGET: Target = { reason: 'MalformedRequest' };

/** `:path` is in origin form, or `*` for OPTIONS: anything else would be matched as another path than an app reads (CVE-2026-33186). */
function readPath(method: string, path: string): Target {
  if (path === '*') return method === 'OPTIONS' ? ASTERISK : NO_TARGET;
  return path.startsWith('/') && holdsOnly(path, VISIBLE) ? readTarget(path) : NO_TARGET;
}

const NO_BODY: Framing = { kind: 'none' };
const UNKNOWN: Framing = { kind: 'chunked' };

/** Undefined: a length that is none, or one that a stream without DATA cannot have. */
function readFraming(contentLength: string | undefined, ends: boolean): Framing | undefined {
  if (contentLength === undefined) return ends ? NO_BODY : UNKNOWN;
  const length = readLength(contentLength);
  return length === undefined || (ends && length > 0) ? undefined : { kind: 'length', length };
}

/** As it would be written in HTTP/1.1. */
function sizeOf(pairs: FieldPairs): number {
  let size = 0;
  for (const part of pairs) size += part.length + 2;
  return size;
}
