/** Authorities: Host of HTTP/1.1, `:authority` of HTTP/2 (RFC 9110 section 7.2). */
import { HOST_NAME, holdsOnly } from './characters.ts';

export interface Authority {
  /** Lower case, without port and trailing dot; IPv6 addresses in their brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const LONGEST_NAME = 253;
const LONGEST_LABEL = 63;

/**
 * A host name (letters, digits, `-`, `_`), an IPv4 address or an IPv6 address in brackets, with a port from 1 to 65535 or
 * none. Undefined for anything else: empty, user information, escapes, lists, empty labels, bytes from 0x80, zone
 * identifiers, an empty port.
 */
export function readAuthority(value: string): Authority | undefined {
  const colon = value.charCodeAt(0) === 0x5b ? afterBracket(value) : value.indexOf(':');
  const hasPort = colon >= 0 && colon < value.length;
  const port = hasPort ? readPort(value.slice(colon)) : undefined;
  if (hasPort && port === undefined) return undefined;
  const host = readHost(hasPort ? value.slice(0, colon) : value);
  return host === undefined ? undefined : { host, port };
}

function afterBracket(value: string): number {
  return value.indexOf(']') + 1;
}

function readPort(text: string): number | undefined {
  if (!/^:\d{1,5}$/.test(text)) return undefined;
  const port = Number(text.slice(1));
  return port >= 1 && port <= 65535 ? port : undefined;
}

function readHost(text: string): string | undefined {
  if (text.charCodeAt(0) === 0x5b)
    return isIpv6(text.slice(1, -1)) && text.endsWith(']') ? text.toLowerCase() : undefined;
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length > LONGEST_NAME || !holdsOnly(name, HOST_NAME)) return undefined;
  return areLabels(name) ? name.toLowerCase() : undefined;
}

function areLabels(name: string): boolean {
  for (let start = 0; start <= name.length;) {
    const dot = name.indexOf('.', start);
    const end = dot < 0 ? name.length : dot;
    if (end === start || end - start > LONGEST_LABEL) return false;
    start = end + 1;
  }
  return true;
}

/** RFC 4291 section 2.2: eight groups, or fewer with one `::`; the last two may be an IPv4 address. */
function isIpv6(text: string): boolean {
  const sides = text.split('::');
  if (sides.length > 2) return false;
  const groups = sides.map(side => (side === '' ? [] : side.split(':')));
  const all = groups.flat();
  const v4 = all.at(-1)?.includes('.') === true ? all.pop() : undefined;
  if (v4 !== undefined && !(isIpv4(v4) && text.endsWith(v4))) return false;
  if (!all.every(group => /^[0-9a-f]{1,4}$/i.test(group))) return false;
  const count = all.length + (v4 === undefined ? 0 : 2);
  return sides.length === 2 ? count <= 7 : count === 8;
}

function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(text);
}
