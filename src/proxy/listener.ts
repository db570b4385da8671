/** One port as clients see it: accepts within bounds, tells TLS from plaintext, hands over to connections. */
import type { Socket } from 'node:net';
import type { ApiLimits } from '../api/kinds/api.ts';
import { foldName } from '../http/head.ts';
import { DEFAULT_LIMITS } from '../policy/default-limits.ts';
import type { ListenerPlan, Snapshot } from '../policy/model.ts';
import type { Peer } from '../trust/trust.ts';
import { createAdmission } from './admission.ts';
import type { ClientSocket } from './accepted-client.ts';
import { ClientConnection } from './client-connection.ts';
import { foldAddress } from './client-address.ts';
import { ClientSession } from './http2/client-session.ts';
import type { Generation } from './generation.ts';
import { takeProxyHeader } from './proxy-header.ts';
import type { Refusals, RefusedWhy } from './refusals.ts';
import { resetSocket } from './reset-socket.ts';
import type { Shared } from './shared.ts';
import { chooseCertificates, type CertificateChoice } from './tls-certificates.ts';
import { TcpConnection } from './tcp-connection.ts';
import { createTlsAcceptor, type TlsAcceptor } from './tls-acceptor.ts';
import { compileRanges, type AddressMatch } from './trusted-peers.ts';

/** What a generation means for one listener, replaced as a whole. */
export interface ActiveListener {
  readonly generation: Generation;
  readonly plan: ListenerPlan;
  readonly isTrustedAddress: AddressMatch;
  /** Peers that must say by the PROXY protocol who the client is (M3a). */
  readonly speaksProxyProtocol: AddressMatch;
  /** Absent on plaintext ports. */
  readonly tls: CertificateChoice | undefined;
  /** Folded names that are removed from the requests of strangers: what policies set, and forwarded certificates. */
  readonly reserved: ReadonlySet<string>;
}

export interface Listener {
  /** Where clients find it: `127.0.0.1:8443`, `port 8080`. */
  readonly name: string;
  /** Undefined: no policy yet, or no Api on this port. */
  readonly active: ActiveListener | undefined;
  /** A generation is in force and has no Api for this port (M1), or none that could be parsed (S6). */
  readonly unserved: boolean;
  readonly limits: ApiLimits;
  readonly connections: ReadonlySet<ServedConnection>;
  /** Whether every certificate of the port could be read, now or before. */
  readonly ready: boolean;
  /** Hears of connections that are ended for what they did. */
  readonly refusals: Refusals;
  /** Accepted, with a handshake under way, or open. */
  readonly sockets: number;
  publish(generation: Generation): void;
  /** `dialled` is the address of the pod that the client connected to, where the app is reached at it. */
  accept(socket: Socket, dialled?: string): void;
  /** Ends handshakes; connections stay. */
  stop(): void;
  forget(connection: ServedConnection): void;
  /** Goes on with a connection that has turned out to speak HTTP/2. */
  serveHttp2(client: ClientSocket): void;
}

export type ServedConnection = ClientConnection | ClientSession | TcpConnection;

/** What is known of a connection before its first byte. */
type Arrival = Omit<ClientSocket, 'socket' | 'handshake'>;

const SECOND = 1000;
/** A client that says nothing on a port that serves TLS and plaintext is not waited for longer. */
const FIRST_BYTE_MS = 10 * SECOND;
const TLS_HANDSHAKE_RECORD = 0x16;

export interface ListenerOptions {
  readonly name: () => string;
  readonly findPlan: (snapshot: Snapshot) => ListenerPlan | undefined;
  readonly shared: Shared;
  /** Of the address that it accepts from. */
  readonly refusals: Refusals;
}

export function createListener({ name, findPlan, shared, refusals }: ListenerOptions): Listener {
  const { log } = shared.telemetry;
  const connections = new Set<ServedConnection>();
  const admission = createAdmission();
  let active: ActiveListener | undefined;
  let acceptor: TlsAcceptor | undefined;
  let published = false;

  const refuse = (socket: Socket, why: RefusedWhy): void => {
    refusals(why);
    socket.on('error', () => undefined);
    resetSocket(socket);
  };

  const serve = (arrival: Arrival, socket: Socket, handshake?: ClientConnection['handshake']): void => {
    const client = { ...arrival, socket, ...(handshake === undefined ? {} : { handshake }) };
    if (handshake?.http2 === true && active?.plan.protocol !== 'TCP') return listener.serveHttp2(client);
    if (active?.plan.protocol !== 'TCP') return void connections.add(new ClientConnection(client, listener, shared));
    const connection = new TcpConnection(client, listener, active, shared);
    connections.add(connection);
    if (handshake === undefined) connection.begin();
    // Node tells of a handshake from within OpenSSL. To reset the connection there ends the process (segmentation fault in
    // 24.21), and so do ticks and promises, which run before OpenSSL returns.
    else setImmediate(() => connection.begin());
  };

  const admit = (socket: Socket): boolean => {
    if (published && active === undefined) refuse(socket, 'NoApi');
    else if (shared.state.overloaded) refuse(socket, 'Overloaded');
    else if (admission.admitSocket(socket, listener.limits)) return true;
    else refuse(socket, 'Connections');
    return false;
  };

  const acceptTls = (arrival: Arrival): void => {
    // No policy, no certificate: nothing can be said to such a client.
    if (acceptor === undefined) {
      refusals('TlsHandshake', 'NO_POLICY');
      return void arrival.raw.destroy();
    }
    acceptor.accept(arrival.raw, (secure, handshake) => serve(arrival, secure, handshake));
  };

  /** Who it is, is known now. True: somebody has taken the socket who reads when it is time: TLS below it, or a TCP stream. */
  const welcome = (arrival: Arrival): boolean => {
    const { raw, peer } = arrival;
    if (!admission.admitPeer(raw, peer, listener.limits)) {
      refuse(raw, 'PerPeerConnections');
      return false;
    }
    const tls = active?.plan.tls;
    if (tls?.mode === 'Terminate') {
      acceptTls(arrival);
      return true;
    }
    if (published && tls === undefined) {
      serve(arrival, raw);
      return active?.plan.protocol === 'TCP';
    }
    awaitFirstByte(raw, isTls => (isTls ? acceptTls(arrival) : serve(arrival, raw)));
    return false;
  };

  const listener: Listener = {
    get name() {
      return name();
    },
    get active() {
      return active;
    },
    get unserved() {
      return published && (active === undefined || active.plan.held === true);
    },
    get limits() {
      return active?.plan.limits ?? DEFAULT_LIMITS;
    },
    connections,
    refusals,
    get ready() {
      return acceptor?.ready ?? true;
    },
    get sockets() {
      return admission.sockets.size;
    },
    publish: generation => {
      published = true;
      const plan = findPlan(generation.snapshot);
      active = plan === undefined ? undefined : activate(generation, plan);
      if (plan?.tls === undefined) acceptor = undefined;
      else {
        acceptor ??= createTlsAcceptor(log, refusals);
        acceptor.publish(plan.tls, generation);
      }
    },
    accept: (raw, dialled) => {
      raw.on('error', () => undefined);
      if (!admit(raw)) return;
      const peer = foldAddress(raw.remoteAddress ?? '');
      const arrival = { raw, peer, ...(dialled === undefined ? {} : { dialled }) };
      if (active?.speaksProxyProtocol(peer) !== true) return void welcome(arrival);
      const done = (source = peer): void => {
        if (!welcome({ ...arrival, peer: source })) raw.resume();
      };
      takeProxyHeader(raw, done, () => refuse(raw, 'ProxyProtocol'));
    },
    stop: () => {
      // Whoever has not even finished a handshake has nothing in flight.
      const served = new Set([...connections].map(connection => connection.raw));
      for (const socket of admission.sockets) if (!served.has(socket)) socket.destroy();
    },
    forget: connection => void connections.delete(connection),
    serveHttp2: client => {
      if (!client.socket.destroyed) connections.add(new ClientSession(client, listener, shared));
    },
  };
  return listener;
}

function activate(generation: Generation, plan: ListenerPlan): ActiveListener {
  return {
    generation,
    plan,
    isTrustedAddress: compileRanges(plan.trustedPeers),
    speaksProxyProtocol: compileRanges((plan.proxyProtocol?.from ?? []).map(cidr => ({ cidr }))),
    tls: plan.tls === undefined ? undefined : chooseCertificates(plan.tls.certificates),
    reserved: reserveFor(generation, STRANGER),
  };
}

const STRANGER: Peer = { own: undefined, byAddress: false, provedBy: [] };

/** Folded names that are removed from the requests of a peer. */
export function reserveFor({ snapshot, trust }: Generation, peer: Peer): ReadonlySet<string> {
  const stripped = [...trust.strippedHeaders(peer)].map(foldName);
  return stripped.length === 0 ? snapshot.reservedHeaders : new Set([...snapshot.reservedHeaders, ...stripped]);
}

/** Looks at the first byte of a port that serves both: 22 begins a TLS record, no HTTP method does. */
function awaitFirstByte(socket: Socket, tell: (isTls: boolean) => void): void {
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTE_MS);
  const done = (): void => {
    clearTimeout(timer);
    socket.off('data', look).off('end', leave).off('close', done);
  };
  const leave = (): void => {
    done();
    socket.destroy();
  };
  const look = (chunk: Buffer): void => {
    done();
    socket.pause();
    socket.unshift(chunk);
    const isTls = chunk[0] === TLS_HANDSHAKE_RECORD;
    tell(isTls);
    // TLS takes what was put back by itself, and reads on below this socket.
    if (!isTls) socket.resume();
  };
  socket.on('data', look).on('end', leave).on('close', done);
}
