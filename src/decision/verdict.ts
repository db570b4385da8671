/** What decide() answers. Only decide() makes a Permit, and only a Permit opens the way upstream (proxy/forward.ts). */
import type { Reason } from '../api/reasons.ts';
import type { ErrorsPlan, Origin, Route } from '../policy/model.ts';
import type { CertificateFacts } from './evidence.ts';

export interface Principal {
  readonly kind: 'Jwt' | 'ClientCertificate' | 'Anonymous';
  /** Subject of the token or CN / SAN of the certificate; for expressions, never logged. */
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
}

interface Judged {
  readonly route: Route;
  readonly principal?: Principal;
  readonly auditDenials: readonly AuditDenial[];
  /** RateLimit and RateLimit-Policy headers of rateLimit steps with headers: true. */
  readonly responseHeaders: readonly { readonly name: string; readonly value: string }[];
}

declare const permitted: unique symbol;

export interface Permit extends Judged {
  readonly verdict: 'Permit' | 'AuditPermit';
  readonly [permitted]: true;
  readonly edits: RequestEdits;
  /** Evaluates the response part for an answer of the app; see response.ts. */
  readonly bindings: Readonly<Record<string, unknown>>;
  /** The earliest time at which an open stream must be judged again (exp, notAfter); absent: none (M7). */
  readonly validUntil?: number;
}

/** A step answered in the app's place (P5); nothing reaches the app and the default stance does not apply. */
export interface Respond extends Judged {
  readonly verdict: 'Respond';
  readonly label: string;
  readonly status: number;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: string;
}

/** Challenges of a 401, in written order (E2). */
export type ChallengeScheme = 'Bearer' | 'ClientCertificate' | 'ApiKey' | 'Signature';

export interface Denial {
  readonly verdict: 'Deny';
  readonly reason: Reason;
  readonly errors: ErrorsPlan;
  /** The policy and step that denied; absent where no policy did (400, 404, NoPolicyMatches …). */
  readonly origin?: Origin;
  readonly label?: string;
  /** An authorize rule's message, told to the client. */
  readonly message?: string;
  readonly challenges: readonly {
    readonly scheme: ChallengeScheme;
    readonly parameters: Readonly<Record<string, string>>;
  }[];
  /** Seconds; 429 and 503. */
  readonly retryAfter?: number;
  readonly route?: Route;
  readonly principal?: Principal;
  readonly auditDenials: readonly AuditDenial[];
  readonly responseHeaders: readonly { readonly name: string; readonly value: string }[];
}

export type Verdict = Permit | Respond | Denial;
