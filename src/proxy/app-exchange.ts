/** The half of an exchange that faces the app: exists only with a Permit. Connects, sends the request, hears the answer. */
import type { Reason } from '../api/reasons.ts';
import type { PresentedHeader } from '../credentials/credentials.ts';
import type { Permit } from '../decision/verdict.ts';
import type { ParsedFields, RequestRendering, ResponseHead } from '../http/message.ts';
import { Answer } from './answer.ts';
import type { AnswerPlan } from './answer-plan.ts';
import { AnswerReader } from './answer-reader.ts';
import { WireAnswer } from './answer-writer.ts';
import type { AppLink, UpstreamUser } from './app-link.ts';
import type { CancelDial } from './dial.ts';
import type { Exchange } from './exchange.ts';
import { explainProblem } from './misspoken.ts';
import type { Pool } from './pool.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

/** How long the app may be silent about `Expect: 100-continue`. */
const EXPECT_MS = 1000;
/** How long a client may take to close a tunnel that the app has closed. */
const TUNNEL_CLOSE_MS = 2000;
/** Head and body up to this size leave in one write. */
const ONE_WRITE = 16 * 1024;

const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export interface Outgoing {
  readonly permit: Permit;
  /** The head, as it is written. */
  readonly request: RequestRendering;
  readonly pool: Pool;
  /** Folded names that no trailer may carry. */
  readonly reserved: ReadonlySet<string>;
  /** Milliseconds from the end of the request to the head of the answer, and of silence. */
  readonly responseMs: number;
  readonly idleMs: number;
  /** What the app gets of ours and the client must not see again. */
  readonly presented?: PresentedHeader | undefined;
}

type Phase = 'connecting' | 'expecting' | 'open' | 'over';

export class AppExchange implements UpstreamUser {
  readonly exchange: Exchange;
  readonly permit: Permit;
  upstream: AppLink | undefined;
  /** Monotonic time at which something is late. */
  deadline = Infinity;
  readonly #outgoing: Outgoing;
  /** What has come of the body while it could not be sent. */
  #rest: Buffer | undefined;
  #phase: Phase = 'connecting';
  #answer: Answer | undefined;
  #reader: AnswerReader | undefined;
  #tunnel: Tunnel | undefined;
  #cancelDial: CancelDial | undefined;
  #retried = false;

  constructor(exchange: Exchange, outgoing: Outgoing, rest: Buffer | undefined) {
    this.exchange = exchange;
    this.permit = outgoing.permit;
    this.#outgoing = outgoing;
    this.#rest = rest;
  }

  /** The client has seen a part of an answer: from now on a failure can only end the stream. */
  get answering(): boolean {
    return this.#tunnel !== undefined || this.#answer?.started === true;
  }

  get presented(): PresentedHeader | undefined {
    return this.#outgoing.presented;
  }

  get method(): string {
    return this.exchange.head.method;
  }

  /** The app did not accept what we presented: it may have been withdrawn before its time. */
  reportRefusal(): void {
    const { active, client } = this.exchange;
    const { headerCredential } = this.permit.route.pipeline;
    if (this.presented === undefined || headerCredential === undefined) return;
    active?.generation.credentials.refused(headerCredential, client.shared.clock());
  }

  /** A stream from its start: a WebSocket, server-sent events (M7). */
  get isStream(): boolean {
    return this.#tunnel !== undefined || this.#answer?.isEvents === true;
  }

  connect(fresh = false): void {
    const { exchange } = this;
    const { client } = exchange;
    const { pool } = this.#outgoing;
    this.#phase = 'connecting';
    const { pinned } = client;
    client.pinned = undefined;
    if (pinned !== undefined && !fresh && pinned.home === pool.home && pinned.socket.writable) {
      pinned.user = this;
      return this.onUpstreamReady(pinned);
    }
    pinned?.destroy();
    const cancel = pool.acquire(this, fresh, exchange.at);
    if (cancel === undefined) return;
    this.#cancelDial = cancel;
    if (!exchange.body.complete) client.pause();
  }

  /** Lets go of the app; what is left of the body is read and dropped. Gives what is here of it. */
  drop(): Buffer | undefined {
    this.#phase = 'over';
    this.#cancelDial?.();
    this.#cancelDial = undefined;
    this.exchange.body.drop();
    this.upstream?.destroy();
    this.upstream = undefined;
    const rest = this.#rest;
    this.#rest = undefined;
    return rest;
  }

  onUpstreamReady(upstream: AppLink): void {
    const { exchange } = this;
    // It was given up meanwhile.
    if (this.#phase !== 'connecting') return upstream.destroy();
    // At once when a connection was idle; after a dial the clock has moved.
    if (this.#cancelDial !== undefined) exchange.tick();
    this.#cancelDial = undefined;
    this.upstream = upstream;
    try {
      this.#write(upstream);
    } catch (error) {
      exchange.client.fault(error);
    }
  }

  #write(upstream: AppLink): void {
    const { exchange } = this;
    const { body, client, head } = exchange;
    const { request, reserved } = this.#outgoing;
    this.#phase = 'open';
    if (body.complete) {
      upstream.send(request, true);
      return this.#sent();
    }
    body.sendTo(upstream, this.permit.route.api.bodyBytes, reserved);
    if (!head.expectContinue || exchange.continued) return this.#writeWithBody(upstream, request);
    upstream.send(request, false);
    this.#phase = 'expecting';
    this.deadline = exchange.at + EXPECT_MS;
    // The client's FIN or reset is to be heard; its body is held by onClientData.
    client.resume();
  }

  #writeWithBody(upstream: AppLink, request: RequestRendering): void {
    const { body, client, head } = this.exchange;
    const rest = this.#takeRest();
    const length = head.framing.kind === 'length' ? head.framing.length : Infinity;
    if (rest !== undefined && length <= rest.length && length <= ONE_WRITE) {
      upstream.sendWhole(request, length === rest.length ? rest : rest.subarray(0, length));
      body.skip(length);
      if (length < rest.length) client.hold(rest.subarray(length));
      return this.#sent();
    }
    upstream.cork();
    upstream.send(request, false);
    this.#goOn(rest);
    upstream.uncork();
  }

  #takeRest(): Buffer | undefined {
    const rest = this.#rest;
    this.#rest = undefined;
    return rest;
  }

  #goOn(rest: Buffer | undefined): void {
    this.exchange.client.resume();
    if (rest !== undefined) return this.#feed(rest);
    if (this.exchange.body.ending !== undefined) this.onClientBodyEnd();
    else this.#touch();
  }

  #feed(chunk: Buffer): void {
    const { body, client } = this.exchange;
    const taken = body.take(chunk);
    if (typeof taken === 'string') return this.exchange.fail(taken);
    if (taken < chunk.length) client.hold(chunk.subarray(taken));
    body.finish();
    if (body.complete) return this.#sent();
    if (body.blocked) client.pause();
    this.#touch();
  }

  /** The request is with the app as a whole. */
  #sent(): void {
    this.exchange.sentAt = this.exchange.at;
    if (!this.answering) this.deadline = this.exchange.at + this.#outgoing.responseMs;
  }

  /** Some byte has moved. */
  #touch(): void {
    const { body, at } = this.exchange;
    const waitsForClient = !body.complete && !this.answering && !body.blocked;
    this.deadline = at + (waitsForClient ? this.permit.route.api.bodyIdleMs : this.#outgoing.idleMs);
  }

  // --- what the client does meanwhile

  onClientData(chunk: Buffer): void {
    const { body, client } = this.exchange;
    if (this.#tunnel !== undefined) {
      this.#touch();
      return this.#tunnel.fromClient(chunk);
    }
    if (body.complete) return client.hold(chunk);
    if (this.#phase === 'open') return this.#feed(chunk);
    // The app has answered without it.
    if (this.#phase === 'over') return;
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    client.pause();
  }

  /** HTTP/2: no more of the body will come. What is here goes first. */
  onClientBodyEnd(): void {
    const { body } = this.exchange;
    if (this.#phase !== 'open' || this.#rest !== undefined || body.complete) return;
    if (body.finish()) this.#sent();
  }

  onClientDrain(): void {
    if (this.#phase === 'over') {
      this.exchange.tick();
      this.#touch();
      this.#answer?.writeOn();
    }
    this.upstream?.resume();
  }

  /** False: a FIN means nothing here. */
  onClientEnd(): boolean {
    this.#tunnel?.clientEnded();
    return this.#tunnel !== undefined;
  }

  // --- what the app does

  onUpstreamData(chunk: Buffer): void {
    const { exchange } = this;
    try {
      exchange.tick();
      this.#touch();
      if (this.#tunnel !== undefined) return this.#tunnel.fromApp(chunk);
      this.#read().onData(chunk);
    } catch (error) {
      exchange.client.fault(error);
    }
  }

  #read(): AnswerReader {
    const reader = this.upstream?.wire?.reader;
    if (reader === undefined) throw new TypeError('bytes came over a connection that has none');
    this.#answer ??= new Answer(this);
    return (this.#reader ??= new AnswerReader(reader, this.method, this.#answer));
  }

  onUpstreamHead(head: ResponseHead): void {
    this.#hear(answer => {
      if (head.status < 200) answer.inform(head);
      else answer.start(head, 0);
    });
  }

  onUpstreamContent(slice: Uint8Array): void {
    this.#hear(answer => answer.data(slice));
  }

  onUpstreamFlush(): void {
    if (this.#phase !== 'over' && this.#answer?.begun === true) this.#hear(answer => answer.flush());
  }

  onUpstreamComplete(trailers: ParsedFields | undefined): void {
    this.#hear(answer => answer.end(trailers, true));
  }

  onUpstreamBroken(): void {
    this.#hear(answer => answer.broken());
  }

  #hear(tell: (answer: Answer) => void): void {
    const { exchange } = this;
    try {
      exchange.tick();
      this.#touch();
      tell((this.#answer ??= new Answer(this)));
    } catch (error) {
      exchange.client.fault(error);
    }
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== undefined || (this.#phase === 'open' && !this.exchange.body.complete)) {
      this.exchange.client.resume();
    }
  }

  onUpstreamEnd(): void {
    this.exchange.resume(() => {
      if (this.#tunnel !== undefined) this.#tunnel.appEnded();
      else if (this.#answer?.begun === true) this.#reader?.onEnd();
      else this.#lost();
    });
  }

  onUpstreamClosed(): void {
    this.exchange.resume(() => {
      if (this.#tunnel !== undefined) this.#closeTunnel();
      else if (this.#answer?.started === true) this.exchange.abort();
      else this.#lost();
    });
  }

  onUpstreamFailed(reason: Reason, problem: string): void {
    this.#cancelDial = undefined;
    const { requestId, client } = this.exchange;
    const api = this.permit.route.api.key;
    const detail = explainProblem(problem);
    client.shared.telemetry.log.warn({ requestId, api, reason, problem, detail }, 'app not reached');
    this.exchange.resume(() => this.exchange.fail(reason));
  }

  /** The connection ended without an answer. One retry, where the request cannot have had an effect that counts. */
  #lost(): void {
    const { upstream } = this;
    const { head, body } = this.exchange;
    const silent = this.#answer === undefined;
    const bodiless = head.framing.kind !== 'chunked' && body.complete && body.bytes === 0;
    // Nobody has looked at it, or nobody is likely to have.
    const isFair = upstream?.refused === true || (upstream?.reused === true && REPEATABLE.has(head.method));
    if (upstream !== undefined && isFair && silent && bodiless && !this.#retried) {
      this.#retried = true;
      upstream.destroy();
      this.upstream = undefined;
      return this.connect(true);
    }
    this.exchange.fail(silent ? 'AppUnavailable' : 'AppProtocolError');
  }

  /** The app wants the body, or has been silent long enough: the client is told, once, unless it did not wait. */
  continueBody(): void {
    if (this.#phase !== 'expecting') return;
    this.#phase = 'open';
    const rest = this.#takeRest();
    if (rest === undefined) this.exchange.client.sayContinue();
    this.#goOn(rest);
  }

  /** The app's answer is here as a whole. `clean`: nothing of it is left over on its connection, which others may have. */
  letGo(head: ResponseHead, clean: boolean, close: boolean): void {
    const { body, client, at } = this.exchange;
    const { upstream } = this;
    this.upstream = undefined;
    upstream?.release({ client, head, clean: clean && body.complete, close, at });
    this.#phase = 'over';
    if (body.complete) return;
    body.drop();
    client.resume();
  }

  /** The answer is written. */
  answered(close: boolean): void {
    this.exchange.complete(close || !this.exchange.body.complete);
  }

  /** 101 was answered to the WebSocket that was asked for. `first` came behind its head. */
  upgrade(head: ResponseHead, plan: AnswerPlan, first: Buffer | undefined): void {
    const { exchange } = this;
    const [client, upstream] = [exchange.client.wire, this.upstream?.wire];
    if (client === undefined || upstream === undefined) return exchange.fail('AppProtocolError');
    exchange.status = 101;
    exchange.answeredAt = exchange.at;
    const tunnel = openTunnel({ client: client.socket, app: upstream.socket, exchange });
    this.#tunnel = tunnel;
    new WireAnswer(client, exchange).upgrade(head, plan);
    if (first !== undefined) tunnel.fromApp(first);
    const held = client.takeHeld();
    if (held !== undefined) tunnel.fromClient(held);
    if (client.ended) tunnel.clientEnded();
    client.resume();
    this.#touch();
  }

  /** The app's side of a tunnel is gone. After its FIN the client may still be reading. */
  #closeTunnel(): void {
    if (this.exchange.client.wire?.socket.writableEnded !== true) return this.exchange.abort();
    this.deadline = this.exchange.at + TUNNEL_CLOSE_MS;
  }

  /** The deadline has passed. */
  expire(): void {
    this.deadline = Infinity;
    const { exchange } = this;
    if (this.answering) return exchange.abort();
    if (this.#phase === 'expecting') return this.continueBody();
    exchange.fail(exchange.body.complete || exchange.body.blocked ? 'AppTimeout' : 'RequestTimeout');
  }
}
