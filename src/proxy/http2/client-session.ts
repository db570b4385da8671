/** One HTTP/2 connection of a client: bounds on what its frames may cost, and a stream for each request. */
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream, ServerSessionOptions } from 'node:http2';
import type { FieldLines } from '../../http/message.ts';
import { AcceptedClient, type ClientSocket } from '../accepted-client.ts';
import type { OpenConnection } from '../ingress.ts';
import type { Listener } from '../listener.ts';
import { resetSocket } from '../reset-socket.ts';
import type { Shared } from '../shared.ts';
import type { Sweepable } from '../sweep.ts';
import { createBudget } from './budget.ts';
import { ClientStream } from './client-stream.ts';
import { CODE, loadHttp2 } from './load.ts';
import { judgeErrors } from './session-errors.ts';

/** Streams that are open at once. */
const STREAMS = 100;
/** Streams that are reset before they are answered (CVE-2023-44487), at once and each second. */
const RESETS = { burst: 200, perSecond: 20 };
/** PING and SETTINGS, which we must answer, at once and each second. */
const CONTROL = { burst: 1000, perSecond: 100 };
/** Bytes that all streams together may send before we have taken them. */
const WINDOW = 1024 * 1024;
/** How long a client that was told to go may stay without a stream. */
const GOODBYE_MS = 2000;

export class ClientSession extends AcceptedClient implements Sweepable, OpenConnection {
  forwarding: { readonly host: string; readonly lines: FieldLines } | undefined;
  readonly #session: ServerHttp2Session;
  readonly #streams = new Set<ClientStream>();
  readonly #resets = createBudget(RESETS.burst, RESETS.perSecond);
  readonly #control = createBudget(CONTROL.burst, CONTROL.perSecond);
  /** Monotonic time at which it closes if no stream is open by then. */
  #deadline: number;
  #served = false;
  #leaving = false;
  #closed = false;

  constructor(client: ClientSocket, listener: Listener, shared: Shared) {
    super(client, listener, shared);
    this.#deadline = shared.monotonic() + listener.limits.headTimeout;
    this.#session = loadHttp2().performServerHandshake(client.socket, describeSession(listener));
    this.#listen(this.#session);
    client.socket.once('end', () => this.#onEnd());
    client.socket.once('close', () => this.#onClose());
    if (client.raw !== client.socket) client.raw.once('close', () => this.#onClose());
    shared.sweep.add(this);
  }

  #listen(session: ServerHttp2Session): void {
    session.on('stream', (stream: ServerHttp2Stream, _: IncomingHttpHeaders, flags: number, pairs: string[]) =>
      this.#serve(stream, flags, pairs),
    );
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(WINDOW);
    });
    session.on('ping', () => this.#spendControl());
    session.on('remoteSettings', () => this.#spendControl());
    // 'close' follows.
    session.on('error', () => undefined);
    judgeErrors(session, {
      streams: () => [...this.#streams].map(({ stream }) => stream),
      isResetFlood: () => this.#isResetFlood(),
      ended: (why, code) => this.listener.refusals(why, code),
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  get heldBytes(): number {
    let bytes = 0;
    for (const { stream } of this.#streams) bytes += stream.writableLength;
    return bytes;
  }

  #serve(stream: ServerHttp2Stream, flags: number, pairs: string[]): void {
    this.#served = true;
    const client = new ClientStream(this, stream);
    this.#streams.add(client);
    client.begin(pairs, (flags & END_STREAM) !== 0);
  }

  /** A stream has ended. `reset`: by its client, or by what it did, before it was answered. */
  forget(stream: ClientStream, reset: boolean): void {
    this.#streams.delete(stream);
    const now = this.shared.monotonic();
    if (this.#streams.size === 0) this.#deadline = now + (this.#leaving ? GOODBYE_MS : this.listener.limits.clientIdle);
    if (reset && !this.#resets.spend(now)) this.#flooded();
    else if (this.shared.state.draining) this.leave();
  }

  /** The client's FIN: what is open is answered as far as its windows reach. It will neither ask nor grant any more. */
  #onEnd(): void {
    this.leave();
    const now = this.shared.monotonic();
    for (const stream of this.#streams) stream.onClientEnd(now);
  }

  #spendControl(): void {
    if (!this.#control.spend(this.shared.monotonic())) this.#flooded();
  }

  /** More than is told apart from an attack: the connection ends, with everything that is open on it. */
  #flooded(): void {
    if (this.#session.destroyed) return;
    this.listener.refusals('Http2Flood');
    this.#leaving = true;
    this.#deadline = this.shared.monotonic() + GOODBYE_MS;
    this.#session.destroy(new Error('flooded'), CODE.calm);
  }

  /** nghttp2 counts resets as we do, but sees those of one read before we hear of any. */
  #isResetFlood(): boolean {
    const now = this.shared.monotonic();
    for (const { stream } of this.#streams) if (stream.closed && !this.#resets.spend(now)) return true;
    return false;
  }

  /** No new streams; those that are open are served to their end (GOAWAY). */
  leave(): void {
    if (this.#leaving || this.#session.destroyed) return;
    this.#leaving = true;
    if (this.#streams.size === 0) this.#deadline = this.shared.monotonic() + GOODBYE_MS;
    this.#session.close();
  }

  closeIdle(): void {
    this.leave();
  }

  reset(): void {
    if (this.#closed) return;
    // Node itself ends the session when its socket is gone. Below TLS only while nothing says goodbye there: the shutdown
    // that is under way would never be done with, nor given back (Node 24.21).
    if (!this.socket.writableEnded) resetSocket(this.raw);
    this.socket.destroy();
  }

  sweep(now: number): void {
    for (const stream of this.#streams) stream.sweep(now);
    if (this.shared.state.draining && this.#served) this.leave();
    if (this.#streams.size > 0 || now < this.#deadline) return;
    if (this.#leaving || !this.#served) this.reset();
    else this.leave();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#session.destroyed) this.#session.destroy();
    for (const stream of this.#streams) stream.onClosed();
    this.shared.sweep.remove(this);
    this.listener.forget(this);
  }
}

/** Flag of a HEADERS frame. */
const END_STREAM = 1;

/** A new generation may have other limits; they hold for new connections, and for every head (client-stream.ts). */
function describeSession({ limits }: Listener): ServerSessionOptions {
  return {
    // Crumbs of one cookie are fields of their own here.
    maxHeaderListPairs: 2 * limits.headers + 16,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    // Ours is used up first.
    streamResetBurst: RESETS.burst + 1,
    streamResetRate: RESETS.perSecond,
    // The reader refuses repeated ones; what an app repeats is its affair.
    strictSingleValueFields: false,
    settings: {
      maxConcurrentStreams: STREAMS,
      maxHeaderListSize: limits.headBytes,
      enablePush: false,
      enableConnectProtocol: false,
    },
  };
}
