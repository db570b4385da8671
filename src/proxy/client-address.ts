/** Who the client is by address: the peer, or what trusted peers say in X-Forwarded-For. */
import { isIP } from 'node:net';
import { formatAddress, readAddress } from '../api/address-range.ts';
import { joinValues, type HeaderFields } from '../http/head.ts';
import type { ListenerPlan } from '../policy/model.ts';

/**
 * The one text of an address: IPv4-mapped IPv6 addresses are the IPv4 address that they hold (P8), zones are dropped. What
 * is no address stays as it is.
 */
export function foldAddress(address: string): string {
  if (!address.includes(':')) return address;
  const plain = address.split('%', 1)[0] ?? '';
  const bytes = readAddress(plain);
  return bytes === undefined ? plain : formatAddress(bytes);
}

/**
 * `source.ip`. With ForwardedFor, the address that the outermost of `trustedHops` hops has written, counted from the right.
 * A list that is shorter, or holds something else there, says nothing: the peer counts, as in Envoy.
 */
export function findSource(
  plan: ListenerPlan['clientAddress'],
  peer: string,
  trusted: boolean,
  headers: HeaderFields,
): string {
  if (plan.from === 'Peer' || !trusted) return peer;
  const list = (joinValues(headers, 'x-forwarded-for') ?? '').split(',');
  const text = (list[list.length - plan.trustedHops] ?? '').trim();
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return isIP(bare) === 0 ? peer : foldAddress(bare);
}
