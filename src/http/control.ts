/** The headers by which a message says where it ends and what becomes of its connection, gathered in one pass. */
import { mergeOptions, NO_OPTIONS, readConnection, type ConnectionOptions } from './connection.ts';
import type { ParsedFields } from './fields.ts';
import { ROLE } from './names.ts';

export interface Control {
  host?: string;
  contentLength?: string;
  transferEncoding?: string;
  expect?: string;
  upgrade?: string;
  keepAlive?: string;
  /** Undefined when the header is broken. */
  connection: ConnectionOptions | undefined;
  /** A header that may stand once was sent again. Transfer-Encoding becomes a list instead, which nothing supports. */
  repeated: boolean;
  repeatedContentType: boolean;
}

export function gatherControl(fields: ParsedFields): Control {
  const control: Control = { connection: NO_OPTIONS, repeated: false, repeatedContentType: false };
  let hasContentType = false;
  for (let i = 0; i < fields.infos.length; i++) {
    const role = fields.infos[i]?.role ?? ROLE.none;
    if (role === ROLE.none) continue;
    const value = fields.values[i] ?? '';
    if (role !== ROLE.contentType) gather(control, role, value);
    else if (hasContentType) control.repeatedContentType = true;
    else hasContentType = true;
  }
  return control;
}

type ControlRole = Exclude<(typeof ROLE)[keyof typeof ROLE], typeof ROLE.none | typeof ROLE.contentType>;

function gather(control: Control, role: ControlRole, value: string): void {
  switch (role) {
    case ROLE.host:
      if (control.host !== undefined) control.repeated = true;
      control.host = value;
      break;
    case ROLE.contentLength:
      if (control.contentLength !== undefined) control.repeated = true;
      control.contentLength = value;
      break;
    case ROLE.expect:
      if (control.expect !== undefined) control.repeated = true;
      control.expect = value;
      break;
    case ROLE.transferEncoding:
      control.transferEncoding = append(control.transferEncoding, value);
      break;
    case ROLE.upgrade:
      control.upgrade = append(control.upgrade, value);
      break;
    case ROLE.keepAlive:
      control.keepAlive = append(control.keepAlive, value);
      break;
    case ROLE.connection:
      control.connection = addOptions(control.connection, value);
      break;
  }
}

function append(lines: string | undefined, value: string): string {
  return lines === undefined ? value : `${lines}, ${value}`;
}

function addOptions(before: ConnectionOptions | undefined, value: string): ConnectionOptions | undefined {
  const added = readConnection(value);
  if (before === undefined || added === undefined) return undefined;
  return before === NO_OPTIONS ? added : mergeOptions(before, added);
}

/** Content-Length: digits only, at most 2^53 - 1; undefined for anything else, lists included. */
export function readLength(value: string): number | undefined {
  if (!/^\d{1,16}$/.test(value)) return undefined;
  const length = Number(value);
  return Number.isSafeInteger(length) ? length : undefined;
}

export function isChunked(transferEncoding: string): boolean {
  return transferEncoding.toLowerCase() === 'chunked';
}
