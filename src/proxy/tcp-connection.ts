/**
 * One connection to a port of `protocol: TCP` (M6): judged once by what its handshake and address say, passed on unread, and
 * judged again while it is open (M7). A denial is a reset: there are no words for it.
 */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import { judge } from '../decision/judge.ts';
import { refuse } from '../decision/refuse.ts';
import type { Denial, Permit, Respond, Verdict } from '../decision/verdict.ts';
import { createFieldList } from '../http/fields.ts';
import type { Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { nameStep } from '../telemetry/requests.ts';
import { AcceptedClient, type ClientSocket } from './accepted-client.ts';
import { RequestEvidence } from './evidence-source.ts';
import type { OpenConnection } from './ingress.ts';
import type { Lease } from './generation.ts';
import type { ActiveListener, Listener } from './listener.ts';
import { judgeAgain, REJUDGE_MS, type Rejudged } from './rejudge.ts';
import { resetSocket } from './reset-socket.ts';
import type { Shared } from './shared.ts';
import type { Sweepable } from './sweep.ts';
import { openTcpStream, type TcpStream } from './tcp-stream.ts';
import { describePeer } from './trusted-peers.ts';

/** As for a request: no decision takes longer than the look-ups that it asks for. */
const DECISION_MS = 120_000;
const NO_FIELDS = createFieldList();

export class TcpConnection extends AcceptedClient implements Rejudged, Sweepable, OpenConnection {
  readonly view: RequestView;
  rejudging = false;
  deviceAuthMs = 0;
  certificateTrust: ObjectKey | undefined;
  readonly proofs = new Set<string>();
  #active: ActiveListener;
  readonly #requestId: string;
  readonly #startedAt: number;
  #decidedAt = 0;
  #rejudgeAt = Infinity;
  #stream: TcpStream | undefined;
  #verdict: Verdict | undefined;
  #failure: Reason | undefined;
  #over = false;
  readonly #leases: Lease[] = [];

  constructor(client: ClientSocket, listener: Listener, active: ActiveListener, shared: Shared) {
    super(client, listener, shared);
    this.#active = active;
    this.#requestId = shared.ids.nextRequestId();
    this.#startedAt = shared.monotonic();
    this.view = createTcpView(this.peer, this.handshake !== undefined);
    client.socket.pause();
    client.socket.on('error', () => undefined);
    client.socket.on('close', () => this.#onClose());
    shared.sweep.add(this);
  }

  /** What the connection is judged as when it is judged again. */
  get client(): this {
    return this;
  }

  /** Bytes are passed on unread: no step of M6 asks for them. */
  holdBody(): 'too large' {
    return 'too large';
  }

  own(lease: Lease): void {
    if (this.#over) lease();
    else this.#leases.push(lease);
  }

  get closed(): boolean {
    return this.#over;
  }

  /** Called once, when the listener knows the connection. May reset it, so never from within a handshake. */
  begin(): void {
    if (this.#over) return;
    const active = this.#active;
    const { clock, state } = this.shared;
    const { view } = this;
    try {
      const match = active.plan.match(view.method, view.host, view.path);
      if (match.kind === 'refused') return this.#settle(refuse(match.reason, match.errors));
      if (state.overloaded) return this.#settle(refuse('Overloaded', match.route.pipeline.errors));
      const now = clock();
      const evidence = new RequestEvidence(this, active, { view, peer: describePeer(this, active, now) }, this);
      const { reservedHeaders } = active.generation.snapshot;
      const verdict = judge(match.route, match.params, view, reservedHeaders, evidence, { now });
      if (!(verdict instanceof Promise)) return this.#settle(verdict);
      verdict.then(
        late => this.#settle(late),
        (error: unknown) => this.fault(error),
      );
    } catch (error) {
      this.fault(error);
    }
  }

  #settle(verdict: Verdict): void {
    if (this.#over) return;
    this.#verdict = verdict;
    this.#decidedAt = this.shared.monotonic();
    if (verdict.verdict === 'Deny' || verdict.verdict === 'Respond') return this.reset();
    this.#scheduleRejudge(verdict);
    try {
      this.#forward(verdict);
    } catch (error) {
      this.fault(error);
    }
  }

  /** The only way to the app: takes a Permit, which only decide() makes. */
  #forward({ route: { api, pipeline } }: Permit): void {
    const { pools, dialling, sweep, monotonic } = this.shared;
    const { generation, plan } = this.#active;
    const reached = pools.find(generation, api.app, plan.port, this.dialled, pipeline.certificateCredential, 'HTTP1');
    if ('reason' in reached) {
      this.#failure = reached.reason;
      return this.reset();
    }
    this.#stream = openTcpStream({
      client: this.socket,
      raw: this.raw,
      target: reached.target,
      dialling: { ...dialling, opaque: true },
      sweep,
      monotonic,
      idleMs: reached.target.timeouts.idle,
      onFailed: reason => {
        this.#failure = reason;
      },
    });
  }

  /** It has no requests between which it could end. */
  get heldBytes(): number {
    return this.socket.writableLength;
  }

  closeIdle(): void {
    return undefined;
  }

  reset(): void {
    if (this.#stream !== undefined) this.#stream.reset();
    if (!this.raw.destroyed) resetSocket(this.raw);
    this.socket.destroy();
  }

  fault(error: unknown): void {
    const { log } = this.shared.telemetry;
    log.error({ error: error instanceof Error ? error.name : typeof error }, 'connection failed');
    this.reset();
  }

  sweep(now: number): void {
    if (this.#decidedAt === 0) {
      if (now - this.#startedAt >= DECISION_MS) this.reset();
      return;
    }
    if (this.rejudging || (now < this.#rejudgeAt && this.#active === this.listener.active)) return;
    // Another protocol is spoken here from now on.
    if (this.listener.active?.plan.protocol !== 'TCP') this.reset();
    else judgeAgain(this);
  }

  renew(permit: Permit, active: ActiveListener): void {
    this.#active = active;
    this.#scheduleRejudge(permit);
  }

  revoke(denial: Denial | Respond): void {
    this.#verdict = denial;
    this.reset();
  }

  #scheduleRejudge({ validUntil }: Permit): void {
    const { clock, monotonic } = this.shared;
    const untilInvalid = validUntil === undefined ? Infinity : Math.max(0, validUntil - clock());
    this.#rejudgeAt = monotonic() + Math.min(REJUDGE_MS, untilInvalid);
  }

  #onClose(): void {
    if (this.#over) return;
    this.#over = true;
    for (const giveBack of this.#leases) giveBack();
    this.#stream?.reset();
    this.shared.sweep.remove(this);
    this.listener.forget(this);
    this.#record();
  }

  /** One line for a connection, when it has ended. Without a verdict the client left before there was one. */
  #record(): void {
    const verdict = this.#verdict;
    if (verdict === undefined) return;
    const { telemetry, monotonic } = this.shared;
    const denied = verdict.verdict === 'Deny' ? verdict : undefined;
    const reason = this.#failure ?? denied?.reason;
    const route: Route | undefined = verdict.route;
    const { principal } = verdict;
    const certificate = principal?.certificate?.sha256;
    telemetry.request({
      requestId: this.#requestId,
      method: 'TCP',
      api: route?.api.key ?? this.#active.plan.apis[0]?.key ?? '',
      operation: '',
      template: '',
      status: 0,
      verdict: verdict.verdict,
      auditDenials: verdict.auditDenials,
      totalMs: monotonic() - this.#startedAt,
      decideMs: this.#decidedAt - this.#startedAt,
      bytesIn: this.#stream?.bytesIn ?? 0,
      bytesOut: this.#stream?.bytesOut ?? 0,
      ...(reason === undefined ? {} : { reason }),
      ...(denied?.label === undefined ? {} : { step: nameStep(denied.label) }),
      ...(denied?.origin === undefined ? {} : { policy: denied.origin.key }),
      ...(denied?.detail === undefined ? {} : { detail: denied.detail }),
      ...(principal === undefined ? {} : { principalKind: principal.kind }),
      ...(certificate === undefined ? {} : { certificateSha256: certificate }),
    });
  }
}

/** A connection as the evaluator sees it: a request without words. */
function createTcpView(sourceIp: string, secure: boolean): RequestView {
  return {
    method: '',
    path: '/',
    query: '',
    host: '',
    scheme: secure ? 'https' : 'http',
    headers: NO_FIELDS,
    sourceIp,
    size: -1,
    fromTrustedPeer: false,
  };
}
