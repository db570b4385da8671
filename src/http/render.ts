/** Heads written as one latin1 string, in one pass, from parsed fields and edits. No value can add a line. */
import { isFieldValue, isToken, holdsOnly, VISIBLE } from './characters.ts';
import type { ParsedFields } from './fields.ts';
import type { Framing } from './message.ts';
import {
  framesMessages,
  NEVER_FORWARDED,
  NO_TRAILER,
  TRUSTED_CERTIFICATE,
  TRUSTED_PEER,
  type NameInfo,
} from './names.ts';
import { reasonPhrase } from './status.ts';

declare const rendered: unique symbol;

/** Whole field lines. Only renderFields makes them, so none was injected. Opaque: they go into `extra`. */
export type FieldLines = string & { readonly [rendered]: true };

export interface HeaderEdit {
  readonly name: string;
  /** Sent instead of whatever was received; empty: the header is removed. */
  readonly values: readonly string[];
}

export interface HeadRendering {
  readonly fields: ParsedFields;
  /** Flags of names.ts whose headers are left out besides NEVER_FORWARDED, such as TRUSTED_PEER; 0: none. */
  readonly drop: number;
  /** Folded names that are left out in every spelling: what policies set. */
  readonly reserved: ReadonlySet<string>;
  /** Lower-case names that the Connection header named. */
  readonly connectionNames: ReadonlySet<string>;
  /** By lower-case name. A received header goes when its lower-case or its folded name is a key. */
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  /** Appended last: forwarding headers, Connection, … Its names must be dropped or reserved, or they may come twice. */
  readonly extra: FieldLines;
}

export interface RequestRendering extends HeadRendering {
  readonly method: string;
  /** Origin form, of canonical path and query. */
  readonly target: string;
  /** Value of Host; may be empty. */
  readonly host: string;
  readonly framing: Framing;
  /** Writes `Expect: 100-continue`. */
  readonly expectContinue: boolean;
}

export interface ResponseRendering extends HeadRendering {
  readonly status: number;
  /**
   * `length` writes Content-Length, also where no body follows but its length is told (HEAD, 304); `chunked` writes
   * Transfer-Encoding; `none` and `until-close` write neither (`Connection: close` belongs into `extra`).
   */
  readonly framing: Framing | { readonly kind: 'until-close' };
}

/** A value that did not come from a parser cannot be written. Says which part, never the value. */
export class UnwritableHead extends Error {
  override readonly name = 'UnwritableHead';
  readonly part: string;
  constructor(part: string) {
    super(`${part} holds characters that HTTP/1.1 cannot carry`);
    this.part = part;
  }
}

/** @throws UnwritableHead when a name is no token or a value holds control characters or characters above 0xff. */
export function renderFields(pairs: Iterable<readonly [name: string, value: string]>): FieldLines {
  let lines = '';
  for (const [name, value] of pairs) lines += renderField(name, value);
  return lines as FieldLines;
}

/** Several groups of field lines as one. */
export function joinFields(...groups: readonly FieldLines[]): FieldLines {
  return groups.join('') as FieldLines;
}

function renderField(name: string, value: string): string {
  if (!isToken(name)) throw new UnwritableHead('a header name');
  if (!isFieldValue(value)) throw new UnwritableHead(`header ${name}`);
  return `\r\n${name}: ${value}`;
}

/** @throws UnwritableHead */
export function renderRequest(request: RequestRendering): string {
  const { method, target, host } = request;
  if (!isToken(method)) throw new UnwritableHead('the method');
  if (!holdsOnly(target, VISIBLE)) throw new UnwritableHead('the target');
  if (host !== '' && !holdsOnly(host, VISIBLE)) throw new UnwritableHead('Host');
  const expect = request.expectContinue ? '\r\nExpect: 100-continue' : '';
  const start = `${method} ${target} HTTP/1.1\r\nHost: ${host}`;
  return `${start}${renderKept(request)}${renderFraming(request.framing)}${expect}${request.extra}\r\n\r\n`;
}

/** The reason phrase is the standard one, whatever the app said. @throws UnwritableHead */
export function renderResponse(response: ResponseRendering): string {
  const { status } = response;
  if (!Number.isInteger(status) || status < 100 || status > 599) throw new UnwritableHead('the status');
  const start = `HTTP/1.1 ${status} ${reasonPhrase(status)}`;
  return `${start}${renderKept(response)}${renderFraming(response.framing)}${response.extra}\r\n\r\n`;
}

function renderKept(head: HeadRendering): string {
  const { infos, values } = head.fields;
  const { reserved, connectionNames, edits } = head;
  const drop = head.drop | NEVER_FORWARDED;
  const hasEdits = edits.size > 0;
  const hasNamed = connectionNames.size > 0;
  let lines = '';
  for (let i = 0; i < infos.length; i++) {
    const info = infos[i];
    if (info === undefined || (info.flags & drop) !== 0) continue;
    if (reserved.has(info.folded)) continue;
    if (hasNamed && connectionNames.has(info.lower)) continue;
    if (hasEdits && isEdited(edits, info)) continue;
    lines += info.start + (values[i] ?? '');
  }
  return hasEdits ? lines + renderEdits(edits) : lines;
}

export function isEdited(edits: ReadonlyMap<string, HeaderEdit>, info: NameInfo): boolean {
  return edits.has(info.lower) || (info.folded !== info.lower && edits.has(info.folded));
}

function renderEdits(edits: ReadonlyMap<string, HeaderEdit>): string {
  let lines = '';
  for (const [lower, { name, values }] of edits) {
    // Policies are refused such names when they load (P13); a second Content-Length must not depend on that.
    if (values.length > 0 && framesMessages(lower)) throw new UnwritableHead(`header ${lower}`);
    for (const value of values) lines += renderField(name, value);
  }
  return lines;
}

function renderFraming(framing: ResponseRendering['framing']): string {
  if (framing.kind === 'chunked') return '\r\nTransfer-Encoding: chunked';
  return framing.kind === 'length' ? `\r\nContent-Length: ${framing.length}` : '';
}

const NOT_IN_TRAILERS = NEVER_FORWARDED | TRUSTED_PEER | TRUSTED_CERTIFICATE | NO_TRAILER;

export function mayBeTrailer(info: NameInfo, reserved: ReadonlySet<string>): boolean {
  return (info.flags & NOT_IN_TRAILERS) === 0 && !reserved.has(info.folded);
}

/**
 * The last chunk and the trailer section of a chunked body. Left out: framing, credentials, forwarding headers and
 * whatever else RFC 9110 section 6.5.1 forbids, and `reserved` folded names.
 */
export function renderTrailers(trailers: ParsedFields, reserved: ReadonlySet<string>): string {
  let lines = '0';
  for (let i = 0; i < trailers.infos.length; i++) {
    const info = trailers.infos[i];
    if (info === undefined || !mayBeTrailer(info, reserved)) continue;
    lines += info.start + (trailers.values[i] ?? '');
  }
  return `${lines}\r\n\r\n`;
}
