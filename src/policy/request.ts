/** A request as it is judged: what was received, canonical and immutable (rule E1). The proxy and `explain` both make it. */
import type { HeaderFields } from '../http/head.ts';

export interface RequestView {
  readonly method: string;
  /** Canonical path (http/path.ts), the very bytes that are forwarded; starts with `/`, no query. */
  readonly path: string;
  /** Without `?`; empty when there is none. As received, checked for control characters only. */
  readonly query: string;
  /** Lower case, without port and trailing dot; empty if HTTP/1.0 sent none. */
  readonly host: string;
  readonly scheme: 'http' | 'https';
  /** As received. Authentication steps read their locations from here; expressions see `headersForExpressions`. */
  readonly headers: HeaderFields;
  /** Peer, PROXY protocol's or X-Forwarded-For's address, as `Api.clientAddress` says. */
  readonly sourceIp: string;
  /** Bytes of the body by Content-Length; 0 without a body; -1 when unknown (chunked). */
  readonly size: number;
  /** Whether the peer is one of `Api.trustedPeers`. */
  readonly fromTrustedPeer: boolean;
}
