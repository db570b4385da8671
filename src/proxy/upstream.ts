/** One HTTP/1.1 connection to the app: idle in its pool, or at the service of one exchange. */
import type { Socket } from 'node:net';
import { findAll } from '../http/head.ts';
import {
  createResponseReader,
  renderRequest,
  type ParsedFields,
  type RequestRendering,
  type ResponseHead,
  type ResponseReader,
} from '../http/message.ts';
import type { RememberedAnswer } from './answer-plan.ts';
import type { Answered, AppLink, UpstreamUser } from './app-link.ts';
import { renderLastChunk, writeChunk } from './chunk-writer.ts';
import type { Receiver } from './dial.ts';
import type { ReadBuffer } from './read-buffer.ts';

/** Bounds on the head of an answer; an app that needs more is broken. */
export const RESPONSE_LIMITS = { headBytes: 128 * 1024, headers: 500, targetBytes: 0 } as const;

export interface UpstreamHome {
  /** Takes back a connection that is clean; false: it is not wanted. */
  park(upstream: Upstream, keepAliveMs: number | undefined, now: number): boolean;
  /** The connection has ended, idle or in use. */
  forget(upstream: Upstream): void;
}

export class Upstream implements AppLink, Receiver {
  readonly socket: Socket;
  readonly #reading: ReadBuffer;
  readonly reader: ResponseReader = createResponseReader(RESPONSE_LIMITS);
  user: UpstreamUser | undefined;
  reused = false;
  readonly refused = false;
  remembered: RememberedAnswer | undefined;
  /** By Negotiate or NTLM. */
  tied = false;
  /** Monotonic time after which it is not used again; counts while it is parked. */
  idleUntil = 0;
  /** The pool it was dialled for. */
  readonly home: UpstreamHome;
  #chunked = false;

  constructor(socket: Socket, reading: ReadBuffer, home: UpstreamHome) {
    this.socket = socket;
    this.#reading = reading;
    this.home = home;
    socket.on('end', () => {
      if (this.user === undefined) this.destroy();
      else this.user.onUpstreamEnd();
    });
    socket.on('drain', () => this.user?.onUpstreamDrain());
    // 'close' follows and is where it is dealt with; without a listener the process would end.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.home.forget(this);
      const user = this.user;
      this.user = undefined;
      user?.onUpstreamClosed();
    });
  }

  get wire(): this {
    return this;
  }

  receive(chunk: Buffer): void {
    // Nobody asked: an answer that belongs to nobody must never meet the next request (CVE-2026-48931).
    if (this.user === undefined) this.destroy();
    else this.user.onUpstreamData(chunk);
  }

  send(request: RequestRendering): void {
    this.#chunked = request.framing.kind === 'chunked';
    this.socket.write(renderRequest(request), 'latin1');
  }

  sendWhole(request: RequestRendering, body: Buffer): void {
    this.socket.write(renderRequest(request) + body.toString('latin1', 0, body.length), 'latin1');
  }

  get blocked(): boolean {
    return this.socket.writableNeedDrain;
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  content(slice: Uint8Array): void {
    if (this.#chunked) writeChunk(this.socket, slice);
    else this.socket.write(slice);
  }

  endContent(trailers: ParsedFields | undefined, reserved: ReadonlySet<string>): void {
    if (this.#chunked) this.socket.write(renderLastChunk(trailers, reserved), 'latin1');
  }

  lend(slice: Uint8Array): Uint8Array {
    return this.#reading.lend(slice);
  }

  keep(): void {
    this.#reading.keep();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  release({ head, clean, client, close, at }: Answered): void {
    if (!clean || !head.keepAlive || this.socket.writableNeedDrain) return this.destroy();
    if (!this.tied && !isTying(head)) return this.#park(head.keepAliveTimeoutMs, at);
    if (close || client.wire === undefined) this.destroy();
    else client.pinned = this.#tie();
  }

  /** Back to the pool, after a complete answer to a complete request with nothing left over. */
  #park(keepAliveMs: number | undefined, now: number): void {
    this.#rest();
    if (!this.home.park(this, keepAliveMs, now)) this.destroy();
  }

  /** From now on it belongs to one client: what it was authenticated as is never lent to another. */
  #tie(): this {
    this.tied = true;
    this.#rest();
    return this;
  }

  #rest(): void {
    this.user = undefined;
    this.reused = true;
    this.reader.reset();
    this.#reading.rest();
    // A pause for back-pressure must not outlive the exchange: an idle connection has to hear the app's FIN.
    if (this.socket.isPaused()) this.socket.resume();
  }

  destroy(): void {
    this.user = undefined;
    this.socket.destroy();
  }
}

/** Negotiate and NTLM authenticate a connection, not a request: nobody else may use it. */
function isTying(head: ResponseHead): boolean {
  return findAll(head, 'www-authenticate').some(value => /^(?:ntlm|negotiate)\b/i.test(value));
}
