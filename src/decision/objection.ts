/** Why one step does not let a request pass. A step that has none passed. */
import { REASONS, type Reason } from '../api/reasons.ts';
import { ExpressionError } from '../policy/expression.ts';
import type { Challenge } from './verdict.ts';

export interface Objection {
  readonly reason: Reason;
  readonly challenges: readonly Challenge[];
  /** An authorize rule's own words. */
  readonly message?: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** For logs and the trace: names of the policy and sorts, never values of the request. */
  readonly detail?: string;
}

const NO_CHALLENGES: readonly Challenge[] = [];
const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({});

export const BEARER: Challenge = { scheme: 'Bearer', parameters: NO_PARAMETERS };
export const CLIENT_CERTIFICATE: Challenge = { scheme: 'ClientCertificate', parameters: NO_PARAMETERS };
export const API_KEY: Challenge = { scheme: 'ApiKey', parameters: NO_PARAMETERS };
export const SIGNATURE: Challenge = { scheme: 'Signature', parameters: NO_PARAMETERS };
const BARE_SIGNATURE: readonly Challenge[] = [SIGNATURE];
const BARE_API_KEY: readonly Challenge[] = [API_KEY];
const BARE_BEARER: readonly Challenge[] = [BEARER];
const BARE_CERTIFICATE: readonly Challenge[] = [CLIENT_CERTIFICATE];
const INVALID_TOKEN: readonly Challenge[] = [{ scheme: 'Bearer', parameters: { error: 'invalid_token' } }];
const INVALID_REQUEST: readonly Challenge[] = [{ scheme: 'Bearer', parameters: { error: 'invalid_request' } }];

/** The challenges that a reason calls for by itself: RFC 6750 section 3.1 for tokens, RFC 9110 section 11.6.1 for a 401. */
export function challengesFor(reason: Reason): readonly Challenge[] {
  if (reason === 'TokenNotPresent') return BARE_BEARER;
  if (reason === 'DuplicateCredential') return INVALID_REQUEST;
  if (reason === 'ClientCertificateNotPresent') return BARE_CERTIFICATE;
  if (reason === 'SubscriptionKeyNotFound' || reason === 'SubscriptionKeyInvalid') return BARE_API_KEY;
  if (reason.startsWith('Signature')) return BARE_SIGNATURE;
  if (reason.startsWith('Token') && REASONS[reason].status === 401) return INVALID_TOKEN;
  return NO_CHALLENGES;
}

export function object(reason: Reason, detail?: string): Objection {
  const challenges = challengesFor(reason);
  return detail === undefined ? { reason, challenges } : { reason, challenges, detail };
}

/** RFC 6750 section 3.1: the scopes that would do, as far as they may stand in the attribute. */
export function objectToScope(required: readonly string[]): Objection {
  const scope = required.filter(value => /^[\x21\x23-\x5B\x5D-\x7E]+$/.test(value)).join(' ');
  const parameters: Record<string, string> = { error: 'insufficient_scope' };
  if (scope !== '') parameters['scope'] = scope;
  return { reason: 'InsufficientScope', challenges: [{ scheme: 'Bearer', parameters }] };
}

/** Rule E8 for everything but rules of authorize and deviceAuth. Errors that are not the expression's own go on. */
export function objectToFailure(error: unknown, what: string): Objection {
  if (error instanceof ExpressionError) return object('ExpressionFailed', `${what} could not be evaluated`);
  throw error;
}

/** Whether the objection means "could not decide" (503) rather than "no". */
export const isUndecided = (objection: Objection): boolean => REASONS[objection.reason].status === 503;
