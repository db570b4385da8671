/**
 * decision: floor 1, pure. (pipeline, request, evidence, now) → Permit | Denial, plus the trace that explain prints.
 *
 * The evaluator asks for evidence as it needs it: it yields an EvidenceRequest and is resumed with the answer. Live, an
 * EvidenceSource answers from adapters (often at once, from a cache); offline, `explain` and tests answer from what they
 * were given. Both run the same evaluator.
 */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { CertificateFacts } from '../x509/facts.ts';
import type { StatedSignature } from './signature-header.ts';
import type { SubscriptionPlan } from '../policy/model.ts';
import type {
  CompiledJwt,
  CompiledCertificate,
  CompiledDeviceAuth,
  CompiledConcurrency,
  CompiledQuota,
  CompiledRateLimit,
  CompiledSignature,
  CompiledSubscription,
} from '../policy/steps.ts';

/** A claim set that was verified; arrays, numbers and nested objects as in the JSON. Null prototype. */
export type Claims = Readonly<Record<string, unknown>>;

/** A token whose signature and issuer were verified. Times, audience and claims are judged by the evaluator. */
export interface VerifiedToken {
  readonly issuerKey: ObjectKey;
  readonly issuer: string;
  readonly claims: Claims;
  /** Milliseconds since the epoch by the token's own words; absent when the token has none. */
  readonly expiresAt?: number;
  readonly notBefore?: number;
  readonly issuedAt?: number;
  /** From the TokenIssuer. */
  readonly clockSkewMs: number;
  readonly requireExpiration: boolean;
  readonly maxTokenAgeMs?: number;
  /**
   * Scratch space of the evaluator: what it found for a step, so that the same token at the same step costs one look-up.
   * Keyed by the compiled step's identity, which ends with its snapshot. Holds no verdict that depends on the time.
   */
  readonly memo: WeakMap<CompiledJwt, unknown>;
}

export type { CertificateFacts };

export type Refusal = { readonly state: 'refused'; readonly reason: Reason };
/** Could not be decided: 503 with this reason, never "unauthorised". */
export type Undecided = { readonly state: 'undecided'; readonly reason: Reason };
export type Absent = { readonly state: 'absent' };

export type TokenEvidence = { readonly state: 'verified'; readonly token: VerifiedToken } | Refusal | Undecided;
/** `notAfter` and revocation are judged for `now` by whoever answers. */
export type CertificateEvidence =
  { readonly state: 'verified'; readonly certificate: CertificateFacts } | Absent | Refusal | Undecided;
/** The service's answer, or a cached one. `body` is the JSON object, null-prototype, at most 64 KiB and 32 deep. */
export type DeviceEvidence =
  { readonly state: 'answered'; readonly status: number; readonly body: Claims } | Refusal | Undecided;
/** `remaining` calls, and seconds until one more is admitted (`retryAfter`, when refused) and until all are (`reset`). */
export interface RateEvidence {
  readonly admitted: boolean;
  /** Calls of a whole period, as they count here. */
  readonly limit: number;
  readonly remaining: number;
  readonly retryAfter: number;
  readonly reset: number;
}

/** `token` is the raw text of one location; the evaluator has already refused duplicates. */
export interface TokenRequest {
  readonly type: 'token';
  readonly step: CompiledJwt;
  readonly token: string;
}
export interface CertificateRequest {
  readonly type: 'certificate';
  readonly step: CompiledCertificate;
}
/** The SHA-256 (base64url) of the handshake's certificate, verified or not, for P1 boundToCertificate. */
export interface BindingRequest {
  readonly type: 'binding';
}
export interface DeviceRequest {
  readonly type: 'device';
  readonly step: CompiledDeviceAuth;
  readonly certificate: CertificateFacts;
  readonly deviceId: string;
  /** SHA-256 of the certificate, of fixed length, and the id after it: what an answer is remembered by. */
  readonly key: string;
  readonly certificateIdentity?: string;
}
export interface SubscriptionRequest {
  readonly type: 'subscription';
  readonly step: CompiledSubscription;
  /** The Api that is called. */
  readonly api: ObjectKey;
  /** As it was sent: characters of a query are text, those of a header are bytes. */
  readonly key: string;
  readonly isText: boolean;
}
/** What a request says of its signature; the body is whoever answers' to get. */
export interface SignatureRequest extends StatedSignature {
  readonly type: 'signature';
  readonly step: CompiledSignature;
  /** An open stream: whether what it was verified by still holds. */
  readonly again: boolean;
}
/**
 * `admit` counts a call that is admitted. `look` counts nothing. `count` counts a call that was admitted by looking,
 * whatever has happened since.
 */
export type CountMode = 'admit' | 'look' | 'count';

export interface RateRequest {
  readonly type: 'rate';
  readonly step: CompiledRateLimit;
  readonly key: string;
  readonly mode: CountMode;
}
export interface QuotaRequest {
  readonly type: 'quota';
  readonly step: CompiledQuota;
  readonly key: string;
  readonly mode: CountMode;
}
/** One more that is open, until whoever asked ends. */
export interface ConcurrencyRequest {
  readonly type: 'concurrency';
  readonly step: CompiledConcurrency;
  readonly key: string;
}
export type LeaseEvidence = { readonly leased: boolean };
/** P3 asks for the revocation list first, before the device id is looked at. */
export interface RevocationRequest {
  readonly type: 'revocation';
  readonly step: CompiledDeviceAuth;
  readonly certificate: CertificateFacts;
}
export type EvidenceRequest =
  | TokenRequest
  | CertificateRequest
  | BindingRequest
  | DeviceRequest
  | RevocationRequest
  | SubscriptionRequest
  | SignatureRequest
  | RateRequest
  | QuotaRequest
  | ConcurrencyRequest;

/** `seen`: the very message was seen before. Refused: SignatureInvalid, BodyTooLarge. */
export type SignatureEvidence = { readonly state: 'valid'; readonly seen: boolean } | Refusal | Undecided;

/** Those that have the key, in the order of their names; whether one of them is good is for the evaluator to say. */
export type SubscriptionEvidence = { readonly state: 'found'; readonly plans: readonly SubscriptionPlan[] } | Undecided;

export type RevocationEvidence = { readonly state: 'clear' } | Refusal | Undecided;

/**
 * What the evaluator is resumed with. `Undecided` answers any request; a binding's answer is its text, or undefined when
 * there is no certificate. An answer of another sort than the request's counts as undecided.
 */
export type Evidence =
  | TokenEvidence
  | CertificateEvidence
  | DeviceEvidence
  | RevocationEvidence
  | SubscriptionEvidence
  | SignatureEvidence
  | RateEvidence
  | LeaseEvidence
  | string
  | undefined;

type OrPromise<T> = T | Promise<T>;

/**
 * Answers evidence requests for one request and one snapshot. An answer that is at hand is returned at once, not as a
 * promise: the common request is decided without leaving the stack. A thrown error or rejection means "could not decide".
 */
export interface EvidenceSource {
  token(request: TokenRequest, now: number): OrPromise<TokenEvidence>;
  certificate(request: CertificateRequest, now: number): OrPromise<CertificateEvidence>;
  binding(): string | undefined;
  revocation(request: RevocationRequest): OrPromise<RevocationEvidence>;
  device(request: DeviceRequest, now: number): OrPromise<DeviceEvidence>;
  subscription(request: SubscriptionRequest): SubscriptionEvidence;
  signature(request: SignatureRequest, now: number): OrPromise<SignatureEvidence>;
  rate(request: RateRequest, now: number): OrPromise<RateEvidence>;
  quota(request: QuotaRequest, now: number): OrPromise<RateEvidence>;
  concurrency(request: ConcurrencyRequest, now: number): OrPromise<LeaseEvidence>;
}
