/** One try at an authentication step or an alternative of anyOf. */
import type { CertificateFacts } from './evidence.ts';
import type { Objection } from './objection.ts';
import type { AcceptedToken } from './token-claims.ts';
import type { Principal } from './verdict.ts';

export interface Passed {
  readonly principal: Principal;
  readonly token?: AcceptedToken;
  readonly certificate?: CertificateFacts;
  /** The subscription’s name. */
  readonly subscription?: string;
  /** Milliseconds since the epoch at which a stream that it opened must be judged again (M7). */
  readonly validUntil?: number;
}

export type Attempt =
  | { readonly passed: Passed; readonly objection?: undefined }
  /** `presented`: the client sent this sort of credential (E3). */
  | { readonly passed?: undefined; readonly objection: Objection; readonly presented: boolean };

export const failed = (objection: Objection, presented: boolean): Attempt => ({ objection, presented });
