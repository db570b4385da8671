/** The request as it is judged: what was received, and who by all evidence of the connection has sent it. */
import { findSingle } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { Peer } from '../trust/trust.ts';
import { findSource } from './client-address.ts';
import type { Exchange } from './exchange.ts';
import type { ActiveListener } from './listener.ts';
import { isRequestId } from './request-id.ts';
import { isTrusted } from './trusted-peers.ts';

export function createRequestView({ client, head }: Exchange, active: ActiveListener, peer: Peer): RequestView {
  const trusted = isTrusted(peer);
  return {
    method: head.method,
    path: head.path,
    query: head.query,
    host: head.host,
    scheme: client.handshake === undefined ? 'http' : 'https',
    headers: head,
    sourceIp: findSource(active.plan.clientAddress, client.peer, trusted, head),
    size: head.framing.kind === 'length' ? head.framing.length : head.framing.kind === 'none' ? 0 : -1,
    fromTrustedPeer: trusted,
  };
}

/** X-Request-Id as a trusted peer sent it, else a new one. */
export function nameRequest({ client, head }: Exchange, peer: Peer): string {
  const sent = isTrusted(peer) ? findSingle(head, 'x-request-id') : undefined;
  return sent !== undefined && isRequestId(sent) ? sent : client.shared.ids.nextRequestId();
}
