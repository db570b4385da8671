/** The origin under which the client knows us: what hideBackend puts where an answer names the back end. */
import { findSingle } from '../http/head.ts';
import { readAuthority } from '../http/host.ts';
import type { RequestView } from '../policy/request.ts';

const DEFAULT_PORTS: Readonly<Record<RequestView['scheme'], number>> = { http: 80, https: 443 };

/**
 * Scheme of the connection and authority of the client's Host header, lower case. The port stays, so that links lead back
 * behind a port that is not the scheme's default (RFC 9110 sections 4.2.1 and 4.2.2); the default one is left out. Empty
 * for HTTP/1.0 without Host: references become relative to what was asked for.
 */
export function readClientOrigin({ host, scheme, headers }: RequestView): string {
  if (host === '') return '';
  const port = readAuthority(findSingle(headers, 'host') ?? '')?.port;
  return port === undefined || port === DEFAULT_PORTS[scheme] ? `${scheme}://${host}` : `${scheme}://${host}:${port}`;
}
