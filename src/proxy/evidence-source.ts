/** Answers the evaluator's questions for one request from the adapters of its generation. */
import type { ObjectKey } from '../api/object.ts';
import type {
  CertificateEvidence,
  CertificateRequest,
  ConcurrencyRequest,
  DeviceEvidence,
  DeviceRequest,
  EvidenceSource,
  LeaseEvidence,
  QuotaRequest,
  RateEvidence,
  RateRequest,
  Refusal,
  RevocationRequest,
  SignatureEvidence,
  SignatureRequest,
  SubscriptionEvidence,
  SubscriptionRequest,
  TokenEvidence,
  TokenRequest,
  Undecided,
} from '../decision/evidence.ts';
import type { RequestView } from '../policy/request.ts';
import type { Peer } from '../trust/trust.ts';
import type { Proofs } from '../callers/signatures.ts';
import type { Lease } from './generation.ts';
import type { ActiveListener } from './listener.ts';
import type { JudgedClient } from './trusted-peers.ts';

type OrPromise<T> = T | Promise<T>;

/** What a decision has asked for, for the request's log line. */
export interface Meter {
  /** The time that look-ups took. */
  deviceAuthMs: number;
  /** The ClientTrust that was asked last. */
  certificateTrust: ObjectKey | undefined;
}

/** The body of the request, whole, or that it is too long. What cannot be had at all ends the request by itself. */
export type HeldBody = Uint8Array | 'too large';

/** What the request itself can give to a decision. */
export interface Asked extends Meter {
  /** By which signatures it was verified, while it is open. */
  readonly proofs: Proofs;
  /** Reads the body up to `most` bytes before anything is forwarded. */
  holdBody(most: number): OrPromise<HeldBody>;
  /** Gives it back when it ends, however it ends; at once if it has ended. */
  own(lease: Lease): void;
}

const TOO_LARGE: SignatureEvidence = { state: 'refused', reason: 'BodyTooLarge' };

const LEASED: LeaseEvidence = { leased: true };
const REFUSED: LeaseEvidence = { leased: false };

/** What is judged, and who sent it. */
export interface Subject {
  readonly view: RequestView;
  readonly peer: Peer;
}

export class RequestEvidence implements EvidenceSource {
  readonly #client: JudgedClient;
  readonly #active: ActiveListener;
  readonly #view: RequestView;
  readonly #peer: Peer;
  readonly #asked: Asked;

  constructor(client: JudgedClient, active: ActiveListener, subject: Subject, asked: Asked) {
    this.#client = client;
    this.#active = active;
    this.#view = subject.view;
    this.#peer = subject.peer;
    this.#asked = asked;
  }

  token(request: TokenRequest, now: number): OrPromise<TokenEvidence> {
    return this.#active.generation.tokens.verify(request, now);
  }

  certificate(request: CertificateRequest, now: number): OrPromise<CertificateEvidence> {
    this.#asked.certificateTrust = request.step.trust;
    return this.#active.generation.trust.judgeRequest(request.step.trust, this.#view.headers, this.#peer, now);
  }

  binding(): string | undefined {
    return this.#client.handshake?.binding;
  }

  revocation(request: RevocationRequest): OrPromise<{ readonly state: 'clear' } | Refusal | Undecided> {
    return this.#active.generation.devices.revocation(request);
  }

  device(request: DeviceRequest, now: number): OrPromise<DeviceEvidence> {
    const answer = this.#active.generation.devices.device(request, now);
    return answer instanceof Promise ? this.#timed(answer) : answer;
  }

  async #timed(answer: Promise<DeviceEvidence>): Promise<DeviceEvidence> {
    const { monotonic } = this.#client.shared;
    const since = monotonic();
    try {
      return await answer;
    } finally {
      this.#asked.deviceAuthMs += monotonic() - since;
    }
  }

  subscription(request: SubscriptionRequest): SubscriptionEvidence {
    return this.#active.generation.callers.subscription(request);
  }

  signature(request: SignatureRequest, now: number): OrPromise<SignatureEvidence> {
    const { callers } = this.#active.generation;
    const { proofs } = this.#asked;
    if (request.again) return callers.verifyAgain(request, proofs);
    const held = this.#asked.holdBody(request.step.maxBody);
    const verify = (body: HeldBody): SignatureEvidence =>
      body === 'too large' ? TOO_LARGE : callers.verify(request, body, now, proofs);
    return held instanceof Promise ? held.then(verify) : verify(held);
  }

  rate(request: RateRequest, now: number): OrPromise<RateEvidence> {
    return this.#active.generation.limits.rate(request, now);
  }

  quota(request: QuotaRequest, now: number): OrPromise<RateEvidence> {
    return this.#active.generation.limits.quota(request, now);
  }

  concurrency(request: ConcurrencyRequest): OrPromise<LeaseEvidence> {
    const lease = this.#active.generation.limits.acquire(request);
    return lease instanceof Promise ? lease.then(late => this.#own(late)) : this.#own(lease);
  }

  #own(lease: Lease | undefined): LeaseEvidence {
    if (lease === undefined) return REFUSED;
    this.#asked.own(lease);
    return LEASED;
  }
}
