/** What credentials of the header sorts have in common. */
import type { ObjectKey } from '../api/object.ts';

export type HeaderSort = 'sharedAccessSignature' | 'basic' | 'header' | 'oauth2ClientCredentials' | 'signedContext';

/** A header that is sent to the back end, and to nobody else. The value never reaches log, status or client. */
export interface PresentedHeader {
  readonly name: string;
  readonly value: string;
}

/** The verified caller, as far as a signed context tells the app of it. */
export interface Caller {
  readonly kind: string;
  readonly id: string;
  /** Of a token. */
  readonly issuer?: string | undefined;
  /** SHA-256 of the certificate, hex. */
  readonly certificateSha256?: string | undefined;
}

/** For whom something is presented. */
export interface Occasion {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly caller?: Caller | undefined;
  /** `namespace/name` of the Api, and its operation. */
  readonly api?: ObjectKey;
  readonly operation?: string | undefined;
}

/** Why nothing can be presented; a stable code for log and status. */
export type CredentialProblem =
  | 'MISSING'
  | 'BAD_VALUE'
  | 'BAD_KEY'
  | 'HOST_NOT_ALLOWED'
  /** Of a token endpoint: a code of outbound/, HTTP_<status>, BAD_ANSWER or TRUST_MISSING. */
  | (string & { readonly code?: never });

export interface HeaderState {
  readonly problem?: CredentialProblem;
  /** Until when what is held may be presented, milliseconds since the epoch. */
  readonly validUntil?: number;
}

export interface HeaderCredential {
  readonly sort: HeaderSort;
  /** Undefined: it cannot be had now (503 CredentialUnavailable). A promise never rejects. */
  present(occasion: Occasion): PresentedHeader | undefined | Promise<PresentedHeader | undefined>;
  /** The back end refused what was presented (401): what can be had anew is dropped. */
  refused?(now: number): void;
  state(now: number): HeaderState;
  close?(): void;
}
