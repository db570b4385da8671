/** What is measured side by side: each peer does the same work for a mode, in its own words. */
import type { Material } from '../material.ts';
import type { Running } from '../process.ts';

/**
 * plain: HTTP in, HTTP to the app, two response headers removed.
 * token: TLS in, RS256 token with issuer, audience, expiry and two claims, mutual TLS to the app.
 * http2: as token, but HTTP/2 in.
 * grpc: HTTP/2 in by prior knowledge, HTTP/2 to the app.
 * certificate: TLS in with a client certificate, device identity passed on in a header, mutual TLS to the app.
 */
export type Mode = 'plain' | 'token' | 'http2' | 'grpc' | 'certificate';

export const isPlain = (mode: Mode): boolean => mode === 'plain' || mode === 'grpc';
export const isHttp2 = (mode: Mode): boolean => mode === 'http2' || mode === 'grpc';

export interface Ports {
  readonly listen: number;
  readonly health: number;
  readonly appPlain: number;
  readonly appTls: number;
  /** HTTP/2 by prior knowledge. */
  readonly appGrpc: number;
  /** Plain HTTP: answers device look-ups for Envoy's ext_authz. */
  readonly lookup: number;
  /** HTTPS: answers device look-ups for Sallyport. */
  readonly deviceAuth: number;
}

export interface PeerContext {
  readonly material: Material;
  readonly ports: Ports;
  readonly mode: Mode;
}

export interface Peer {
  readonly name: string;
  readonly modes: readonly Mode[];
  /** undefined: it is not on this machine; the report says so and how to get it. */
  readonly version: () => string | undefined;
  readonly howToGet: string;
  readonly start: (context: PeerContext) => Running;
}
