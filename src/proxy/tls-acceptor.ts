/**
 * TLS towards clients. What counts is set on the server's default context: minVersion, options, ALPN and requestCert do
 * nothing in a context that an SNICallback gives (data-path.md, "TLS in Node"). A change makes a new server object for new
 * connections; connections that are open stay as they are.
 */
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, createSecureContext, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import type { ListenerTls } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Generation } from './generation.ts';
import { refuseHandshake, refuseServerName, type Refusals } from './refusals.ts';
import { foldServerName, readHandshake, readPeerChain, type Handshake } from './handshake.ts';
import { chooseCertificates } from './tls-certificates.ts';

export interface TlsAcceptor {
  /** Every certificate of the port is there, new or last good. */
  readonly ready: boolean;
  publish(tls: ListenerTls, generation: Generation): void;
  /** `done` is called when the handshake has succeeded; otherwise the socket is closed. */
  accept(socket: Socket, done: (secure: TLSSocket, handshake: Handshake) => void): void;
}

const HANDSHAKE_MS = 10_000;
/** By ALPN, the preferred first. A client that knows none of them is told so (no_application_protocol). */
const PROTOCOLS: Readonly<Record<'Auto' | 'HTTP1' | 'HTTP2', string[]>> = {
  Auto: ['h2', 'http/1.1'],
  HTTP1: ['http/1.1'],
  HTTP2: ['h2'],
};

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

type Accepted = (secure: TLSSocket, handshake: Handshake) => void;
/** By peer address and port: a server tells which TLS socket is ready, not which socket it was made from. */
type Waiting = Map<string, { readonly raw: Socket; readonly done: Accepted }>;

export function createTlsAcceptor(log: Log, refusals: Refusals): TlsAcceptor {
  const lastGood = new Map<string, KeyPair>();
  const waiting: Waiting = new Map();
  let server: Server | undefined;
  let signature = '';
  let ready = false;

  const publish = (tls: ListenerTls, generation: Generation): void => {
    ready = true;
    const choice = chooseCertificates(tls.certificates);
    for (const secret of choice.secrets) {
      const pair = readKeyPair(generation, secret);
      if (pair !== undefined) lastGood.set(secret, pair);
      else log.error({ secret, lastGood: lastGood.has(secret) }, 'the certificate of a listener cannot be used');
      if (!lastGood.has(secret)) ready = false;
    }
    const ca = generation.trust.anchorsPem(tls.clientTrusts);
    const allowPartialTrustChain = generation.trust.allowsPartialChain(tls.clientTrusts);
    const pairs = choice.secrets.map(secret => lastGood.get(secret));
    const next = JSON.stringify([tls, ca, allowPartialTrustChain, pairs]);
    if (next === signature) return;
    signature = next;
    // Without an anchor nobody is asked: an absent or empty `ca` would mean the public roots.
    const asked = tls.clientTrusts.length > 0 && ca !== undefined && ca.length > 0;
    const trust = asked ? { ca: [...ca], allowPartialTrustChain } : {};
    server = createTlsServer({ tls, asked, trust, pairs: new Map(lastGood), waiting, refusals });
  };

  return {
    get ready() {
      return ready;
    },
    publish,
    accept: (socket, done) => {
      if (server === undefined) {
        refusals('TlsHandshake', 'NO_CERTIFICATE');
        return void socket.destroy();
      }
      const peer = peerOf(socket);
      waiting.set(peer, { raw: socket, done });
      socket.once('close', () => {
        if (waiting.get(peer)?.raw === socket) waiting.delete(peer);
      });
      // A client that ends its half before the handshake is done can never finish it: the TLS socket, which takes this over,
      // then ends at once. After the handshake a half-close is no abort (data-path.md), so `welcome` takes it back.
      socket.allowHalfOpen = false;
      server.emit('connection', socket);
    },
  };
}

interface ServerInput {
  readonly tls: ListenerTls;
  readonly asked: boolean;
  readonly trust: { readonly ca?: string[]; readonly allowPartialTrustChain?: boolean };
  readonly pairs: ReadonlyMap<string, KeyPair>;
  readonly waiting: Waiting;
  readonly refusals: Refusals;
}

function createTlsServer({ tls, asked, trust, pairs, waiting, refusals }: ServerInput): Server {
  const choice = chooseCertificates(tls.certificates);
  const context = {
    minVersion: tls.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    // A resumed session would stay authorized after expiry, revocation and a change of trust.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    ...trust,
  } as const;
  const contexts = new Map<string, SecureContext>();
  for (const [secret, pair] of pairs) contexts.set(secret, createSecureContext({ ...context, ...pair }));
  const fallback = choice.fallback === undefined ? undefined : pairs.get(choice.fallback);
  const server = createServer({
    ...context,
    // Without an Api without hosts there is no certificate here, so that a handshake without SNI fails (M5).
    ...fallback,
    allowHalfOpen: true,
    ...(tls.opaque === true ? {} : { ALPNProtocols: PROTOCOLS[tls.http ?? 'Auto'] }),
    requestCert: asked,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    SNICallback: (name, callback) => {
      // A throw here would end the process (CVE-2026-21637).
      try {
        const secret = choice.secretFor(foldServerName(name));
        const found = secret === undefined ? undefined : contexts.get(secret);
        if (found === undefined) callback(refuseServerName());
        else callback(null, found);
      } catch {
        callback(refuseServerName());
      }
    },
  });
  const chains = new WeakMap<TLSSocket, readonly Uint8Array[]>();
  // With requestCert, Node 24.21 itself calls getPeerX509Certificate when the handshake is done, which drops the first
  // intermediate from the chain (nodejs/node#65579). The only documented way to a server's TLS socket before that is this
  // event; its line is a secret and is not looked at.
  if (asked) server.on('keylog', (_, secure) => readChainFirst(secure, chains));
  server.on('secureConnection', secure => welcome(secure, chains.get(secure) ?? [], waiting));
  // Handshakes that fail are the client's affair; the socket is closed by then.
  server.on('tlsClientError', (error, secure) => {
    const silent = waiting.get(peerOf(secure))?.raw.bytesRead === 0;
    secure.destroy();
    const nameless = fallback === undefined && typeof secure.servername !== 'string';
    refuseHandshake(refusals, { error, nameless, silent });
  });
  return server;
}

function readChainFirst(secure: TLSSocket, chains: WeakMap<TLSSocket, readonly Uint8Array[]>): void {
  if (chains.has(secure)) return;
  chains.set(secure, []);
  secure.prependOnceListener('secure', () => {
    // A throw here would end the process. Without a chain the client has presented nothing.
    try {
      chains.set(secure, readPeerChain(secure));
    } catch {
      secure.destroy();
    }
  });
}

function welcome(secure: TLSSocket, chain: readonly Uint8Array[], waiting: Waiting): void {
  secure.on('error', () => undefined);
  const peer = peerOf(secure);
  const { raw, done } = waiting.get(peer) ?? {};
  waiting.delete(peer);
  secure.allowHalfOpen = true;
  if (raw !== undefined) raw.allowHalfOpen = true;
  if (done === undefined) return void secure.destroy();
  try {
    done(secure, readHandshake(secure, chain));
  } catch {
    secure.destroy();
  }
}

const peerOf = (socket: Socket): string => `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;

/** The certificate and key of a kubernetes.io/tls Secret; undefined when missing or unusable together. */
function readKeyPair({ material }: Generation, secret: string): KeyPair | undefined {
  const data = material.secret(secret);
  const [cert, key] = [data?.get('tls.crt'), data?.get('tls.key')];
  // OpenSSL takes empty text for "no certificate", which would put the last good one out of force.
  if (cert === undefined || key === undefined || cert.length === 0 || key.length === 0) return undefined;
  const pair = { cert: Buffer.from(cert).toString('latin1'), key: Buffer.from(key).toString('latin1') };
  try {
    createSecureContext(pair);
    return pair;
  } catch {
    return undefined;
  }
}
