/** One HTTP/2 connection to the app, shared by the exchanges of a pool: a stream for each. */
import type { ClientHttp2Session, ClientHttp2Stream, ClientSessionRequestOptions, Settings } from 'node:http2';
import type { Socket } from 'node:net';
import type { NameTable } from '../../http/message.ts';
import type { UpstreamUser } from '../app-link.ts';
import { RESPONSE_LIMITS } from '../upstream.ts';
import { AppStream } from './app-stream.ts';
import { CODE, loadHttp2 } from './load.ts';
import { judgeErrors } from './session-errors.ts';

/** Streams at once where the app has not said how many it takes (RFC 9113 section 6.5.2). */
const STREAMS = 100;
/** More of one app share no connection, however many it takes. */
const MOST_STREAMS = 1000;
/** Bytes that one answer, and all together, may send before we have taken them. */
const STREAM_WINDOW = 256 * 1024;
const WINDOW = 4 * 1024 * 1024;
/** An app that answers neither a request nor a PING is gone, though its connection may not say so. */
const PONG_MS = 5000;

export interface SessionHome {
  /** The app's connection has ended. */
  forget(session: AppSession): void;
}

export class AppSession {
  readonly socket: Socket;
  readonly session: ClientHttp2Session;
  readonly scheme: 'http' | 'https';
  readonly names: NameTable;
  /** An answer has come over it. */
  reused = false;
  /** Monotonic time after which it closes if no stream is open. */
  idleUntil = Infinity;
  streams = 0;
  /** Those that are not closed, given up ones included. */
  readonly #unclosed = new Set<ClientHttp2Stream>();
  #most = STREAMS;
  #leaving = false;
  /** The app's SETTINGS are here. */
  #settled = false;
  /** Monotonic time by which a PONG is due. */
  #pongBy = Infinity;
  readonly #monotonic: () => number;
  readonly #idleMs: number;

  constructor(socket: Socket, home: SessionHome, options: SessionOptions) {
    this.socket = socket;
    this.scheme = options.secure ? 'https' : 'http';
    this.names = options.names;
    this.#monotonic = options.monotonic;
    this.#idleMs = options.idleMs;
    const session = loadHttp2().connect(`${this.scheme}://app`, { ...OPTIONS, createConnection: () => socket });
    this.session = session;
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(WINDOW);
    });
    session.on('remoteSettings', (settings: Settings) => {
      this.#settled = true;
      this.#most = Math.min(settings.maxConcurrentStreams ?? MOST_STREAMS, MOST_STREAMS);
    });
    // Its streams end by themselves; node:http2 closes or destroys it, as the app says.
    session.on('goaway', () => this.retire());
    session.on('error', () => undefined);
    // An answer that does not fit its length costs its own client, and none of the others that share the connection.
    judgeErrors(session, { streams: () => this.#unclosed, isResetFlood: () => false, ended: () => undefined });
    session.on('close', () => home.forget(this));
    socket.on('error', () => undefined);
    // Nothing can come any more; Node would wait for our half.
    socket.on('end', () => this.#cut());
    socket.on('close', () => home.forget(this));
  }

  /** Whether another stream may be opened. */
  get hasRoom(): boolean {
    return !this.#leaving && !this.session.closed && !this.session.destroyed && this.streams < this.#most;
  }

  /** What the app has said does not begin with SETTINGS: it is no HTTP/2 (RFC 9113 section 3.4). */
  get isForeign(): boolean {
    return !this.#settled && this.socket.bytesRead > 0;
  }

  open(user: UpstreamUser): AppStream {
    this.streams++;
    this.idleUntil = Infinity;
    return new AppStream(this, user);
  }

  /** Opens the stream of a request, as node:http2 has it. */
  request(list: string[], options: ClientSessionRequestOptions): ClientHttp2Stream {
    const stream = this.session.request(list, options);
    this.#unclosed.add(stream);
    stream.on('close', () => this.#unclosed.delete(stream));
    return stream;
  }

  /** A stream has ended. `unanswered`: the app has said nothing about it. */
  release(unanswered: boolean): void {
    this.streams--;
    const now = this.#monotonic();
    if (this.streams === 0) {
      this.idleUntil = now + this.#idleMs;
      if (this.#leaving) this.#end();
    }
    if (!unanswered || this.#pongBy !== Infinity || this.session.destroyed) return;
    this.#pongBy = now + PONG_MS;
    this.session.ping(() => {
      this.#pongBy = Infinity;
    });
  }

  /** No new streams; it closes with the last one that is open. */
  retire(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    if (this.streams === 0) this.#end();
  }

  #end(): void {
    if (!this.session.destroyed) this.session.close();
    // The app need not close its half: nothing is under way any more.
    this.socket.destroySoon();
  }

  #cut(): void {
    this.#leaving = true;
    if (!this.session.destroyed) this.session.destroy(new Error('gone'), CODE.cancel);
    this.socket.destroy();
  }

  sweep(now: number, staleAt: number): void {
    if (this.#pongBy <= now) this.#cut();
    else if (this.streams === 0 && (this.idleUntil <= now || staleAt <= now)) this.retire();
  }
}

export interface SessionOptions {
  readonly secure: boolean;
  readonly names: NameTable;
  readonly monotonic: () => number;
  /** Milliseconds without a stream after which it closes. */
  readonly idleMs: number;
}

const OPTIONS = {
  peerMaxConcurrentStreams: STREAMS,
  maxHeaderListPairs: RESPONSE_LIMITS.headers + 4,
  // What the client repeats has been judged as it is.
  strictSingleValueFields: false,
  settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: RESPONSE_LIMITS.headBytes },
};
