/** An answer of the API server that is no success, or none at all. Carries no token and no body of an object. */

export interface KubeErrorDetails {
  /** HTTP status; 0: no answer (connection, timeout, protocol). */
  readonly status: number;
  /** `reason` of the server’s Status object (`NotFound`, `Conflict`, `Expired`), or one of ours for status 0. */
  readonly reason: string;
  readonly message: string;
  /** From `Retry-After` or the Status object’s `details.retryAfterSeconds`. */
  readonly retryAfterMs?: number;
  /** Code of the system or of Node, such as ECONNREFUSED or CERT_HAS_EXPIRED. */
  readonly code?: string;
}

/** Reasons of status 0. */
export type LocalReason = 'ConnectFailed' | 'ConnectionLost' | 'Timeout' | 'TooLarge' | 'Protocol' | 'Closed';

export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  readonly code: string | undefined;

  constructor({ status, reason, message, retryAfterMs, code }: KubeErrorDetails) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.code = code;
  }
}

/** Status 0. */
export function createLocalError(reason: LocalReason, message: string, cause?: unknown): KubeError {
  const code = findCode(cause);
  const text = code === undefined ? message : `${message} (${code})`;
  return new KubeError({ status: 0, reason, message: text, ...(code === undefined ? {} : { code }) });
}

/** The `code` of an error of Node or OpenSSL, when it is one that may be shown. */
export function findCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const { code } = error;
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined;
}

/** 410 in either form: the resource version or continue token is too old. */
export const isGone = (error: unknown): boolean =>
  error instanceof KubeError && (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone');

export const isNotFound = (error: unknown): boolean => error instanceof KubeError && error.status === 404;
