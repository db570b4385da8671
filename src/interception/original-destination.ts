/**
 * Where a client wanted to go before the rules redirected it: getsockopt(SO_ORIGINAL_DST), which Node does not have. koffi
 * calls it; it is loaded when this file's function is first called, so that only transparent mode pays for it.
 */
import type { Socket } from 'node:net';
import { toHex, type LocalAddresses } from './local-addresses.ts';

export interface Destination {
  readonly host: string;
  readonly port: number;
}

export type Found =
  | Destination
  | {
      readonly why:
        | 'NoOriginalDestination'
        /** Forwarding there would make an open relay of the sidecar, or reach what listens on loopback. */
        | 'ForeignDestination'
        /** Somebody dials the sidecar itself: forwarding there would come back to it without end. */
        | 'SidecarPort';
    };

export type FindDestination = (socket: Socket) => Found;

export interface DestinationOptions {
  readonly local: LocalAddresses;
  /** Of the sidecar: intercepted connections and health. */
  readonly ownPorts: readonly number[];
}

// linux/in.h, linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h.
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
const AF_INET = 2;
const AF_INET6 = 10;
/** Of sockaddr_in6; sockaddr_in has 16. */
const SOCKADDR_BYTES = 28;

/** @throws an Error that says so where koffi's native part is missing: there is no interception then. */
export async function openOriginalDestination({ local, ownPorts }: DestinationOptions): Promise<FindDestination> {
  const { default: koffi } = await import('koffi');
  // Of the running program: whichever C library Node stands on.
  const getsockopt = koffi.load(null).func('int getsockopt(int, int, int, void *, void *)');
  // One call at a time, so that one buffer does.
  const address = new Uint8Array(SOCKADDR_BYTES);
  const size = new Uint32Array(1);
  const own = new Set(ownPorts);
  return socket => {
    const fd = readDescriptor(socket);
    const level = isIpv6(socket) ? SOL_IPV6 : SOL_IP;
    size[0] = SOCKADDR_BYTES;
    const failed: unknown = fd < 0 ? -1 : getsockopt(fd, level, SO_ORIGINAL_DST, address, size);
    const found = failed === 0 ? readSocketAddress(address) : undefined;
    if (found === undefined) return { why: 'NoOriginalDestination' };
    if (own.has(found.port)) return { why: 'SidecarPort' };
    const host = local.find(found.bytes);
    return host === undefined ? { why: 'ForeignDestination' } : { host, port: found.port };
  };
}

/** An IPv4 client of a socket that serves both comes as `::ffff:a.b.c.d`, and its destination is asked for as IPv4. */
const isIpv6 = ({ remoteAddress = '' }: Socket): boolean =>
  remoteAddress.includes(':') && !remoteAddress.startsWith('::ffff:');

/** Node has no public name for it. A socket that has ended meanwhile has none. */
function readDescriptor(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' ? fd : -1;
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in the machine's order, port in the network's. Little-endian machines. */
export function readSocketAddress(raw: Uint8Array): { readonly bytes: string; readonly port: number } | undefined {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2);
  if (port === 0) return undefined;
  if (family === AF_INET) return { bytes: toHex(raw.subarray(4, 8)), port };
  return family === AF_INET6 ? { bytes: toHex(raw.subarray(8, 24)), port } : undefined;
}
