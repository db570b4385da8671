/** Single addresses, CIDR and inclusive ranges as one interval, read without Node (P8). */
import { isIpv4Mapped, maskCidr, parseCidr, parseIpv4, parseIpv6, type Cidr } from './cidr.ts';

/** From and to belong to it. Bytes in network order, 4 or 16 of them. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly from: readonly number[];
  readonly to: readonly number[];
}

export type RangeProblem = 'not an address' | 'host bits' | 'families differ' | 'backwards';

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** Bytes of an address; ::ffff:a.b.c.d is the IPv4 address that it holds. */
export function readAddress(text: string): number[] | undefined {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes?.length === 16 && MAPPED.every((byte, at) => bytes[at] === byte) ? bytes.slice(12) : bytes;
}

/** `203.0.113.7`, `203.0.113.0/24` or `198.51.100.7-198.51.100.20`; IPv4-mapped addresses and ranges are IPv4. */
export function parseAddressRange(text: string): AddressRange | RangeProblem {
  if (text.includes('/')) return parseNetwork(text);
  const [first = '', last = first, more] = text.split('-');
  const [from, to] = [readAddress(first.trim()), readAddress(last.trim())];
  if (from === undefined || to === undefined || more !== undefined) return 'not an address';
  if (from.length !== to.length) return 'families differ';
  if (compareAddresses(from, to) > 0) return 'backwards';
  return { family: from.length === 4 ? 4 : 6, from, to };
}

function parseNetwork(text: string): AddressRange | RangeProblem {
  const cidr = parseCidr(text);
  if (cidr === undefined) return 'not an address';
  const { bytes } = maskCidr(cidr);
  if (bytes.some((byte, at) => byte !== cidr.bytes[at])) return 'host bits';
  const last = lastOf(cidr);
  if (isIpv4Mapped(cidr)) return { family: 4, from: bytes.slice(12), to: last.slice(12) };
  return { family: cidr.family, from: bytes, to: last };
}

const lastOf = ({ bytes, prefix }: Cidr): number[] =>
  bytes.map((byte, at) => byte | (0xff >> Math.min(8, Math.max(0, prefix - at * 8))));

/** Negative when `left` comes first; of one family. */
export function compareAddresses(left: readonly number[], right: readonly number[]): number {
  for (const [at, byte] of left.entries()) {
    const other = right[at] ?? 0;
    if (byte !== other) return byte - other;
  }
  return 0;
}

/** The one text of an address (RFC 5952 for IPv6), so that equal addresses are equal keys. */
export function formatAddress(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0));
  const { start, length } = findZeros(groups);
  const words = groups.map(group => group.toString(16));
  if (length < 2) return words.join(':');
  return `${words.slice(0, start).join(':')}::${words.slice(start + length).join(':')}`;
}

/** The longest run of zero groups, the first of several. */
function findZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [at, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: at - length + 1, length };
  }
  return best;
}
