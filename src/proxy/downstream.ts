/** A client as one exchange sees it, whichever HTTP it speaks: the connection itself in HTTP/1.1, a stream of it in HTTP/2. */
import type { Denial, Respond } from '../decision/verdict.ts';
import type { FieldLines, ParsedFields, ResponseHead } from '../http/message.ts';
import type { AppLink } from './app-link.ts';
import type { AnswerPlan, RememberedAnswer } from './answer-plan.ts';
import type { ClientConnection } from './client-connection.ts';
import type { Exchange } from './exchange.ts';
import type { Listener } from './listener.ts';
import type { JudgedClient } from './trusted-peers.ts';
import type { Upstream } from './upstream.ts';

/** An answer that is written, but perhaps not yet with the system. */
export interface Flushing {
  /** Milliseconds that the client may take for the rest. */
  readonly idleMs: number;
  /** Called once: `unsent` bytes were not taken when the connection ended; 0: all were. */
  flushed(unsent: number, now: number): void;
}

export interface Downstream extends JudgedClient {
  readonly listener: Listener;
  /** The address of the pod that it connected to; absent where the app is elsewhere in any case. */
  readonly dialled: string | undefined;
  /** The connection, where it carries one exchange at a time (HTTP/1.1). */
  readonly wire: ClientConnection | undefined;
  /** X-Forwarded-* of its requests, remembered with the host that they name. */
  forwarding: { readonly host: string; readonly lines: FieldLines } | undefined;
  /** An app connection that NTLM has tied to this client; never where streams share a connection. */
  pinned: Upstream | undefined;
  /** No more of the request's body for now. */
  pause(): void;
  resume(): void;
  /** Keeps bytes that belong to the next request. */
  hold(bytes: Buffer): void;
  /** 100 Continue. */
  sayContinue(): void;
  /** What the answer to `exchange` is written with. */
  answerWith(exchange: Exchange): AnswerWriter;
  /** The exchange has written its whole answer, which hears, if it is the last, whether it left as a whole. */
  finish(close: boolean, now: number, answer: Flushing): void;
  /** Ends the stream so that it cannot be taken for a whole answer. */
  reset(): void;
  /** Something unforeseen was thrown: nothing is forwarded, the exchange ends, the process goes on. */
  fault(error: unknown): void;
}

/** What is sent of our own accord, and how many bytes its body has. */
export interface SentReply {
  readonly status: number;
  readonly bodyBytes: number;
}

/** One answer on its way to the client: the app's, rewritten, or one of our own. */
export interface AnswerWriter {
  /** The answer is the last of its connection, known when its head is written. */
  readonly close: boolean;
  /** The client wants no more for now. */
  readonly blocked: boolean;
  /** An answer of our own, instead of the app's. */
  reply(verdict: Denial | Respond, close: boolean): SentReply;
  /**
   * Ends an answer that has begun with a denial, where its protocol has words for that (trailers of gRPC), and nothing of the
   * answer after it. False: it has none, and nothing was done.
   */
  deny(denial: Denial): boolean;
  /** An informational answer, to clients that know of them. */
  inform(head: ResponseHead, plan: AnswerPlan): void;
  /** The head of an answer whose body follows as it comes. It may be held back until the first bytes or `flush`. */
  head(head: ResponseHead, plan: AnswerPlan, remembered?: RememberedAnswer): void;
  /** Head and body at once; `bare`: the length is told, nothing follows. The body leaves as the client takes it. */
  whole(head: ResponseHead, plan: AnswerPlan, body: Buffer, bare: boolean): void;
  /** Content; the slice is written over when this returns, but for what is borrowed from `link`, which gave it. */
  data(slice: Uint8Array, link?: AppLink): void;
  /** Everything that was given leaves. True: something of it, perhaps borrowed, is still waiting for the client. */
  flush(): boolean;
  /** The body is complete; without trailers, the app could have none. */
  end(trailers: ParsedFields | undefined, hidden: ReadonlySet<string>): void;
  /** Writes on what `whole` held back. True: nothing is left. */
  writeOn(): boolean;
}
