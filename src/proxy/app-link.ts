/** What carries one exchange to the app: a connection of its own (HTTP/1.1), or a stream of a shared one (HTTP/2). */
import type { Reason } from '../api/reasons.ts';
import type { ParsedFields, RequestRendering, ResponseHead } from '../http/message.ts';
import type { RememberedAnswer } from './answer-plan.ts';
import type { Downstream } from './downstream.ts';
import type { BodyOut } from './request-body.ts';
import type { Upstream } from './upstream.ts';

/** The whole answer is here. */
export interface Answered {
  readonly client: Downstream;
  readonly head: ResponseHead;
  /** Nothing of the exchange is left over on the connection, and the request's body was sent. */
  readonly clean: boolean;
  /** The client's connection ends with this answer. */
  readonly close: boolean;
  /** Monotonic. */
  readonly at: number;
}

export interface AppLink extends BodyOut {
  /** An answer has come over its connection before: the app may have closed it meanwhile, so one retry is fair. */
  readonly reused: boolean;
  /** The app has said that it has not looked at the request (RFC 9113 section 8.7). */
  readonly refused: boolean;
  /** What was planned for the last answer, which the next one often repeats byte for byte. */
  remembered: RememberedAnswer | undefined;
  /** The connection, where it can become a tunnel. */
  readonly wire: Upstream | undefined;
  /** The head. `ends`: without body. */
  send(request: RequestRendering, ends: boolean): void;
  /** Head and the whole of a small counted body. */
  sendWhole(request: RequestRendering, body: Buffer): void;
  /** A slice of the answer that came last, so that it lasts until it is written: itself or a copy. */
  lend(slice: Uint8Array): Uint8Array;
  /** What was lent is not yet written. */
  keep(): void;
  /** No more of the answer for now. */
  pause(): void;
  resume(): void;
  /** The link is given up: its connection may serve others. */
  release(answered: Answered): void;
  /** The exchange ends early: whatever was under way is cut off. */
  destroy(): void;
}

/** Who uses a link. Nothing is called any more once it was released or destroyed. */
export interface UpstreamUser {
  /** Of the request whose answer is awaited. */
  readonly method: string;
  onUpstreamReady(link: AppLink): void;
  /** No connection could be had, or it is one of another protocol; `problem` is a word of OpenSSL, Node or misspoken.ts. */
  onUpstreamFailed(reason: Reason, problem: string): void;
  /** HTTP/1.1. `chunk` is overwritten by the next read: what is wanted later is copied (dial.ts, Receiver). */
  onUpstreamData(chunk: Buffer): void;
  /** HTTP/1.1: the app's FIN, all it had to say was said. */
  onUpstreamEnd(): void;
  /** HTTP/2: what has come. */
  onUpstreamHead(head: ResponseHead): void;
  onUpstreamContent(slice: Uint8Array): void;
  onUpstreamComplete(trailers: ParsedFields | undefined): void;
  /** HTTP/2: everything is here for now that came together. */
  onUpstreamFlush(): void;
  /** HTTP/2: what has come is no answer. */
  onUpstreamBroken(): void;
  /** Closed or reset without, or after, its end. */
  onUpstreamClosed(): void;
  onUpstreamDrain(): void;
}
