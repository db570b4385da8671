/** Response heads (RFC 9112 sections 4 to 6), as strict as requests: what is not HTTP/1.1 is AppProtocolError. */
import { VALUE } from './characters.ts';
import type { ConnectionOptions } from './connection.ts';
import { isChunked, readLength, type Control } from './control.ts';
import type { ParsedFields } from './fields.ts';
import { createHeadReader, type LineScan } from './head-reader.ts';
import type { Framing, HeadLimits, HeadReason, ResponseHead, ResponseReader } from './message.ts';
import { createNameTable, type NameTable } from './names.ts';

interface StatusLine {
  readonly version: '1.0' | '1.1';
  readonly status: number;
  readonly reason: string;
}

const MOST_INFORMATIONAL = 16;
const BROKEN: HeadReason = 'AppProtocolError';
const FLOOD = { kind: 'error', reason: BROKEN } as const;

/** Reads the answers on one connection to the app. `limits.targetBytes` is not used. */
export function createResponseReader(limits: HeadLimits, table: NameTable = createNameTable()): ResponseReader {
  let method = 'GET';
  let informational = 0;
  const reader = createHeadReader<StatusLine, ResponseHead>(
    {
      skipsEmptyLine: false,
      malformed: BROKEN,
      tooLarge: BROKEN,
      readLine: readStatusLine,
      judge: (line, fields, control) => judgeResponse(line, fields, control, method),
    },
    limits,
    table,
  );
  return {
    read(chunk, requestMethod) {
      if (informational > MOST_INFORMATIONAL) return FLOOD;
      method = requestMethod;
      const progress = reader.read(chunk);
      if (progress.kind !== 'head') return progress;
      const { status } = progress.head;
      informational = status < 200 && status !== 101 ? informational + 1 : 0;
      return informational > MOST_INFORMATIONAL ? FLOOD : progress;
    },
    reset() {
      informational = 0;
      reader.reset();
    },
    get started() {
      return reader.started;
    },
  };
}

/** Start of every status line; `d` is a digit. */
const PATTERN = 'HTTP/1.d ddd';

function readStatusLine(text: string, start: number, end: number): LineScan<StatusLine> {
  let at = start;
  for (let i = 0; i < PATTERN.length; i++, at++) {
    if (at === end) return undefined;
    if (!fits(text.charCodeAt(at), PATTERN.charCodeAt(i))) return BROKEN;
  }
  const version = text.charCodeAt(start + 7) === 0x31 ? '1.1' : '1.0';
  const status = Number(text.slice(start + 9, start + 12));
  if (text.charCodeAt(start + 7) > 0x31 || status < 100 || status > 599) return BROKEN;
  if (at === end) return undefined;
  // The space before an empty reason phrase is often left out; nothing hangs on it.
  const reasonStart = text.charCodeAt(at) === 0x20 ? ++at : at;
  if (reasonStart !== start + PATTERN.length) {
    while (at < end && isReasonCharacter(text.charCodeAt(at))) at++;
  }
  if (at === end) return undefined;
  if (text.charCodeAt(at) !== 0x0d) return BROKEN;
  if (at + 1 === end) return undefined;
  if (text.charCodeAt(at + 1) !== 0x0a) return BROKEN;
  return { line: { version, status, reason: text.slice(reasonStart, at) }, next: at + 2 };
}

function fits(code: number, pattern: number): boolean {
  return pattern === 0x64 ? code >= 0x30 && code <= 0x39 : code === pattern;
}

function isReasonCharacter(code: number): boolean {
  return VALUE[code] === 1 || code === 0x20 || code === 0x09;
}

function judgeResponse(
  line: StatusLine,
  fields: ParsedFields,
  control: Control,
  requestMethod: string,
): ResponseHead | HeadReason {
  const { connection, contentLength: lengthText, transferEncoding } = control;
  if (control.repeated || connection === undefined) return BROKEN;
  const contentLength = lengthText === undefined ? undefined : readLength(lengthText);
  if (lengthText !== undefined && (contentLength === undefined || transferEncoding !== undefined)) return BROKEN;
  if (transferEncoding !== undefined && (line.version === '1.0' || !isChunked(transferEncoding))) return BROKEN;
  const framing = readFraming(line.status, requestMethod, contentLength, transferEncoding);
  return {
    status: line.status,
    reason: line.reason,
    version: line.version,
    framing,
    contentLength,
    keepAlive: isKept(line, control, connection, framing),
    keepAliveTimeoutMs: readTimeout(control.keepAlive),
    upgradeWebSocket: line.status === 101 && connection.upgrade && control.upgrade?.toLowerCase() === 'websocket',
    connectionNames: connection.names,
    names: fields.names,
    lower: fields.lower,
    values: fields.values,
    infos: fields.infos,
  } as ResponseHead;
}

type ResponseFraming = ResponseHead['framing'];

const NO_BODY: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: ResponseFraming = { kind: 'until-close' };

/** RFC 9112 section 6.3, in its order. */
function readFraming(
  status: number,
  requestMethod: string,
  contentLength: number | undefined,
  transferEncoding: string | undefined,
): ResponseFraming {
  if (requestMethod === 'HEAD' || hasNoBody(status)) return NO_BODY;
  if (transferEncoding !== undefined) return CHUNKED;
  return contentLength === undefined ? UNTIL_CLOSE : { kind: 'length', length: contentLength };
}

function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

function isKept(line: StatusLine, control: Control, connection: ConnectionOptions, framing: ResponseFraming): boolean {
  if (framing.kind === 'until-close' || connection.close) return false;
  // A 204 or 1xx must not announce a body; an app that does may also send it, and the next answer would start there.
  const announces = control.transferEncoding !== undefined || (control.contentLength ?? '0') !== '0';
  if (announces && (line.status < 200 || line.status === 204)) return false;
  return line.version === '1.1' || connection.keepAlive;
}

function readTimeout(keepAlive: string | undefined): number | undefined {
  const seconds = keepAlive === undefined ? undefined : /(?:^|[,\s])timeout=(\d{1,6})(?:$|[,\s])/i.exec(keepAlive)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
