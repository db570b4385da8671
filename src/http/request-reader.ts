/** Request heads (RFC 9112 sections 3, 5, 6), strict by construction (data-path.md "Behaviours by name"). */
import { METHOD, VISIBLE } from './characters.ts';
import type { ConnectionOptions } from './connection.ts';
import { isChunked, readLength, type Control } from './control.ts';
import type { ParsedFields } from './fields.ts';
import { createHeadReader, type LineScan } from './head-reader.ts';
import { readAuthority, type Authority } from './host.ts';
import type { Framing, HeadLimits, HeadReason, RequestHead, RequestReader } from './message.ts';
import { classifyName, createNameTable, FRAMING, type NameTable } from './names.ts';
import { readTarget } from './target.ts';

interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
}

const LONGEST_METHOD = 32;

/** An app that answers TRACE shows the client every header that a policy adds (RFC 9110 section 9.3.8); TRACK is its twin. */
export const NEVER_SERVED: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

/**
 * Reads the request heads of one connection. `table` is shared by the readers of a listener.
 * Reasons: MalformedRequest, AmbiguousPath (400), MethodNotAllowed (405), TargetTooLong (414), ExpectationFailed (417),
 * HeadersTooLarge (431), TransferCodingNotSupported (501), VersionNotSupported (505).
 */
export function createRequestReader(limits: HeadLimits, table: NameTable = createNameTable()): RequestReader {
  const readHost = createHostReader();
  let method = '';
  const reader = createHeadReader<RequestLine, RequestHead>(
    {
      skipsEmptyLine: true,
      malformed: 'MalformedRequest',
      tooLarge: 'HeadersTooLarge',
      readLine: (text, start, end) => {
        const scan = readRequestLine(text, start, end, limits.targetBytes);
        if (typeof scan === 'object') method = scan.line.method;
        else method = scan === undefined ? '' : nameMethod(text, start, end);
        return scan;
      },
      judge: (line, fields, control) => judgeRequest(line, fields, control, readHost),
    },
    limits,
    table,
  );
  return {
    read: chunk => reader.read(chunk),
    reset: () => {
      method = '';
      reader.reset();
    },
    get started() {
      return reader.started;
    },
    get method() {
      return method;
    },
  };
}

/** Of a request line that is refused; empty when it is not even a method. */
function nameMethod(text: string, start: number, end: number): string {
  let at = start;
  while (at < end && METHOD[text.charCodeAt(at)] === 1) at++;
  return at < end && at - start <= LONGEST_METHOD && text.charCodeAt(at) === 0x20 ? text.slice(start, at) : '';
}

function readRequestLine(text: string, start: number, end: number, targetBytes: number): LineScan<RequestLine> {
  let at = start;
  while (at < end && METHOD[text.charCodeAt(at)] === 1) at++;
  const methodEnd = at;
  if (methodEnd - start > LONGEST_METHOD) return 'MalformedRequest';
  if (at === end) return undefined;
  if (at === start || text.charCodeAt(at) !== 0x20) return 'MalformedRequest';
  const targetStart = ++at;
  const targetLimit = Math.min(end, targetStart + targetBytes + 1);
  while (at < targetLimit && VISIBLE[text.charCodeAt(at)] === 1) at++;
  if (at - targetStart > targetBytes) return 'TargetTooLong';
  if (at === end) return undefined;
  if (at === targetStart || text.charCodeAt(at) !== 0x20) return 'MalformedRequest';
  const version = readVersion(text.slice(at + 1, Math.min(end, at + 11)));
  if (version === undefined || isReason(version)) return version;
  const method = text.slice(start, methodEnd);
  if (NEVER_SERVED.has(method)) return 'MethodNotAllowed';
  return { line: { method, target: text.slice(targetStart, at), version }, next: at + 11 };
}

function readVersion(text: string): '1.0' | '1.1' | HeadReason | undefined {
  if (text === 'HTTP/1.1\r\n') return '1.1';
  if (text === 'HTTP/1.0\r\n') return '1.0';
  if (!/^(?:H|HT|HTT|HTTP|HTTP\/\d?|HTTP\/\d\.\d?|HTTP\/\d\.\d\r\n?)?$/.test(text)) return 'MalformedRequest';
  return text.length < 10 ? undefined : 'VersionNotSupported';
}

function isReason(version: '1.0' | '1.1' | HeadReason): version is HeadReason {
  return version !== '1.0' && version !== '1.1';
}

type HostReader = (value: string) => Authority | undefined;

/** A connection mostly names one host: the last one is remembered. */
function createHostReader(): HostReader {
  let last: string | undefined;
  let authority: Authority | undefined;
  return value => {
    if (value !== last) {
      authority = readAuthority(value);
      last = value;
    }
    return authority;
  };
}

function judgeRequest(
  line: RequestLine,
  fields: ParsedFields,
  control: Control,
  readHost: HostReader,
): RequestHead | HeadReason {
  const { connection, host } = control;
  if (control.repeated || control.repeatedContentType || connection === undefined) return 'MalformedRequest';
  if (connection.names.size > 0 && namesFraming(connection)) return 'MalformedRequest';
  if (host === undefined && line.version === '1.1') return 'MalformedRequest';
  const authority = host === undefined ? NO_AUTHORITY : readHost(host);
  if (authority === undefined) return 'MalformedRequest';
  const target = readOriginForm(line, authority);
  if (target.reason !== undefined) return target.reason;
  const framing = readFraming(line.version, control);
  if (typeof framing === 'string') return framing;
  const isUpgrade = isWebSocket(line, control, connection);
  // Bytes after the head of an upgrade belong to the new protocol: a body there is how requests are smuggled past it.
  if (isUpgrade && hasBody(framing)) return 'MalformedRequest';
  if (control.expect !== undefined && control.expect.toLowerCase() !== '100-continue') return 'ExpectationFailed';
  return {
    method: line.method,
    target: line.target,
    version: line.version,
    path: target.path,
    query: target.query,
    host: authority.host,
    authorityPort: authority.port,
    framing,
    keepAlive: !connection.close && (line.version === '1.1' || connection.keepAlive),
    expectContinue: control.expect !== undefined && line.version === '1.1' && hasBody(framing),
    upgradeWebSocket: isUpgrade,
    connectionNames: connection.names,
    names: fields.names,
    lower: fields.lower,
    values: fields.values,
    infos: fields.infos,
  } as RequestHead;
}

const NO_AUTHORITY: Authority = { host: '', port: undefined };

/** `Connection: Host` would have us drop what the app needs to read the message as we did. */
function namesFraming(connection: ConnectionOptions): boolean {
  for (const name of connection.names) {
    if (((classifyName(name)?.flags ?? FRAMING) & FRAMING) !== 0) return true;
  }
  return false;
}

type OriginForm = ReturnType<typeof readTarget>;

function readOriginForm(line: RequestLine, authority: Authority): OriginForm {
  const { target } = line;
  if (target.charCodeAt(0) === 0x2f) return readTarget(target);
  if (target === '*') return line.method === 'OPTIONS' ? ASTERISK : MALFORMED;
  return readAbsoluteForm(line, authority);
}

const ASTERISK = { path: '*', query: '' } as const;
const MALFORMED = { reason: 'MalformedRequest' } as const;

/** Only what names the same host and port as Host does; the scheme is that of the connection, whatever is said here. */
function readAbsoluteForm(line: RequestLine, authority: Authority): OriginForm {
  const match = /^https?:\/\/([^/?#]*)(.*)$/is.exec(line.target);
  const named = match?.[1] === undefined ? undefined : readAuthority(match[1]);
  if (named?.host !== authority.host || named.port !== authority.port) return MALFORMED;
  const rest = match?.[2] ?? '';
  if (rest === '' && line.method === 'OPTIONS') return ASTERISK;
  return readTarget(rest.startsWith('/') ? rest : `/${rest}`);
}

const NO_BODY: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };

function readFraming(version: '1.0' | '1.1', control: Control): Framing | HeadReason {
  const { contentLength, transferEncoding } = control;
  if (transferEncoding === undefined) {
    if (contentLength === undefined) return NO_BODY;
    const length = readLength(contentLength);
    return length === undefined ? 'MalformedRequest' : { kind: 'length', length };
  }
  if (version === '1.0' || contentLength !== undefined) return 'MalformedRequest';
  return isChunked(transferEncoding) ? CHUNKED : 'TransferCodingNotSupported';
}

function hasBody(framing: Framing): boolean {
  return framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0);
}

function isWebSocket(line: RequestLine, control: Control, connection: ConnectionOptions): boolean {
  if (control.upgrade === undefined || !connection.upgrade) return false;
  return line.method === 'GET' && line.version === '1.1' && control.upgrade.toLowerCase() === 'websocket';
}
