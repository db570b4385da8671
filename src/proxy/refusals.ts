/** Connections that end before a request, or for how they speak HTTP/2: counted by a closed list of reasons, told at debug level, a few at most. */
import type { Telemetry } from '../telemetry/telemetry.ts';

export type RefusedWhy =
  | 'NoApi'
  /** A redirected connection does not tell where it was to go. */
  | 'NoOriginalDestination'
  /** It was to go to an address that is none of this pod's. */
  | 'ForeignDestination'
  /** It was to go to the sidecar's own port. */
  | 'SidecarPort'
  | 'Connections'
  | 'PerPeerConnections'
  | 'Overloaded'
  | 'ProxyProtocol'
  | 'PlainHttpOnTls'
  | 'UnknownServerName'
  | 'TlsHandshake'
  /** More resets, PING, SETTINGS or empty frames than a client can need. */
  | 'Http2Flood'
  | 'Http2Protocol';

/** `code` is a word of OpenSSL or Node, never text of the client. */
export type Refusals = (why: RefusedWhy, code?: string) => void;

/** A flood of refused connections writes one line of each reason in this time. */
const LINE_EVERY_MS = 1000;

interface Told {
  at: number;
  /** Refused since, without a line. */
  untold: number;
}

export function createRefusals({ log, metrics }: Telemetry, monotonic: () => number): Refusals {
  const told = new Map<RefusedWhy, Told>();
  return (why, code) => {
    metrics.count('sallyport_refused_connections_total', { reason: why });
    const now = monotonic();
    const last = told.get(why);
    if (last !== undefined && now - last.at < LINE_EVERY_MS) {
      last.untold++;
      return;
    }
    told.set(why, { at: now, untold: 0 });
    const before = last === undefined || last.untold === 0 ? {} : { before: last.untold };
    log.debug({ reason: why, ...(code === undefined ? {} : { code }), ...before }, 'connection refused');
  };
}

const UNKNOWN_NAME = 'UNKNOWN_SERVER_NAME';
/** What OpenSSL says where it has no certificate to show. */
const NO_CERTIFICATE: ReadonlySet<string> = new Set([
  'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
  'ERR_SSL_NO_SHARED_CIPHER',
]);

/** For an SNICallback: nobody serves the name. */
export const refuseServerName = (): Error =>
  Object.assign(new Error('no certificate serves this name'), { code: UNKNOWN_NAME });

export interface FailedHandshake {
  readonly error: unknown;
  /** The client sent no name, and none is served without one. */
  readonly nameless: boolean;
  /** The client sent nothing at all. */
  readonly silent: boolean;
}

export function refuseHandshake(refusals: Refusals, { error, nameless, silent }: FailedHandshake): void {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Whoever only opens and closes is no failure: probes of platforms do it all day.
  if (silent || code === 'ECONNRESET') return;
  if (code === 'ERR_SSL_HTTP_REQUEST') return refusals('PlainHttpOnTls');
  if (code === UNKNOWN_NAME || (nameless && NO_CERTIFICATE.has(code))) return refusals('UnknownServerName');
  refusals('TlsHandshake', /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'unknown');
}
