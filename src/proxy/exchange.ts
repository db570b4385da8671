/** One request: judged once, then refused or forwarded; an open stream is judged again. Its clocks are fields, swept. */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { PendingCount } from '../decision/count-step.ts';
import { judgeMatched, matchRequest } from '../decision/judge-request.ts';
import { refuse } from '../decision/refuse.ts';
import type { Denial, Permit, Respond, Verdict } from '../decision/verdict.ts';
import { createFieldList } from '../http/fields.ts';
import type { HeaderFields } from '../http/head.ts';
import type { ParsedFields, RequestHead } from '../http/message.ts';
import type { Proofs } from '../callers/signatures.ts';
import type { ErrorsPlan, Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { AppExchange, type Outgoing } from './app-exchange.ts';
import type { AnswerWriter, Downstream } from './downstream.ts';
import { RequestEvidence, type HeldBody } from './evidence-source.ts';
import { forward } from './forward.ts';
import type { Lease } from './generation.ts';
import { Holding } from './holding.ts';
import { isMisdirected } from './handshake.ts';
import type { ActiveListener } from './listener.ts';
import { recordRequest } from './record.ts';
import { judgeAgain, REJUDGE_MS, type Rejudged } from './rejudge.ts';
import { DEFAULT_ERRORS } from './reply.ts';
import { RequestBody } from './request-body.ts';
import { createRequestView, nameRequest } from './request-view.ts';
import { describePeer } from './trusted-peers.ts';
import { settleCounts } from './unsettled-counts.ts';

/** After this time an exchange counts as an open stream, which is judged again (M7). */
const STREAM_AFTER_MS = 5000;
/** No decision takes longer than the look-ups that it asks for, which have clocks of their own. */
const DECISION_MS = 120_000;
/** A client that does not take the end of a stream that was denied has it reset after this time. */
const DENIED_MS = 2000;

const NO_BODY = new Uint8Array(0);
const NO_FIELDS = createFieldList();

export class Exchange implements Rejudged {
  readonly client: Downstream;
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly startedAt: number;
  active: ActiveListener | undefined;
  requestId = '';
  view: RequestView | undefined;
  route: Route | undefined;
  verdict: Verdict | undefined;
  /** Monotonic time of what happens now: read once an event, since reading it costs. */
  at: number;
  /** Monotonic times; 0: not yet. */
  decidedAt = 0;
  sentAt = 0;
  answeredAt = 0;
  deviceAuthMs = 0;
  certificateTrust: ObjectKey | undefined;
  status = 0;
  bytesOut = 0;
  /** What went wrong after the permit. */
  failure: Reason | undefined;
  rejudging = false;
  #toApp: AppExchange | undefined;
  #writer: AnswerWriter | undefined;
  #rejudgeAt = Infinity;
  /** Of the decision; afterwards the AppExchange has its own. */
  #deadline = Infinity;
  #rest: Buffer | undefined;
  #holding: Holding | undefined;
  #proofs: Proofs | undefined;
  #done = false;
  /** The end of a stream that was denied is on its way. */
  #denied = false;
  #leases: Lease[] | undefined;
  /** Until there is an answer. */
  #counts: readonly PendingCount[] | undefined;

  constructor(client: Downstream, head: RequestHead) {
    this.client = client;
    this.head = head;
    this.body = new RequestBody(head);
    this.startedAt = client.shared.monotonic();
    this.at = this.startedAt;
  }

  /** What the answer is written with, whoever makes it. */
  get writer(): AnswerWriter {
    return (this.#writer ??= this.client.answerWith(this));
  }

  /** `rest` came behind the head: body, or the next request. */
  begin(rest: Buffer | undefined): void {
    const { client } = this;
    if (rest !== undefined) {
      if (this.body.complete) client.hold(rest);
      else this.#rest = rest;
    }
    const { active } = client.listener;
    // The port was one of HTTP when the connection was accepted, and is one of TCP now.
    if (active?.plan.protocol === 'TCP') return client.reset();
    if (active !== undefined) return this.#judge(active);
    this.requestId = client.shared.ids.nextRequestId();
    if (!client.listener.unserved) return this.#refuse('PolicyNotLoaded', DEFAULT_ERRORS);
    // The port has no Api any more (M1).
    client.shared.telemetry.metrics.count('sallyport_refused_connections_total', { reason: 'NoApi' });
    this.#end();
    client.reset();
  }

  #judge(active: ActiveListener): void {
    const { client, head } = this;
    this.active = active;
    const now = client.shared.clock();
    const peer = describePeer(client, active, now);
    this.requestId = nameRequest(this, peer);
    const view = createRequestView(this, active, peer);
    this.view = view;
    const { errorsBeforeMatch, reservedHeaders } = active.generation.snapshot;
    if (client.shared.state.overloaded) return this.#refuse('Overloaded', errorsBeforeMatch);
    if (isMisdirected(client.handshake, active.tls, head.host)) {
      return this.#refuse('MisdirectedRequest', errorsBeforeMatch);
    }
    if (head.path === '*') return this.#refuse('OperationNotFound', errorsBeforeMatch);
    const matched = matchRequest(active.plan.match, view, reservedHeaders, { now });
    if (matched.kind === 'refused') return this.#refuse(matched.match.reason, matched.match.errors);
    this.route = matched.match.route;
    const evidence = new RequestEvidence(client, active, { view, peer }, this);
    const verdict = judgeMatched(matched, view, reservedHeaders, evidence, { now });
    if (!(verdict instanceof Promise)) return this.#settle(verdict, active, view);
    this.#deadline = this.startedAt + DECISION_MS;
    verdict.then(
      late => this.resume(() => this.#settle(late, active, view)),
      (error: unknown) => this.resume(() => client.fault(error)),
    );
  }

  #settle(verdict: Verdict, active: ActiveListener, view: RequestView): void {
    this.tick();
    this.verdict = verdict;
    this.#counts = verdict.pendingCounts;
    this.decidedAt = this.at;
    this.#deadline = Infinity;
    if (verdict.verdict === 'Deny' || verdict.verdict === 'Respond') return this.#reply(verdict);
    this.#scheduleRejudge(verdict);
    forward(verdict, { exchange: this, active, view });
  }

  /** Called by forward() only, which has a Permit. */
  send(outgoing: Outgoing): void {
    this.#toApp = new AppExchange(this, outgoing, this.#takeRest());
    this.#toApp.connect();
  }

  /** What is here of the body, as it came. */
  #takeRest(): Buffer | undefined {
    const [held, rest] = [this.#holding?.release(), this.#rest];
    this.#rest = undefined;
    if (held === undefined || held.length === 0) return rest;
    return rest === undefined ? held : Buffer.concat([held, rest]);
  }

  holdBody(most: number): HeldBody | Promise<HeldBody> {
    if (this.body.complete) return NO_BODY;
    this.#holding ??= new Holding(this, this.#takeRest());
    return this.#holding.hold(most);
  }

  own(lease: Lease): void {
    if (this.#done) lease();
    else (this.#leases ??= []).push(lease);
  }

  /** Of the app's answer or our own, whichever comes first; `status` undefined: there is none. */
  settleCounts(status: number | undefined, headers: HeaderFields = NO_FIELDS): void {
    const counts = this.#counts;
    if (counts === undefined || counts.length === 0 || this.active === undefined) return;
    this.#counts = undefined;
    const answer = status === undefined ? undefined : { status, headers };
    settleCounts(counts, answer, this.active.generation.limits, this.client.shared.clock());
  }

  get proofs(): Proofs {
    return (this.#proofs ??= new Set());
  }

  /** The client was told to send its body before the app was asked. */
  get continued(): boolean {
    return this.#holding?.continued === true;
  }

  renewDecision(): void {
    this.#deadline = this.at + DECISION_MS;
  }

  /** Something came about by itself: the client may be gone by now, and what is thrown has no other catcher. */
  resume(continuation: () => void): void {
    if (this.#done) return;
    this.tick();
    try {
      continuation();
    } catch (error) {
      this.client.fault(error);
    }
  }

  tick(): void {
    this.at = this.client.shared.monotonic();
  }

  /** Fails after the permit: nothing is told of the app. */
  fail(reason: Reason): void {
    this.failure = reason;
    if (this.#toApp?.answering === true) return this.abort();
    this.#reply(this.#deny(reason, this.route?.pipeline.errors ?? DEFAULT_ERRORS));
  }

  /** Ends the request where no policy does, while it is decided. */
  refuse(reason: Reason): void {
    if (!this.#done) this.#refuse(reason, this.route?.pipeline.errors ?? DEFAULT_ERRORS);
  }

  /** Denies where no policy did. */
  #refuse(reason: Reason, errors: ErrorsPlan): void {
    const denial = this.#deny(reason, errors);
    this.verdict = denial;
    this.#reply(denial);
  }

  #deny(reason: Reason, errors: ErrorsPlan): Denial {
    const { route, view, verdict } = this;
    return refuse(reason, errors, {
      cors: verdict?.cors,
      now: this.client.shared.clock(),
      ...(view === undefined ? {} : { request: view }),
      ...(route === undefined ? {} : { route }),
    });
  }

  /** Sends an answer of our own. What is here of the body is dropped; if more is to come the connection ends. */
  #reply(verdict: Denial | Respond): void {
    this.#skipBody(this.#toApp?.drop() ?? this.#takeRest());
    const close = this.mustClose();
    const { status, bodyBytes } = this.writer.reply(verdict, close);
    this.settleCounts(status);
    this.status = status;
    // Nothing of the app's answer was sent.
    this.bytesOut = bodyBytes;
    this.complete(close);
  }

  #skipBody(rest: Buffer | undefined): void {
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
    if (this.#done) return;
    this.#end();
    this.client.finish(close, this.at, this);
  }

  get idleMs(): number {
    if (this.#denied) return DENIED_MS;
    return this.route?.api.app.timeouts.idle ?? this.client.listener.limits.clientIdle;
  }

  /** The answer is out, or was cut off `unsent` bytes before its end. */
  flushed(unsent: number, now: number): void {
    this.bytesOut = Math.max(0, this.bytesOut - unsent);
    recordRequest(this, now, unsent === 0);
  }

  /** However it ends. */
  #end(): void {
    this.#done = true;
    this.settleCounts(undefined);
    const leases = this.#leases;
    if (leases === undefined) return;
    this.#leases = undefined;
    for (const giveBack of leases) giveBack();
  }

  /** Ends a stream that has begun so that nobody takes it for whole. */
  abort(): void {
    if (this.#done) return;
    this.#end();
    this.#toApp?.drop();
    recordRequest(this, this.at, false);
    this.client.reset();
  }

  /** After an exception. True when the client has seen a part of an answer. */
  abandon(): boolean {
    this.#end();
    this.#toApp?.drop();
    return this.#toApp?.answering === true;
  }

  // --- what the client does meanwhile

  onClientData(chunk: Buffer): void {
    this.tick();
    if (this.#toApp !== undefined) return this.#toApp.onClientData(chunk);
    if (this.body.complete) return this.client.hold(chunk);
    if (this.#holding?.waiting === true) return this.#holding.onData(chunk);
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.client.pause();
  }

  /** The end of a body that has no framing of its own (HTTP/2). */
  onClientBodyEnd(trailers: ParsedFields): void {
    this.tick();
    this.body.ending = trailers;
    if (this.#toApp !== undefined) this.#toApp.onClientBodyEnd();
    else this.#holding?.onEnd();
  }

  onClientDrain(): void {
    this.#toApp?.onClientDrain();
  }

  onClientEnd(): void {
    this.tick();
    if (this.#toApp?.onClientEnd() === true) return;
    // A FIN after a whole request is no abort; within a body it is.
    if (!this.body.complete && this.#holding?.whole !== true) this.abort();
  }

  onClientClosed(): void {
    if (this.#done) return;
    this.tick();
    this.#end();
    this.#toApp?.drop();
    recordRequest(this, this.at, false);
  }

  // --- clocks, and open streams (M7)

  sweep(now: number): void {
    const [toApp, holding] = [this.#toApp, this.#holding];
    // Who waits for the client is not late with the decision.
    if (holding?.waiting === true) {
      if (holding.deadline <= now) this.resume(() => holding.expire());
      return;
    }
    if (this.#deadline <= now) {
      this.#deadline = Infinity;
      return this.resume(() => this.refuse('Overloaded'));
    }
    if (toApp === undefined) return;
    if (toApp.deadline <= now) this.resume(() => toApp.expire());
    else if (this.#isStream(toApp, now) && this.#isDue(now)) judgeAgain(this);
  }

  #isStream(toApp: AppExchange, now: number): boolean {
    return !this.#done && (toApp.isStream || now - this.startedAt >= STREAM_AFTER_MS);
  }

  #isDue(now: number): boolean {
    return !this.rejudging && (now >= this.#rejudgeAt || this.active !== this.client.listener.active);
  }

  #scheduleRejudge({ validUntil }: Permit): void {
    const untilInvalid = validUntil === undefined ? Infinity : Math.max(0, validUntil - this.client.shared.clock());
    this.#rejudgeAt = this.at + Math.min(REJUDGE_MS, untilInvalid);
  }

  /** The permit of a stream holds under the generation in force. */
  renew(permit: Permit, active: ActiveListener): void {
    this.tick();
    this.active = active;
    this.#scheduleRejudge(permit);
  }

  /** A stream is no longer permitted: it ends. */
  revoke(denial: Denial | Respond): void {
    if (this.#done) return;
    this.tick();
    this.verdict = denial;
    if (this.#toApp?.answering === true) return this.#endStream(this.#toApp, denial);
    this.#reply(denial);
  }

  /** In words, where the stream has a place for them behind what was sent (gRPC). */
  #endStream(toApp: AppExchange, denial: Denial | Respond): void {
    if (denial.verdict !== 'Deny' || !this.writer.deny(denial)) return this.abort();
    toApp.drop();
    this.#denied = true;
    this.complete(false);
  }
}
