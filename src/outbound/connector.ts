/** Dials: TCP with the address guard, then TLS with a trust of its own. Nothing is shared between two connectors. */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import type { AddressGuard } from './address.ts';
import { FetchError, findErrorCode } from './fetch-error.ts';
import type { FetchOptions } from './fetcher.ts';
import { findDestination, type ResolveRule } from './resolve.ts';

export type Connected = (...result: [null, Socket] | [Error, null]) => void;
/** As undici's Pool wants it. */
export type Connector = (target: { hostname: string; port: string; protocol: string }, connected: Connected) => void;

export interface ConnectorOptions {
  readonly resolve: readonly ResolveRule[];
  readonly isForbidden: AddressGuard;
  readonly lookup: LookupFunction;
  /** Milliseconds for TCP and TLS together. */
  readonly connectTimeoutMs: number;
}

type Security = Pick<FetchOptions, 'trust' | 'clientCertificate' | 'serverName'>;

/**
 * The secure context of one trust and client certificate.
 * @throws FetchError TLS when the trust holds no certificate (Node would take an empty bundle for the public roots) or the
 * material cannot be read.
 */
export function createTrustContext({ trust, clientCertificate }: Security, host: string): SecureContext {
  if (trust !== 'systemRoots' && !/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(trust.ca)) {
    throw new FetchError('TLS', host, 'EMPTY_TRUST');
  }
  try {
    return createSecureContext({
      minVersion: 'TLSv1.2',
      ...(trust === 'systemRoots' ? {} : { ca: trust.ca }),
      ...(clientCertificate === undefined ? {} : { cert: clientCertificate.certificate, key: clientCertificate.key }),
    });
  } catch (error) {
    throw new FetchError('TLS', host, findErrorCode(error) ?? 'BAD_MATERIAL');
  }
}

/** A connector that fails with FetchError CONNECT, TLS, TIMEOUT or FORBIDDEN_ADDRESS. */
export function createConnector(options: ConnectorOptions, security: Security, host: string): Connector {
  let context: SecureContext | undefined;
  return ({ hostname, port, protocol }, connected) => {
    const secure = protocol === 'https:';
    const name = hostname.replace(/^\[|\]$/g, '');
    const destination = findDestination(options.resolve, name, Number(port === '' ? (secure ? 443 : 80) : port));
    // net.connect asks no resolver, so no guarded lookup, for an address.
    if (isIP(destination.host) !== 0 && options.isForbidden(destination.host)) {
      return connected(new FetchError('FORBIDDEN_ADDRESS', host), null);
    }
    if (secure) context ??= createTrustContext(security, host);
    const tcp = connectTcp({ ...destination, lookup: options.lookup, autoSelectFamily: true });
    tcp.setNoDelay(true);
    const socket = context === undefined ? tcp : secureSocket(tcp, context, security.serverName ?? name);
    awaitConnection(socket, tcp, secure, { host, timeoutMs: options.connectTimeoutMs }, connected);
  };
}

function secureSocket(tcp: Socket, secureContext: SecureContext, name: string): Socket {
  // No session is offered or kept: a resumed session would carry one name's trust to another (CVE-2026-48934).
  return connectTls({
    socket: tcp,
    secureContext,
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
  });
}

interface Dial {
  readonly host: string;
  readonly timeoutMs: number;
}

function awaitConnection(socket: Socket, tcp: Socket, secure: boolean, dial: Dial, connected: Connected): void {
  let reached = false;
  let settled = false;
  const settle = (error: FetchError | null): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (error === null) {
      socket.off('error', fail).off('close', fail);
      tcp.off('error', fail);
      return connected(null, socket);
    }
    tcp.destroy();
    socket.destroy();
    connected(error, null);
  };
  const fail = (error?: unknown): void => {
    const code = findErrorCode(error) ?? (reached ? 'CLOSED' : undefined);
    settle(
      code === 'FORBIDDEN_ADDRESS'
        ? new FetchError('FORBIDDEN_ADDRESS', dial.host)
        : new FetchError(reached ? 'TLS' : 'CONNECT', dial.host, code),
    );
  };
  const timer = setTimeout(() => {
    settle(new FetchError(reached ? 'TLS' : 'CONNECT', dial.host, 'ETIMEDOUT'));
  }, dial.timeoutMs);
  tcp.once('connect', () => {
    reached = true;
  });
  tcp.on('error', fail);
  socket.on('error', fail).on('close', fail);
  socket.once(secure ? 'secureConnect' : 'connect', () => settle(null));
}
