/** Dials the app: TCP, with the address guard for `app.url`, then TLS verified by CA and name or by fingerprint. */
import { timingSafeEqual } from 'node:crypto';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Reason } from '../api/reasons.ts';
import type { AddressGuard } from '../outbound/address.ts';
import type { AppTarget, AppTls } from './app-target.ts';

export interface DialGuard {
  readonly isForbidden: AddressGuard;
  /** Refuses names that lead to forbidden addresses. */
  readonly lookup: LookupFunction;
}

/** Gives up a dial; its callback is not called any more. */
export type CancelDial = () => void;

export type Dialled = { readonly socket: Socket } | { readonly reason: Reason; readonly problem: string };

/** Codes of node:tls that say "reached, but its certificate is not the one that is trusted". */
const isCertificateProblem = (code: string): boolean =>
  code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /CERT|ISSUER|SIGNATURE|CRL|UNTRUSTED|REJECTED/.test(code);

/** `target.timeouts.connect` bounds TCP and TLS together. */
export function dial(target: AppTarget, guard: DialGuard, done: (result: Dialled) => void): CancelDial {
  if (target.fixed !== undefined && isIP(target.address.host) !== 0 && guard.isForbidden(target.address.host)) {
    const soon = setImmediate(() => done({ reason: 'AppUnavailable', problem: 'FORBIDDEN_ADDRESS' }));
    return () => clearImmediate(soon);
  }
  const tcp = connectTcp({
    host: target.address.host,
    port: target.address.port,
    allowHalfOpen: true,
    noDelay: true,
    ...(target.fixed === undefined ? {} : { lookup: guard.lookup }),
  });
  const socket = target.tls === undefined ? tcp : secure(tcp, target.tls);
  return settle({ tcp, socket, tls: target.tls, timeoutMs: target.timeouts.connect }, done);
}

function secure(tcp: Socket, tls: AppTls): TLSSocket {
  return connectTls({
    socket: tcp,
    // allowHalfOpen is taken from the socket.
    secureContext: tls.context,
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    // A pinned certificate stands for itself: no chain is built, and checkPin() refuses any other.
    rejectUnauthorized: tls.fingerprint === undefined,
    ALPNProtocols: ['http/1.1'],
  });
}

interface Attempt {
  readonly tcp: Socket;
  readonly socket: Socket | TLSSocket;
  readonly tls: AppTls | undefined;
  readonly timeoutMs: number;
}

function settle({ tcp, socket, tls, timeoutMs }: Attempt, done: (result: Dialled) => void): CancelDial {
  let open = true;
  const close = (result: Dialled | undefined): void => {
    if (!open) return;
    open = false;
    clearTimeout(timer);
    socket.off('error', fail).off('close', fail).off('secureConnect', succeed).off('connect', succeed);
    if (result === undefined || 'reason' in result) {
      // Late errors of the destroyed sockets must find a listener.
      tcp.on('error', ignore);
      socket.on('error', ignore);
      socket.destroy();
      tcp.destroy();
    }
    if (result !== undefined) done(result);
  };
  const fail = (error?: unknown): void => {
    const code = readCode(error);
    const reason = tls !== undefined && isCertificateProblem(code) ? 'AppCertificateInvalid' : 'AppUnavailable';
    close({ reason, problem: code });
  };
  const succeed = (): void => {
    if (tls?.fingerprint !== undefined && !checkPin(socket as TLSSocket, tls.fingerprint)) {
      return close({ reason: 'AppCertificateInvalid', problem: 'FINGERPRINT' });
    }
    close({ socket });
  };
  const timer = setTimeout(() => close({ reason: 'AppUnavailable', problem: 'ETIMEDOUT' }), timeoutMs);
  socket.on('error', fail).on('close', fail);
  if (tls !== undefined) tcp.on('error', fail);
  socket.once(tls === undefined ? 'connect' : 'secureConnect', succeed);
  return () => close(undefined);
}

const ignore = (): void => undefined;

function readCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'CLOSED';
}

function checkPin(socket: TLSSocket, fingerprint: string): boolean {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return false;
  const actual = Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex');
  const expected = Buffer.from(fingerprint, 'hex');
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}
