/** One address that clients connect to: accepts within bounds, tells TLS from plaintext, hands over to connections. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { ApiLimits } from '../api/kinds/api.ts';
import { foldName } from '../http/head.ts';
import { DEFAULT_LIMITS } from '../policy/default-limits.ts';
import type { ListenerPlan } from '../policy/model.ts';
import type { Peer } from '../trust/trust.ts';
import { explainBinding, showAddress } from './binding.ts';
import { ClientConnection } from './client-connection.ts';
import { foldAddress } from './client-address.ts';
import { findPlan, type Generation } from './generation.ts';
import type { ListenAddress } from './options.ts';
import { createRefusals, type RefusedWhy } from './refusals.ts';
import { resetSocket } from './reset-socket.ts';
import type { Shared } from './shared.ts';
import { chooseCertificates, type CertificateChoice } from './tls-certificates.ts';
import { createTlsAcceptor, type TlsAcceptor } from './tls-acceptor.ts';
import { compileRanges, type AddressMatch } from './trusted-peers.ts';

/** What a generation means for one listener, replaced as a whole. */
export interface ActiveListener {
  readonly generation: Generation;
  readonly plan: ListenerPlan;
  readonly isTrustedAddress: AddressMatch;
  /** Absent on plaintext ports. */
  readonly tls: CertificateChoice | undefined;
  /** Folded names that are removed from the requests of strangers: what policies set, and forwarded certificates. */
  readonly reserved: ReadonlySet<string>;
}

export interface Listener {
  /** Where it listens, as the command line says it: `127.0.0.1:8443`. */
  readonly name: string;
  /** Undefined: no policy yet, or no Api on this port. */
  readonly active: ActiveListener | undefined;
  /** A generation is in force and has no Api for this port (M1), or none that could be parsed (S6). */
  readonly unserved: boolean;
  readonly limits: ApiLimits;
  readonly address: AddressInfo | undefined;
  readonly connections: ReadonlySet<ClientConnection>;
  /** Whether every certificate of the port could be read, now or before. */
  readonly ready: boolean;
  publish(generation: Generation): void;
  start(): Promise<void>;
  /** Stops accepting; connections stay. */
  stop(): void;
  forget(connection: ClientConnection): void;
}

const SECOND = 1000;
/** A client that says nothing on a port that serves TLS and plaintext is not waited for longer. */
const FIRST_BYTE_MS = 10 * SECOND;
const TLS_HANDSHAKE_RECORD = 0x16;

export function createListener(listen: ListenAddress, shared: Shared): Listener {
  const { log } = shared.telemetry;
  const refusals = createRefusals(shared.telemetry, shared.monotonic);
  const connections = new Set<ClientConnection>();
  const perPeer = new Map<string, number>();
  const sockets = new Set<Socket>();
  let active: ActiveListener | undefined;
  let acceptor: TlsAcceptor | undefined;
  let published = false;
  let server: Server | undefined;

  const refuse = (socket: Socket, why: RefusedWhy): undefined => {
    refusals(why);
    socket.on('error', () => undefined);
    resetSocket(socket);
  };

  const serve = (socket: Socket, raw: Socket, peer: string, handshake?: ClientConnection['handshake']): void => {
    const client = { socket, raw, peer, ...(handshake === undefined ? {} : { handshake }) };
    connections.add(new ClientConnection(client, listener, shared));
  };

  const admit = (socket: Socket): string | undefined => {
    const peer = foldAddress(socket.remoteAddress ?? '');
    const { limits } = listener;
    if (published && active === undefined) return refuse(socket, 'NoApi');
    if (shared.state.overloaded) return refuse(socket, 'Overloaded');
    if (sockets.size >= limits.connections) return refuse(socket, 'Connections');
    const fromPeer = perPeer.get(peer) ?? 0;
    if (fromPeer >= limits.perPeerConnections) return refuse(socket, 'PerPeerConnections');
    sockets.add(socket);
    perPeer.set(peer, fromPeer + 1);
    socket.once('close', () => {
      sockets.delete(socket);
      const left = (perPeer.get(peer) ?? 1) - 1;
      if (left === 0) perPeer.delete(peer);
      else perPeer.set(peer, left);
    });
    return peer;
  };

  const acceptTls = (socket: Socket, peer: string): void => {
    // No policy, no certificate: nothing can be said to such a client.
    if (acceptor === undefined) {
      refusals('TlsHandshake', 'NO_POLICY');
      return void socket.destroy();
    }
    acceptor.accept(socket, (secure, handshake) => serve(secure, socket, peer, handshake));
  };

  const accept = (socket: Socket): void => {
    socket.on('error', () => undefined);
    const peer = admit(socket);
    if (peer === undefined) return;
    const tls = active?.plan.tls;
    if (published && tls === undefined) return serve(socket, socket, peer);
    if (tls?.mode === 'Terminate') return acceptTls(socket, peer);
    awaitFirstByte(socket, isTls => (isTls ? acceptTls(socket, peer) : serve(socket, socket, peer)));
  };

  const listener: Listener = {
    get name() {
      return showAddress({ host: listen.host, port: listener.address?.port ?? listen.port });
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
    get address() {
      const address = server?.address();
      return typeof address === 'object' && address !== null ? address : undefined;
    },
    connections,
    get ready() {
      return acceptor?.ready ?? true;
    },
    publish: generation => {
      published = true;
      const plan = findPlan(generation.snapshot, listen.apiPort, listener.address?.port ?? listen.port);
      active = plan === undefined ? undefined : activate(generation, plan);
      if (plan?.tls === undefined) acceptor = undefined;
      else {
        acceptor ??= createTlsAcceptor(log, refusals);
        acceptor.publish(plan.tls, generation);
      }
    },
    start: () =>
      new Promise((resolve, reject) => {
        server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 });
        server.on('connection', accept);
        const fail = (error: unknown): void => reject(explainBinding(`--listen ${showAddress(listen)}`, error));
        server.once('error', fail);
        server.listen({ host: listen.host, port: listen.port, backlog: 4096 }, () => {
          server?.off('error', fail);
          // EMFILE and the like: connections are lost, the process is not.
          server?.on('error', () => log.warn({ address: listen.host, port: listen.port }, 'accepting failed'));
          resolve();
        });
      }),
    stop: () => {
      server?.close();
      // Whoever has not even finished a handshake has nothing in flight.
      const served = new Set([...connections].map(connection => connection.raw));
      for (const socket of sockets) if (!served.has(socket)) socket.destroy();
    },
    forget: connection => void connections.delete(connection),
  };
  return listener;
}

function activate(generation: Generation, plan: ListenerPlan): ActiveListener {
  return {
    generation,
    plan,
    isTrustedAddress: compileRanges(plan.trustedPeers),
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
