/**
 * Which addresses a call may be made to. Applied after name resolution, to the address that is dialled, so that neither a
 * name under an attacker's control nor a rebinding resolver leads to a metadata service (CVE-2026-41413).
 *
 * Loopback and private addresses are allowed: in-cluster services live there. Refused are link-local (which holds the
 * metadata addresses of most clouds), the metadata addresses outside it, unspecified, multicast and broadcast.
 */
import { lookup as resolveName, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const FORBIDDEN_SUBNETS = [
  ['0.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['255.255.255.255', 32, 'ipv4'],
  ['100.100.100.200', 32, 'ipv4'],
  ['168.63.129.16', 32, 'ipv4'],
  ['192.0.0.192', 32, 'ipv4'],
  ['::', 128, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['fec0::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
  ['fd00:ec2::', 32, 'ipv6'],
  ['fd20:ce::254', 128, 'ipv6'],
  // The same IPv4 networks behind NAT64 (RFC 6052), 6to4 (RFC 3056) and the deprecated IPv4-compatible form.
  ['64:ff9b::a9fe:0', 112, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['2002:a9fe::', 32, 'ipv6'],
  ['::a9fe:0', 112, 'ipv6'],
] as const;

/** Tells whether an address may not be dialled. Text that is no IP address may not. */
export type AddressGuard = (address: string) => boolean;

/** The guard of every outgoing call; IPv4-mapped IPv6 addresses are judged as the IPv4 address they hold. */
export function createAddressGuard(): AddressGuard {
  const forbidden = new BlockList();
  for (const [network, prefix, family] of FORBIDDEN_SUBNETS) forbidden.addSubnet(network, prefix, family);
  return address => {
    const plain = address.split('%', 1)[0] ?? '';
    const family = isIP(plain);
    return family === 0 || forbidden.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  };
}

/** Name resolution found an address that may not be dialled. */
export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
  readonly code = 'FORBIDDEN_ADDRESS';
  constructor() {
    super('the address may not be dialled');
  }
}

/**
 * A `lookup` for net.connect that fails with ForbiddenAddressError when any address of the name is forbidden: a name that
 * mixes good and forbidden addresses is an attack, not a choice.
 */
export function createGuardedLookup(isForbidden: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    resolveName(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return callback(error, '', 0);
      const first = addresses[0];
      if (first === undefined || addresses.some(({ address }) => isForbidden(address))) {
        return callback(new ForbiddenAddressError(), '', 0);
      }
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}
