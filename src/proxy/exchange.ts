/** One request and its answer: judged once, then forwarded or refused. All clocks of a request are fields, swept. */
import type { Reason } from '../api/reasons.ts';
import { judge } from '../decision/judge.ts';
import { refuse } from '../decision/refuse.ts';
import type { Denial, Permit, Respond, Verdict } from '../decision/verdict.ts';
import { findAll } from '../http/head.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import type { ErrorsPlan, Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { Peer } from '../trust/trust.ts';
import { Answer } from './answer.ts';
import type { ClientConnection } from './client-connection.ts';
import { RequestEvidence } from './evidence-source.ts';
import { forward } from './forward.ts';
import type { ActiveListener } from './listener.ts';
import type { Pool } from './pool.ts';
import type { CancelDial } from './dial.ts';
import { isMisdirected } from './handshake.ts';
import { judgeAgain, type Rejudged } from './rejudge.ts';
import { DEFAULT_ERRORS, renderReply } from './reply.ts';
import { RequestBody, type BodyFault } from './request-body.ts';
import { createRequestView, nameRequest } from './request-view.ts';
import { recordRequest } from './record.ts';
import { describePeer } from './trusted-peers.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';
import type { Upstream, UpstreamUser } from './upstream.ts';

type Phase = 'deciding' | 'connecting' | 'expecting' | 'open' | 'done';

/** After this time an exchange counts as an open stream, which is judged again (M7). */
const STREAM_AFTER_MS = 5000;
const REJUDGE_MS = 60_000;
/** No decision takes longer than the look-ups that it asks for, which have clocks of their own. */
const DECISION_MS = 120_000;
/** How long the app may be silent about `Expect: 100-continue`. */
const EXPECT_MS = 1000;
/** How long a client may take to close a tunnel that the app has closed. */
const TUNNEL_CLOSE_MS = 2000;
/** Head and body up to this size leave in one write. */
const ONE_WRITE = 16 * 1024;

const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export interface Outgoing {
  readonly text: string;
  readonly pool: Pool;
  /** Milliseconds from the end of the request to the head of the answer, and of silence. */
  readonly responseMs: number;
  readonly idleMs: number;
}

export class Exchange implements UpstreamUser, Rejudged {
  readonly client: ClientConnection;
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly startedAt: number;
  active: ActiveListener | undefined;
  requestId = '';
  view: RequestView | undefined;
  peer: Peer | undefined;
  route: Route | undefined;
  permit: Permit | undefined;
  verdict: Verdict | undefined;
  answer: Answer | undefined;
  upstream: Upstream | undefined;
  /** Monotonic time of what happens now: read once an event, since reading it costs. */
  at: number;
  /** Monotonic times; 0: not yet. */
  decidedAt = 0;
  sentAt = 0;
  answeredAt = 0;
  deviceAuthMs = 0;
  status = 0;
  bytesOut = 0;
  failure: Reason | undefined;
  /** Monotonic time of the next judgement of an open stream (M7). */
  rejudgeAt = Infinity;
  rejudging = false;
  #phase: Phase = 'deciding';
  #deadline = Infinity;
  #rest: Buffer | undefined;
  #cancelDial: CancelDial | undefined;
  #outgoing: Outgoing | undefined;
  #tunnel: Tunnel | undefined;
  #retried = false;

  constructor(client: ClientConnection, head: RequestHead) {
    this.client = client;
    this.head = head;
    this.body = new RequestBody(head.framing);
    this.startedAt = client.shared.monotonic();
    this.at = this.startedAt;
  }

  /** `rest` came behind the head: body, or the next request. */
  begin(rest: Buffer | undefined): void {
    const { client, head } = this;
    if (rest !== undefined) {
      if (this.body.complete) client.hold(rest);
      else this.#rest = rest;
    }
    const active = client.listener.active;
    this.active = active;
    if (active === undefined) {
      this.requestId = client.shared.ids.nextRequestId();
      // The port has no Api any more (M1), or there was never a policy.
      return client.listener.unserved ? this.#vanish() : this.refuse('PolicyNotLoaded', DEFAULT_ERRORS);
    }
    const now = client.shared.clock();
    const peer = describePeer(client, active, now);
    this.requestId = nameRequest(this, peer);
    const view = createRequestView(this, active, peer);
    this.view = view;
    this.peer = peer;
    const before = active.generation.snapshot.errorsBeforeMatch;
    if (client.shared.state.overloaded) return this.refuse('Overloaded', before);
    if (isMisdirected(client.handshake, active.tls, head.host)) return this.refuse('MisdirectedRequest', before);
    if (head.path === '*') return this.refuse('OperationNotFound', before);
    const match = active.plan.match(head.method, head.host, head.path);
    if (match.kind === 'refused') return this.refuse(match.reason, match.errors);
    this.route = match.route;
    const evidence = new RequestEvidence(client, active, { view, peer }, this);
    const reserved = active.generation.snapshot.reservedHeaders;
    const verdict = judge(match.route, match.params, view, reserved, evidence, { now });
    if (!(verdict instanceof Promise)) return this.#settle(verdict);
    this.#deadline = this.startedAt + DECISION_MS;
    verdict.then(
      late => this.#resume(() => this.#settle(late)),
      (error: unknown) => this.#resume(() => client.fault(error)),
    );
  }

  /** Something came about asynchronously; the client may be gone by now. */
  #resume(continuation: () => void): void {
    if (this.#phase === 'done') return;
    this.#tick();
    try {
      continuation();
    } catch (error) {
      this.client.fault(error);
    }
  }

  #tick(): void {
    this.at = this.client.shared.monotonic();
  }

  #settle(verdict: Verdict): void {
    this.#tick();
    this.verdict = verdict;
    this.decidedAt = this.at;
    this.#deadline = Infinity;
    if (verdict.verdict === 'Deny' || verdict.verdict === 'Respond') return this.reply(verdict);
    this.permit = verdict;
    this.#scheduleRejudge(verdict);
    forward(verdict, this);
  }

  #scheduleRejudge(permit: Permit): void {
    const { validUntil } = permit;
    const untilInvalid = validUntil === undefined ? Infinity : Math.max(0, validUntil - this.client.shared.clock());
    this.rejudgeAt = this.at + Math.min(REJUDGE_MS, untilInvalid);
  }

  /** Denies before a policy could. */
  refuse(reason: Reason, errors: ErrorsPlan): void {
    this.verdict = this.#denial(reason, errors);
    this.reply(this.verdict);
  }

  /** Fails after the permit: nothing is told of the app. */
  fail(reason: Reason): void {
    this.failure = reason;
    this.#dropUpstream();
    if (this.answer?.started === true || this.#tunnel !== undefined) return this.abort();
    const errors = this.permit?.route.pipeline.errors ?? DEFAULT_ERRORS;
    this.reply(this.#denial(reason, errors));
  }

  #denial(reason: Reason, errors: ErrorsPlan): Denial {
    const { route, view } = this;
    return refuse(reason, errors, {
      now: this.client.shared.clock(),
      ...(view === undefined ? {} : { request: view }),
      ...(route === undefined ? {} : { route }),
    });
  }

  /** Sends an answer of our own. What is here of the body is dropped; if more is to come the connection ends. */
  reply(verdict: Denial | Respond): void {
    const { client, head } = this;
    this.#dropUpstream();
    this.#skipBody();
    const close = this.mustClose();
    const { status, text } = renderReply(client.shared, verdict, {
      requestId: this.requestId,
      realm: this.route?.api.name ?? '',
      head: head.method === 'HEAD',
      connection: connectionHeader(head, close),
    });
    client.socket.write(text, 'latin1');
    this.status = status;
    this.bytesOut += text.length;
    this.complete(close);
  }

  #skipBody(): void {
    this.body.drop();
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest === undefined) return;
    const taken = this.body.take(rest);
    if (typeof taken === 'number' && taken < rest.length) this.client.hold(rest.subarray(taken));
  }

  /** Whether this answer is the last of its connection. */
  mustClose(): boolean {
    const { client, head, body } = this;
    return !head.keepAlive || !body.complete || head.upgradeWebSocket || client.shared.state.draining;
  }

  /** The answer is written; the request is over. */
  complete(close: boolean): void {
    if (this.#phase === 'done') return;
    this.#phase = 'done';
    recordRequest(this, this.at);
    this.client.finish(close, this.at);
  }

  /** Ends a stream that has begun so that nobody takes it for whole. */
  abort(): void {
    if (this.#phase === 'done') return;
    this.#phase = 'done';
    this.#dropUpstream();
    recordRequest(this, this.at);
    this.client.reset();
  }

  #vanish(): void {
    this.#phase = 'done';
    this.client.reset();
  }

  /** After an exception. True when the client has seen a part of an answer. */
  abandon(): boolean {
    this.#phase = 'done';
    this.#dropUpstream();
    return this.answer?.started === true || this.#tunnel !== undefined;
  }

  #dropUpstream(): void {
    this.#cancelDial?.();
    this.#cancelDial = undefined;
    this.body.drop();
    this.upstream?.destroy();
    this.upstream = undefined;
  }

  // --- towards the app

  /** Called by forward() only, which has a Permit. */
  send(outgoing: Outgoing): void {
    this.#outgoing = outgoing;
    this.#connect(false);
  }

  #connect(fresh: boolean): void {
    const outgoing = this.#outgoing;
    if (outgoing === undefined) return;
    this.#phase = 'connecting';
    const pinned = this.client.pinned;
    this.client.pinned = undefined;
    if (pinned !== undefined && !fresh && pinned.home === outgoing.pool.home && pinned.socket.writable) {
      pinned.user = this;
      return this.onUpstreamReady(pinned);
    }
    pinned?.destroy();
    const cancel = outgoing.pool.acquire(this, fresh, this.at);
    if (cancel === undefined) return;
    this.#cancelDial = cancel;
    if (!this.body.complete) this.client.pause();
  }

  onUpstreamReady(upstream: Upstream): void {
    // At once when a connection was idle; after a dial the clock has moved.
    if (this.#cancelDial !== undefined) this.#tick();
    this.#cancelDial = undefined;
    this.upstream = upstream;
    if (this.#phase === 'done') return upstream.destroy();
    try {
      this.#write(upstream);
    } catch (error) {
      this.client.fault(error);
    }
  }

  #write(upstream: Upstream): void {
    const text = this.#outgoing?.text ?? '';
    this.#phase = 'open';
    if (this.body.complete) {
      upstream.socket.write(text, 'latin1');
      return this.#sent();
    }
    const most = this.route?.api.bodyBytes ?? 0;
    this.body.sendTo(upstream.socket, most, this.active?.reserved ?? NOTHING);
    if (this.head.expectContinue) {
      upstream.socket.write(text, 'latin1');
      this.#phase = 'expecting';
      this.#deadline = this.at + EXPECT_MS;
      // The client's FIN or reset is to be heard; its body is held by onClientData.
      return this.client.resume();
    }
    this.#writeWithBody(upstream, text);
  }

  #writeWithBody(upstream: Upstream, text: string): void {
    const rest = this.#rest;
    this.#rest = undefined;
    const length = this.head.framing.kind === 'length' ? this.head.framing.length : Infinity;
    if (rest !== undefined && length <= rest.length && length <= ONE_WRITE) {
      upstream.socket.write(text + rest.toString('latin1', 0, length), 'latin1');
      this.body.skip(length);
      if (length < rest.length) this.client.hold(rest.subarray(length));
      return this.#sent();
    }
    upstream.socket.cork();
    upstream.socket.write(text, 'latin1');
    this.client.resume();
    if (rest === undefined) this.#touch();
    else this.#feed(rest);
    upstream.socket.uncork();
  }

  /** The request is with the app as a whole. */
  #sent(): void {
    this.sentAt = this.at;
    if (this.answer?.started !== true) this.#deadline = this.sentAt + (this.#outgoing?.responseMs ?? 0);
  }

  #feed(chunk: Buffer): void {
    const taken = this.body.take(chunk);
    if (typeof taken === 'string') return this.#bodyFault(taken);
    if (taken < chunk.length) this.client.hold(chunk.subarray(taken));
    if (this.body.complete) return this.#sent();
    if (this.body.blocked) this.client.pause();
    this.#touch();
  }

  #bodyFault(reason: BodyFault): void {
    this.fail(reason);
  }

  /** Some byte has moved. */
  #touch(): void {
    const idle = this.#outgoing?.idleMs ?? 0;
    const waitsForClient = !this.body.complete && this.answer?.started !== true && !this.body.blocked;
    this.#deadline = this.at + (waitsForClient ? (this.route?.api.bodyIdleMs ?? idle) : idle);
  }

  // --- what the client does meanwhile

  onClientData(chunk: Buffer): void {
    this.#tick();
    if (this.#tunnel !== undefined) {
      this.#touch();
      return this.#tunnel.fromClient(chunk);
    }
    if (this.#phase === 'open' && !this.body.complete) return this.#feed(chunk);
    if (this.body.complete) return this.client.hold(chunk);
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.client.pause();
  }

  onClientDrain(): void {
    if (this.upstream?.socket.isPaused() === true) this.upstream.socket.resume();
  }

  onClientEnd(): void {
    this.#tick();
    if (this.#tunnel !== undefined) return this.#tunnel.clientEnded();
    // A FIN after a whole request is no abort; within a body it is.
    if (!this.body.complete) this.abort();
  }

  onClientClosed(): void {
    if (this.#phase === 'done') return;
    this.#tick();
    this.#phase = 'done';
    this.#dropUpstream();
    if (this.verdict !== undefined) recordRequest(this, this.at);
  }

  // --- what the app does

  onUpstreamData(chunk: Buffer): void {
    try {
      this.#tick();
      this.#touch();
      if (this.#tunnel !== undefined) return this.#tunnel.fromApp(chunk);
      this.answer ??= new Answer(this);
      this.answer.onData(chunk);
    } catch (error) {
      this.client.fault(error);
    }
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== undefined || (this.#phase === 'open' && !this.body.complete)) this.client.resume();
  }

  onUpstreamEnd(): void {
    this.#resume(() => {
      if (this.#tunnel !== undefined) this.#tunnel.appEnded();
      else if (this.answer?.started === true) this.answer.onEnd();
      else this.#lost();
    });
  }

  onUpstreamClosed(): void {
    this.#resume(() => {
      if (this.#tunnel !== undefined) this.#tunnel.appClosed();
      else if (this.answer?.started === true) this.abort();
      else this.#lost();
    });
  }

  onUpstreamFailed(reason: Reason, problem: string): void {
    this.#cancelDial = undefined;
    const api = this.route?.api.key ?? '';
    this.client.shared.telemetry.log.warn({ requestId: this.requestId, api, reason, problem }, 'app not reached');
    this.#resume(() => this.fail(reason));
  }

  /** The connection ended without an answer. One retry, where the request cannot have had an effect that counts. */
  #lost(): void {
    const { upstream } = this;
    const silent = this.answer === undefined;
    const bodiless = this.head.framing.kind !== 'chunked' && this.body.complete && this.body.bytes === 0;
    if (upstream?.reused === true && silent && bodiless && !this.#retried && REPEATABLE.has(this.head.method)) {
      this.#retried = true;
      upstream.destroy();
      this.upstream = undefined;
      return this.#connect(true);
    }
    this.fail(silent ? 'AppUnavailable' : 'AppProtocolError');
  }

  /** The app wants the body (or has been silent long enough): the client is told, once. */
  continueBody(): void {
    if (this.#phase !== 'expecting' || this.upstream === undefined) return;
    this.#phase = 'open';
    if (this.#rest === undefined) this.client.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
    const rest = this.#rest;
    this.#rest = undefined;
    this.client.resume();
    if (rest === undefined) this.#touch();
    else this.#feed(rest);
  }

  /** A final answer came although the body was never asked for: it is not sent any more. */
  continueNoMore(): void {
    if (this.#phase === 'expecting') this.#phase = 'open';
  }

  /** The app's answer is through. `clean`: nothing of it is left over on its connection. */
  answered(head: ResponseHead, clean: boolean, close: boolean): void {
    const { upstream, client } = this;
    this.upstream = undefined;
    if (upstream !== undefined) {
      if (!clean || !head.keepAlive || !this.body.complete || upstream.socket.writableNeedDrain) upstream.destroy();
      else if (upstream.tied || isPinning(head)) {
        if (close) upstream.destroy();
        else client.pinned = upstream.tie();
      } else upstream.release(head.keepAliveTimeoutMs, this.at);
    }
    this.complete(close || !this.body.complete);
  }

  /** The app's side of a tunnel is gone. After its FIN the client may still be reading. */
  closeTunnel(): void {
    if (!this.client.socket.writableEnded) return this.abort();
    this.#deadline = this.at + TUNNEL_CLOSE_MS;
  }

  /** 101 was answered to the WebSocket that was asked for. `first` came behind its head. */
  upgrade(head: string, first: Buffer | undefined): void {
    const { client, upstream } = this;
    if (upstream === undefined) return;
    this.status = 101;
    this.answeredAt = this.at;
    this.#tunnel = openTunnel({ client: client.socket, app: upstream.socket, exchange: this });
    client.socket.write(head, 'latin1');
    if (first !== undefined) this.#tunnel.fromApp(first);
    const held = client.takeHeld();
    if (held !== undefined) this.#tunnel.fromClient(held);
    if (client.ended) this.#tunnel.clientEnded();
    client.resume();
    this.#touch();
  }

  // --- clocks

  sweep(now: number): void {
    if (this.#deadline <= now) this.#expire();
    else if (this.permit !== undefined && this.#isStream(now) && this.#isDue(now)) judgeAgain(this);
  }

  #isDue(now: number): boolean {
    return !this.rejudging && (now >= this.rejudgeAt || this.active !== this.client.listener.active);
  }

  #isStream(now: number): boolean {
    if (this.#phase === 'done') return false;
    return this.#tunnel !== undefined || this.answer?.isEvents === true || now - this.startedAt >= STREAM_AFTER_MS;
  }

  /** The permit of a stream holds under the generation in force. */
  renew(permit: Permit, active: ActiveListener): void {
    this.#tick();
    this.active = active;
    this.#scheduleRejudge(permit);
  }

  /** A stream is no longer permitted: it ends. */
  revoke(denial: Denial | Respond): void {
    if (this.#phase === 'done') return;
    this.#tick();
    this.failure = denial.verdict === 'Deny' ? denial.reason : undefined;
    if (this.answer?.started === true || this.#tunnel !== undefined) return this.abort();
    this.verdict = denial;
    this.reply(denial);
  }

  #expire(): void {
    this.#deadline = Infinity;
    this.#resume(() => {
      if (this.#phase === 'expecting') return this.continueBody();
      if (this.#phase === 'deciding') return this.refuse('Overloaded', this.route?.pipeline.errors ?? DEFAULT_ERRORS);
      if (this.#tunnel !== undefined || this.answer?.started === true) return this.abort();
      this.fail(this.body.complete || this.body.blocked ? 'AppTimeout' : 'RequestTimeout');
    });
  }
}

/** Negotiate and NTLM authenticate a connection, not a request: nobody else may use it. */
function isPinning(head: ResponseHead): boolean {
  return findAll(head, 'www-authenticate').some(value => /^(?:ntlm|negotiate)\b/i.test(value));
}

const NOTHING: ReadonlySet<string> = new Set();

/** HTTP/1.1 keeps connections unless told otherwise, HTTP/1.0 the other way round. */
export function connectionHeader(head: RequestHead, close: boolean): 'close' | 'keep-alive' | undefined {
  if (close) return 'close';
  return head.version === '1.0' ? 'keep-alive' : undefined;
}
