/** The lists of an ipFilter as sorted intervals: a look-up is a binary search, whatever the lists' length (P8). */
import { compareAddresses, parseAddressRange, readAddress, type AddressRange } from '../api/address-range.ts';

export type AddressVerdict = 'Allowed' | 'Blocked' | 'NotAllowed';
/** The text of an address; what is none is not allowed. */
export type AddressFilter = (address: string) => AddressVerdict;

/** Deny first; no allow list: everybody who is not denied. Entries are those that the parser has let pass. */
export function createAddressFilter(allow: readonly string[] | undefined, deny: readonly string[]): AddressFilter {
  const [denied, allowed] = [createAddressSet(deny), allow === undefined ? undefined : createAddressSet(allow)];
  return text => {
    const v4 = readIpv4(text);
    const address = v4 < 0 ? readOther(text) : v4;
    if (address === undefined) return 'NotAllowed';
    if (isIn(denied, address)) return 'Blocked';
    return allowed === undefined || isIn(allowed, address) ? 'Allowed' : 'NotAllowed';
  };
}

const isIn = (set: AddressSet, address: number | readonly number[]): boolean =>
  typeof address === 'number' ? set.hasIpv4(address) : set.hasIpv6(address);

interface AddressSet {
  readonly hasIpv4: (address: number) => boolean;
  /** Four words of 32 bits. */
  readonly hasIpv6: (words: readonly number[]) => boolean;
}

function createAddressSet(entries: readonly string[]): AddressSet {
  const ranges = entries.map(parseAddressRange).filter(range => typeof range === 'object');
  const [v4, v6] = [merge(ranges, 4), merge(ranges, 6)];
  const starts4 = Uint32Array.from(v4, range => toWords(range.from)[0] ?? 0);
  const ends4 = Uint32Array.from(v4, range => toWords(range.to)[0] ?? 0);
  const starts6 = v6.map(range => toWords(range.from));
  const ends6 = v6.map(range => toWords(range.to));
  return {
    hasIpv4: address => {
      const at = findLast(starts4.length, index => (starts4[index] ?? 0) <= address);
      return at >= 0 && address <= (ends4[at] ?? 0);
    },
    hasIpv6: words => {
      const at = findLast(starts6.length, index => compareWords(starts6[index] ?? NOTHING, words) <= 0);
      return at >= 0 && compareWords(words, ends6[at] ?? NOTHING) <= 0;
    },
  };
}

const NOTHING: readonly number[] = [];

/** Sorted, those that overlap as one, so that the last one that starts early enough decides. */
function merge(ranges: readonly AddressRange[], family: 4 | 6): readonly AddressRange[] {
  const sorted = ranges.filter(range => range.family === family).sort((a, b) => compareAddresses(a.from, b.from));
  const merged: AddressRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last === undefined || compareAddresses(range.from, last.to) > 0) merged.push(range);
    else if (compareAddresses(range.to, last.to) > 0) merged[merged.length - 1] = { ...last, to: range.to };
  }
  return merged;
}

/** The greatest index for which `holds`, which is true up to some index and false from there on; -1: none. */
function findLast(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const toWords = (bytes: readonly number[]): readonly number[] =>
  Array.from({ length: bytes.length / 4 }, (_, word) =>
    bytes.slice(word * 4, word * 4 + 4).reduce((sum, byte) => sum * 256 + byte, 0),
  );

function compareWords(left: readonly number[], right: readonly number[]): number {
  for (let at = 0; at < 4; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A dotted quad as one number, -1 when it is none. Runs for each request, so it makes nothing. */
function readIpv4(text: string): number {
  let address = 0;
  let part = -1;
  let dots = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      // No leading zero: some read it as octal.
      if (part === 0) return -1;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return -1;
    } else if (digit === -2 && part >= 0 && dots < 3) {
      address = address * 256 + part;
      part = -1;
      dots += 1;
    } else return -1;
  }
  return dots === 3 && part >= 0 ? address * 256 + part : -1;
}

/** Four words of an IPv6 address; the one of an IPv4-mapped address. */
function readOther(text: string): number | readonly number[] | undefined {
  const bytes = readAddress(text);
  if (bytes === undefined) return undefined;
  const words = toWords(bytes);
  return words.length === 1 ? words[0] : words;
}
