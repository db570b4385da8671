/** The addresses of this pod as others dial them: never loopback. */
import type { networkInterfaces } from 'node:os';
import { parseIpv4, parseIpv6 } from '../api/cidr.ts';

export type ReadInterfaces = typeof networkInterfaces;

export interface LocalAddresses {
  /**
   * The address as text that can be dialled (link-local ones with their zone), by its bytes in hex; undefined: it is none of
   * this pod's, or it is loopback. Addresses that come later are noticed.
   */
  find(bytes: string): string | undefined;
  list(): readonly string[];
}

/** Whoever sends to addresses that are not ours makes the list be read again this often at most. */
const READ_EVERY_MS = 1000;

export function createLocalAddresses(read: ReadInterfaces, monotonic: () => number): LocalAddresses {
  let known = readAddresses(read);
  let readAt = monotonic();
  return {
    find: bytes => {
      const found = known.get(bytes);
      if (found !== undefined) return found;
      const now = monotonic();
      if (now - readAt < READ_EVERY_MS) return undefined;
      known = readAddresses(read);
      readAt = now;
      return known.get(bytes);
    },
    list: () => [...known.values()],
  };
}

function readAddresses(read: ReadInterfaces): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, entries = []] of Object.entries(read())) {
    for (const entry of entries) {
      if (entry.internal) continue;
      const bytes = entry.family === 'IPv4' ? parseIpv4(entry.address) : parseIpv6(entry.address);
      if (bytes === undefined) continue;
      const isLinkLocal = entry.family === 'IPv6' && entry.scopeid !== 0;
      found.set(toHex(bytes), isLinkLocal ? `${entry.address}%${name}` : entry.address);
    }
  }
  return found;
}

export const toHex = (bytes: Iterable<number>): string =>
  Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
