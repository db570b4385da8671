/** Dials the app: TCP, with the address guard for `app.url`, then TLS verified by CA and name or by fingerprint. */
import { timingSafeEqual } from 'node:crypto';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { Reason } from '../api/reasons.ts';
import type { AddressGuard } from '../outbound/address.ts';
import type { AppTarget } from './app-target.ts';
import type { Misspoken } from './misspoken.ts';
import { ReadBuffer } from './read-buffer.ts';

export interface DialDeps {
  readonly isForbidden: AddressGuard;
  /** Refuses names that lead to forbidden addresses. */
  readonly lookup: LookupFunction;
  /** What all connections to apps read into; see ReadBuffer. */
  readonly readBuffer: Buffer;
  /** What is said inside is anything: no protocol is negotiated. Absent: HTTP/1.1. */
  readonly opaque?: true;
}

/** Where the bytes of a connection to the app go. Whoever wants them after `receive` returns copies or borrows them. */
export interface Receiver {
  receive(chunk: Buffer): void;
}

/** Gives up a dial; its callback is not called any more. */
export type CancelDial = () => void;

export type Dialled =
  | {
      readonly socket: Socket;
      /** Tells who receives; to be called at once. What came before ends the connection: nobody asked for it. */
      readonly deliverTo: (receiver: Receiver) => void;
      readonly reading: ReadBuffer;
    }
  | { readonly reason: Reason; readonly problem: string };

/** Codes of node:tls that say "reached, but its certificate is not the one that is trusted". */
const isCertificateProblem = (code: string): boolean =>
  code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /CERT|ISSUER|SIGNATURE|CRL|UNTRUSTED|REJECTED/.test(code);

/** By ALPN. */
const PROTOCOLS: Readonly<Record<AppTarget['speaks'], string[]>> = {
  Auto: ['h2', 'http/1.1'],
  HTTP1: ['http/1.1'],
  HTTP2: ['h2'],
};

/** The app's alert where it wants none of those (RFC 7301 section 3.2). */
const NO_PROTOCOL = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
const DISAGREED: Readonly<Record<AppTarget['speaks'], string>> = {
  Auto: NO_PROTOCOL,
  HTTP1: 'ONLY_HTTP2' satisfies Misspoken,
  HTTP2: 'NO_HTTP2' satisfies Misspoken,
};

/** Whether HTTP/2 is spoken over what was dialled; undefined: it should be, and is not. */
export function agreesOnHttp2(socket: Socket, { speaks, tls }: AppTarget): boolean | undefined {
  if (speaks === 'HTTP1') return false;
  if (tls === undefined) return speaks === 'HTTP2';
  if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') return true;
  return speaks === 'HTTP2' ? undefined : false;
}

/** `target.timeouts.connect` bounds TCP and TLS together. */
export function dial(target: AppTarget, deps: DialDeps, done: (result: Dialled) => void): CancelDial {
  const { address, fixed, tls } = target;
  if (fixed !== undefined && isIP(address.host) !== 0 && deps.isForbidden(address.host)) {
    const soon = setImmediate(() => done({ reason: 'AppUnavailable', problem: 'FORBIDDEN_ADDRESS' }));
    return () => clearImmediate(soon);
  }
  let receiver: Receiver | undefined;
  const reading = new ReadBuffer(deps.readBuffer, tls !== undefined);
  const options = {
    host: address.host,
    port: address.port,
    allowHalfOpen: true,
    noDelay: true,
    ...(fixed === undefined ? {} : { lookup: deps.lookup }),
    onread: {
      // Asked for at the start and after each read.
      buffer: (): Buffer => reading.current,
      callback: (size: number, bytes: Uint8Array): boolean => {
        if (receiver === undefined) socket.destroy();
        else receiver.receive(Buffer.from(bytes.buffer, bytes.byteOffset, size));
        reading.noteRead(size);
        return true;
      },
    },
  };
  const socket: Socket =
    tls === undefined
      ? connectTcp(options)
      : connectTls({
          ...options,
          secureContext: tls.context,
          ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
          // A pinned certificate stands for itself: no chain is built, and checkPin() refuses any other.
          rejectUnauthorized: tls.fingerprint === undefined,
          ...(deps.opaque === true ? {} : { ALPNProtocols: PROTOCOLS[target.speaks] }),
        });
  const deliverTo = (to: Receiver): void => {
    receiver = to;
  };
  return settle(socket, target, result => done('reason' in result ? result : { ...result, deliverTo, reading }));
}

type Settled = { readonly socket: Socket } | Extract<Dialled, { reason: Reason }>;

function settle(socket: Socket, { speaks, tls, timeouts }: AppTarget, done: (result: Settled) => void): CancelDial {
  const success = tls === undefined ? 'connect' : 'secureConnect';
  let open = true;
  const close = (result: Settled | undefined): void => {
    if (!open) return;
    open = false;
    clearTimeout(timer);
    socket.off('error', fail).off('close', fail).off(success, succeed);
    if (result === undefined || 'reason' in result) {
      // Late errors of a destroyed socket must find a listener.
      socket.on('error', ignore);
      socket.destroy();
    }
    if (result !== undefined) done(result);
  };
  const fail = (error?: unknown): void => {
    const code = readCode(error);
    if (code === NO_PROTOCOL) return close({ reason: 'AppProtocolError', problem: DISAGREED[speaks] });
    const reason = tls !== undefined && isCertificateProblem(code) ? 'AppCertificateInvalid' : 'AppUnavailable';
    close({ reason, problem: code });
  };
  const succeed = (): void => {
    if (tls?.fingerprint !== undefined && !checkPin(socket, tls.fingerprint)) {
      return close({ reason: 'AppCertificateInvalid', problem: 'FINGERPRINT' });
    }
    close({ socket });
  };
  const timer = setTimeout(() => close({ reason: 'AppUnavailable', problem: 'ETIMEDOUT' }), timeouts.connect);
  socket.on('error', fail).on('close', fail).once(success, succeed);
  return () => close(undefined);
}

const ignore = (): void => undefined;

function readCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'CLOSED';
}

function checkPin(socket: Socket, fingerprint: string): boolean {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return false;
  const actual = Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex');
  const expected = Buffer.from(fingerprint, 'hex');
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}
