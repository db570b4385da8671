/** What decide() answers. Only decide() makes a Permit, and only a Permit opens the way upstream (proxy/forward.ts). */
import type { Reason } from '../api/reasons.ts';
import type { ErrorsPlan, Origin, Route } from '../policy/model.ts';
import type { StepHead } from '../policy/steps.ts';
import type { Bindings } from '../policy/expression.ts';
import type { RequestView } from '../policy/request.ts';
import type { PendingCount } from './count-step.ts';
import type { CertificateFacts } from './evidence.ts';

export interface Principal {
  readonly kind: 'Jwt' | 'ClientCertificate' | 'Subscription' | 'HmacSignature' | 'Anonymous';
  /** Subject of the token, CN / SAN of the certificate, name of the subscription, policy and step of the signature; for expressions, never logged. */
  readonly id: string;
  /** For the log line: issuer of the token, SHA-256 of the certificate. */
  readonly issuer?: string;
  readonly certificate?: CertificateFacts;
}

/** How the forwarded request differs from the received one, beyond what the proxy removes on every route. */
export interface RequestEdits {
  /** By lower-case name: the values to send instead of whatever was received; empty: the header is removed. */
  readonly headers: ReadonlyMap<string, { readonly name: string; readonly values: readonly string[] }>;
  /** The query to send; absent: as received. */
  readonly query?: string;
}

export interface AuditDenial {
  readonly origin: Origin;
  /** `policy/step`. */
  readonly label: string;
  readonly reason: Reason;
  /** See Denial. */
  readonly detail?: string;
}

interface Judged {
  readonly route: Route;
  readonly principal?: Principal | undefined;
  readonly auditDenials: readonly AuditDenial[];
  /** RateLimit and RateLimit-Policy headers of rateLimit steps with headers: true. */
  readonly responseHeaders: readonly HeaderLine[];
  /** What is counted when the answer is known (P7 `countWhen`). */
  readonly pendingCounts?: readonly PendingCount[] | undefined;
  /** Once a `cors` step has run: what the answer says to pages of other origins, whoever makes it (S3). */
  readonly cors?: CorsAnswer | undefined;
}

export interface CorsAnswer {
  /** Empty: they may read nothing. */
  readonly lines: readonly HeaderLine[];
  /** The answer is not the same for all origins. */
  readonly varies: boolean;
}

declare const permitted: unique symbol;

export interface Permit extends Judged {
  readonly verdict: 'Permit' | 'AuditPermit';
  readonly [permitted]: true;
  readonly edits: RequestEdits;
  readonly request: RequestView;
  /** What the expressions of a response step see, by rules E5 and E7; `response` is the app's answer. */
  readonly bindingsOf: (step: StepHead, response: Readonly<Record<string, unknown>>) => Bindings;
  /** The earliest time at which an open stream must be judged again (exp, notAfter); absent: none (M7). */
  readonly validUntil?: number | undefined;
}

/** A step answered in the app's place (P5); nothing reaches the app and the default stance does not apply. */
export interface Respond extends Judged {
  readonly verdict: 'Respond';
  readonly origin?: Origin | undefined;
  readonly label: string;
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: string;
}

/** Challenges of a 401, in written order (E2). */
export type ChallengeScheme = 'Bearer' | 'ClientCertificate' | 'ApiKey' | 'Signature';

export interface Challenge {
  readonly scheme: ChallengeScheme;
  /** Besides realm: RFC 6750 section 3 (error, scope). */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface HeaderLine {
  readonly name: string;
  readonly value: string;
}

export interface Denial {
  readonly verdict: 'Deny';
  readonly reason: Reason;
  readonly errors: ErrorsPlan;
  /** The policy and step that denied; absent where no policy did (400, 404, NoPolicyMatches …). */
  readonly origin?: Origin | undefined;
  readonly label?: string | undefined;
  /** An authorize rule's message, told to the client. */
  readonly message?: string | undefined;
  /** What within the step denied, by names of the policy: a rule, a claim, a field. For logs; never a value of a request. */
  readonly detail?: string | undefined;
  readonly challenges: readonly Challenge[];
  /** `errors.headers`, rendered for this request; one that could not be rendered is left out. */
  readonly errorHeaders: readonly HeaderLine[];
  /** Seconds; 429 and 503. */
  readonly retryAfter?: number | undefined;
  readonly route?: Route | undefined;
  readonly principal?: Principal | undefined;
  readonly auditDenials: readonly AuditDenial[];
  readonly responseHeaders: readonly HeaderLine[];
  /** What is counted when the answer is known (P7 `countWhen`). */
  readonly pendingCounts?: readonly PendingCount[] | undefined;
  readonly cors?: CorsAnswer | undefined;
}

export type Verdict = Permit | Respond | Denial;
