/**
 * The header of the PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt, section 2), read strictly: whoever
 * may send it says who the client is, so what is not understood is refused. Pure.
 */
import { formatAddress, readAddress } from '../api/address-range.ts';

export type ProxyHeader =
  | { readonly kind: 'more' }
  /** `source`: the client's address, folded; absent where the sender speaks for itself (LOCAL, UNKNOWN, a Unix socket). */
  | { readonly kind: 'header'; readonly bytes: number; readonly source?: string }
  | { readonly kind: 'bad' };

/** Section 2.1: the longest line of version 1, CRLF included. */
const MOST_V1 = 107;
/** Of version 2, addresses and TLVs included: what senders write has a few hundred bytes; the format allows 64 KiB. */
const MOST_V2 = 4096;
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const FIXED_V2 = 16;

const MORE: ProxyHeader = { kind: 'more' };
const BAD: ProxyHeader = { kind: 'bad' };

/** `bytes`: everything that came so far. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (bytes.length === 0) return MORE;
  return bytes[0] === SIGNATURE[0] ? readBinary(bytes) : readLine(bytes);
}

const PORT = '(?:0|[1-9][0-9]{0,4})';
const LINE = new RegExp(
  `^PROXY (?:UNKNOWN(?: [\\x20-\\x7e]*)?|(TCP4|TCP6) ([0-9A-Fa-f.:]{2,39}) ([0-9A-Fa-f.:]{2,39}) (${PORT}) (${PORT}))\\r\\n$`,
);

function readLine(bytes: Uint8Array): ProxyHeader {
  const most = bytes.subarray(0, MOST_V1);
  const end = most.indexOf(0x0a);
  const text = String.fromCharCode(...(end < 0 ? most : most.subarray(0, end + 1)));
  if (end < 0) return bytes.length >= MOST_V1 || !isBegun(text) ? BAD : MORE;
  const [line, family, source = '', destination = '', ...ports] = LINE.exec(text) ?? [];
  if (line === undefined) return BAD;
  if (family === undefined) return { kind: 'header', bytes: line.length };
  const isRight = family === 'TCP6' ? isIpv6 : isIpv4;
  if (!isRight(source) || !isRight(destination) || ports.some(port => Number(port) > 65535)) return BAD;
  return describe(line.length, readAddress(source));
}

const isBegun = (text: string): boolean => text.startsWith('PROXY ') || 'PROXY '.startsWith(text);
const isIpv4 = (text: string): boolean => !text.includes(':') && readAddress(text) !== undefined;
const isIpv6 = (text: string): boolean => text.includes(':') && readAddress(text) !== undefined;

function describe(bytes: number, address: number[] | undefined): ProxyHeader {
  return address === undefined ? BAD : { kind: 'header', bytes, source: formatAddress(address) };
}

/** Family and transport to the length of their addresses: TCP over IPv4 and IPv6, Unix streams; 0: unspecified. */
const ADDRESSES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);

function readBinary(bytes: Uint8Array): ProxyHeader {
  const compared = Math.min(bytes.length, SIGNATURE.length);
  for (let at = 0; at < compared; at++) if (bytes[at] !== SIGNATURE[at]) return BAD;
  if (bytes.length < FIXED_V2) return MORE;
  const [command, family, high = 0, low = 0] = bytes.subarray(SIGNATURE.length, FIXED_V2);
  const total = FIXED_V2 + high * 256 + low;
  if ((command !== 0x20 && command !== 0x21) || total > MOST_V2) return BAD;
  if (bytes.length < total) return MORE;
  // LOCAL: a health check of the sender's own. What follows is to be skipped, whatever it is (section 2.2).
  if (command === 0x20) return { kind: 'header', bytes: total };
  const length = ADDRESSES.get(family ?? -1);
  const rest = bytes.subarray(FIXED_V2, total);
  if (length === undefined || rest.length < length || (length > 0 && !areVectors(rest.subarray(length)))) return BAD;
  if (family !== 0x11 && family !== 0x21) return { kind: 'header', bytes: total };
  const address = [...rest.subarray(0, family === 0x11 ? 4 : 16)];
  return describe(total, readAddress(formatAddress(address)));
}

/** Whether TLVs fill the rest exactly. What they say is not used. */
function areVectors(rest: Uint8Array): boolean {
  let at = 0;
  while (at + 3 <= rest.length) at += 3 + (rest[at + 1] ?? 0) * 256 + (rest[at + 2] ?? 0);
  return at === rest.length;
}
