/** One HTTP/2 connection over TLS, opened when it is needed and again after it broke. Nothing falls back to HTTP/1.1. */
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { isIP } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { KubeConnection } from './connection.ts';
import { createLocalError, KubeError } from './kube-error.ts';

export interface SessionOptions {
  readonly connection: KubeConnection;
  /** For TCP and TLS together; default 10 s. */
  readonly connectTimeoutMs?: number;
  /** A ping every so often tells a dead connection from a quiet one; default 15 s. */
  readonly pingEveryMs?: number;
  /** An answer to a ping must come within this; default 10 s. */
  readonly pingTimeoutMs?: number;
}

export interface Session {
  /** The open connection, or a new one. A server’s GOAWAY lets open streams end and sends new ones to a new connection. */
  open(): Promise<ClientHttp2Session>;
  close(): void;
}

/** Room for a list’s page without waiting; a stream that nobody reads may not hold up the others. */
const STREAM_WINDOW = 256 * 1024;
const SESSION_WINDOW = 2 * 1024 * 1024;

export function createSession(options: SessionOptions): Session {
  const { connection } = options;
  const open = new Set<ClientHttp2Session>();
  let current: ClientHttp2Session | undefined;
  let opening: Promise<ClientHttp2Session> | undefined;
  let closed = false;

  async function dial(): Promise<ClientHttp2Session> {
    const socket = await connectSocket(connection, options.connectTimeoutMs ?? 10_000);
    if (closed) {
      socket.destroy();
      throw createLocalError('Closed', 'the client was closed');
    }
    const session = connectHttp2(new URL(connection.server).origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
    });
    open.add(session);
    // Errors reach the streams, which report them; without a listener they would end the process.
    session.on('error', () => undefined);
    session.once('connect', () => {
      // It may have been closed in the meantime, and would throw.
      if (!session.destroyed) session.setLocalWindowSize(SESSION_WINDOW);
    });
    const stopPings = keepAlive(session, options);
    session.once('close', () => {
      stopPings();
      open.delete(session);
      if (current === session) current = undefined;
    });
    current = session;
    return session;
  }

  return {
    async open() {
      if (closed) throw createLocalError('Closed', 'the client was closed');
      if (current !== undefined && !current.closed && !current.destroyed) return current;
      opening ??= dial().finally(() => (opening = undefined));
      return opening;
    },
    close() {
      closed = true;
      for (const session of open) session.destroy();
    },
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
  /** For messages. */
  readonly text: string;
}

function readAddress(server: string): Address {
  const { protocol, hostname, port } = new URL(server);
  const text = `${hostname}:${port === '' ? '443' : port}`;
  if (protocol !== 'https:') throw createLocalError('ConnectFailed', `${text}: only https is spoken`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port), text };
}

async function readTrust({ ca }: KubeConnection, address: Address): Promise<{ ca: string } | undefined> {
  const trusted = typeof ca === 'function' ? await ca() : ca;
  if (trusted === undefined) return undefined;
  // Node would take an empty bundle for the public roots.
  if (trusted.includes('-----BEGIN ')) return { ca: trusted };
  throw createLocalError('ConnectFailed', `${address.text}: the bundle of trusted authorities holds no certificate`);
}

async function connectSocket(connection: KubeConnection, timeoutMs: number): Promise<TLSSocket> {
  const { server, serverName, clientCertificate, minVersion = 'TLSv1.2' } = connection;
  const address = readAddress(server);
  const name = serverName ?? (isIP(address.host) === 0 ? address.host : undefined);
  const trust = await readTrust(connection, address);
  try {
    const socket = connectTls({
      host: address.host,
      port: address.port,
      ALPNProtocols: ['h2'],
      minVersion,
      rejectUnauthorized: true,
      ...(name === undefined ? {} : { servername: name }),
      ...trust,
      ...(clientCertificate === undefined ? {} : { cert: clientCertificate.certificate, key: clientCertificate.key }),
    });
    return await awaitHandshake(socket, address, timeoutMs);
  } catch (error) {
    // Material that OpenSSL cannot read is thrown, not emitted.
    throw error instanceof KubeError
      ? error
      : createLocalError('ConnectFailed', `${address.text}: bad TLS material`, error);
  }
}

function awaitHandshake(socket: TLSSocket, address: Address, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string, cause?: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(createLocalError('ConnectFailed', `${address.text}: ${problem}`, cause));
    };
    const lose = (error: unknown): void => fail('could not connect', error);
    const end = (): void => fail('the connection was closed in its handshake');
    const timer = setTimeout(() => fail('could not connect in time'), timeoutMs);
    socket.once('error', lose).once('close', end);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('close', end).off('error', lose);
      if (socket.alpnProtocol === 'h2') return resolve(socket);
      socket.on('error', () => undefined);
      fail('the server does not speak HTTP/2');
    });
  });
}

/** Destroys a connection whose other end no longer answers; it may otherwise look open for a quarter of an hour. */
function keepAlive(session: ClientHttp2Session, options: SessionOptions): () => void {
  const { pingEveryMs = 15_000, pingTimeoutMs = 10_000 } = options;
  let waiting: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    if (waiting !== undefined || session.destroyed) return;
    waiting = setTimeout(
      () => session.destroy(createLocalError('ConnectionLost', 'no answer to a ping')),
      pingTimeoutMs,
    );
    waiting.unref();
    session.ping(() => {
      clearTimeout(waiting);
      waiting = undefined;
    });
  }, pingEveryMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    clearTimeout(waiting);
  };
}
