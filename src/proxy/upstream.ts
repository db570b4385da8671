/** One connection to the app: idle in its pool, or at the service of one exchange. */
import type { Socket } from 'node:net';
import type { Reason } from '../api/reasons.ts';
import type { RememberedAnswer } from './answer-plan.ts';
import type { Receiver } from './dial.ts';
import { createResponseReader, type ResponseReader } from '../http/message.ts';

/** Who uses a connection. Nothing is called any more once the connection was released or destroyed. */
export interface UpstreamUser {
  onUpstreamReady(upstream: Upstream): void;
  /** No connection could be had. */
  onUpstreamFailed(reason: Reason, problem: string): void;
  /** `chunk` is overwritten by the next read: what is wanted later is copied (dial.ts, Receiver). */
  onUpstreamData(chunk: Buffer): void;
  /** The app's FIN: all it had to say was said. */
  onUpstreamEnd(): void;
  /** Closed or reset without, or after, FIN. */
  onUpstreamClosed(): void;
  onUpstreamDrain(): void;
}

/** Bounds on the head of an answer; an app that needs more is broken. */
export const RESPONSE_LIMITS = { headBytes: 128 * 1024, headers: 500, targetBytes: 0 } as const;

export interface UpstreamHome {
  /** Takes back a connection that is clean; false: it is not wanted. */
  park(upstream: Upstream, keepAliveMs: number | undefined, now: number): boolean;
  /** The connection has ended, idle or in use. */
  forget(upstream: Upstream): void;
}

export class Upstream implements Receiver {
  readonly socket: Socket;
  readonly reader: ResponseReader = createResponseReader(RESPONSE_LIMITS);
  user: UpstreamUser | undefined;
  /** An answer has come over it before: the app may have closed it meanwhile, so one retry is fair. */
  reused = false;
  /** What was planned for the last answer, which the next one often repeats byte for byte. */
  remembered: RememberedAnswer | undefined;
  /** By Negotiate or NTLM. */
  tied = false;
  /** Monotonic time after which it is not used again; counts while it is parked. */
  idleUntil = 0;
  /** The pool it was dialled for. */
  readonly home: UpstreamHome;

  constructor(socket: Socket, home: UpstreamHome) {
    this.socket = socket;
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

  receive(chunk: Buffer): void {
    // Nobody asked: an answer that belongs to nobody must never meet the next request (CVE-2026-48931).
    if (this.user === undefined) this.destroy();
    else this.user.onUpstreamData(chunk);
  }

  /** Back to the pool, after a complete answer to a complete request with nothing left over. */
  release(keepAliveMs: number | undefined, now: number): void {
    this.user = undefined;
    this.reused = true;
    this.reader.reset();
    // A pause for back-pressure must not outlive the exchange: an idle connection has to hear the app's FIN.
    if (this.socket.isPaused()) this.socket.resume();
    if (!this.home.park(this, keepAliveMs, now)) this.destroy();
  }

  /** From now on it belongs to one client: what it was authenticated as is never lent to another. */
  tie(): this {
    this.tied = true;
    this.user = undefined;
    this.reused = true;
    this.reader.reset();
    if (this.socket.isPaused()) this.socket.resume();
    return this;
  }

  destroy(): void {
    this.user = undefined;
    this.socket.destroy();
  }
}
