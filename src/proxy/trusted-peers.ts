/** Who may speak for others: peers by address range, or by an identity that the connection's certificate proves. */
import { BlockList, isIP } from 'node:net';
import type { ListenerPlan } from '../policy/model.ts';
import type { Peer } from '../trust/trust.ts';
import type { Handshake } from './handshake.ts';
import type { ActiveListener } from './listener.ts';
import type { Shared } from './shared.ts';

/** Whether an address (folded) is in one of the ranges. A range that cannot be read trusts nobody. */
export type AddressMatch = (address: string) => boolean;

export function compileRanges(peers: ListenerPlan['trustedPeers']): AddressMatch {
  const ranges = new BlockList();
  for (const { cidr } of peers) if (cidr !== undefined) addRange(ranges, cidr);
  if (ranges.rules.length === 0) return () => false;
  return address => isIP(address) !== 0 && ranges.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function addRange(ranges: BlockList, cidr: string): void {
  const [network = '', prefix = ''] = cidr.split('/', 2);
  const family = isIP(network);
  const bits = prefix === '' ? (family === 6 ? 128 : 32) : Number(prefix);
  if (family !== 0 && Number.isInteger(bits)) ranges.addSubnet(network, bits, family === 6 ? 'ipv6' : 'ipv4');
}

/** A connection whose client is judged. */
export interface JudgedClient {
  readonly shared: Shared;
  /** Folded text of the peer's address. */
  readonly peer: string;
  readonly handshake: Handshake | undefined;
  /** Whether the peer's address is a trusted one, remembered for the generation it was worked out for. */
  peerTrust: { readonly active: ActiveListener; readonly trusted: boolean } | undefined;
  /** Who it is where nobody is trusted. */
  stranger: Peer | undefined;
}

/** The peer of a connection as `trustedPeers` sees it now: certificates expire and are revoked meanwhile. */
export function describePeer(client: JudgedClient, active: ActiveListener, now: number): Peer {
  const own = client.handshake?.presented;
  const { trustedPeers } = active.plan;
  if (trustedPeers.length === 0) return (client.stranger ??= { own, byAddress: false, provedBy: [] });
  if (client.peerTrust?.active !== active) {
    client.peerTrust = { active, trusted: active.isTrustedAddress(client.peer) };
  }
  const proof = active.generation.trust.proveIdentity(trustedPeers, own, now);
  return { own, byAddress: client.peerTrust.trusted, ...proof };
}

export const isTrusted = (peer: Peer): boolean => peer.byAddress || peer.provedBy.length > 0;
