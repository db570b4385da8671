/** What the TLS handshake of a connection has shown: the server name, and the client's certificate. */
import { createHash, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PresentedCertificate } from '../trust/trust.ts';
import type { CertificateChoice } from './tls-certificates.ts';

/** Most certificates of a chain that are looked at; P2's bound on depth is lower. */
const MOST_CERTIFICATES = 10;

export interface Handshake {
  /** Agreed on by ALPN; false: HTTP/1.1, or nothing was said. */
  readonly http2: boolean;
  /** As the client sent it, lower case, without trailing dot; undefined without SNI. */
  readonly serverName: string | undefined;
  /** Undefined when the client presented none. */
  readonly presented: PresentedCertificate | undefined;
  /** Base64url of the SHA-256 of the client's certificate, verified or not (P1 boundToCertificate). */
  readonly binding: string | undefined;
}

/** Read once per connection; nothing of it changes later, since renegotiation is off. */
export function readHandshake(socket: TLSSocket, chain: readonly Uint8Array[]): Handshake {
  const [leaf] = chain;
  // Typed as Error, but a server's socket carries OpenSSL's code as text.
  const problem: unknown = socket.authorizationError;
  return {
    http2: socket.alpnProtocol === 'h2',
    serverName: typeof socket.servername === 'string' ? foldServerName(socket.servername) : undefined,
    presented:
      leaf === undefined
        ? undefined
        : {
            chain,
            ...(socket.authorized ? {} : { handshakeError: typeof problem === 'string' ? problem : 'UNSPECIFIED' }),
            from: 'tls',
            memo: {},
          },
    binding: leaf === undefined ? undefined : createHash('sha256').update(leaf).digest('base64url'),
  };
}

/** What the client sent, leaf first. May be asked once, before Node itself asks: see tls-acceptor.ts. */
export function readPeerChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < MOST_CERTIFICATES) {
    const { raw } = certificate;
    chain.push(new Uint8Array(raw.buffer, raw.byteOffset, raw.length));
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

/** Names compare without case and trailing dot: otherwise `SECURE.example.` chooses another trust (CVE-2026-48928). */
export function foldServerName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/**
 * Whether a request asks a host that the certificate of its connection does not serve (421): its connection was opened
 * for another one, whose trust may differ. Without SNI the certificate is that of the Apis without hosts.
 */
export function isMisdirected(handshake: Handshake | undefined, choice: CertificateChoice | undefined, host: string) {
  if (handshake === undefined || choice === undefined) return false;
  return choice.secretFor(handshake.serverName) !== choice.secretFor(host === '' ? undefined : host);
}
