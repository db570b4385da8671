/** A call that gave no answer. Carries stable codes and the host only: never a URL's path or query, never a body. */

export type FetchErrorCode =
  'CONNECT' | 'TLS' | 'TIMEOUT' | 'TOO_LARGE' | 'REDIRECT' | 'FORBIDDEN_ADDRESS' | 'PROTOCOL' | 'CLOSED';

const SENTENCES: Record<FetchErrorCode, string> = {
  CONNECT: 'could not connect',
  TLS: 'the TLS handshake failed',
  TIMEOUT: 'no whole answer in time',
  TOO_LARGE: 'the answer is too large',
  REDIRECT: 'the answer redirects to where it may not',
  FORBIDDEN_ADDRESS: 'the address is link-local, a metadata service, unspecified or multicast',
  PROTOCOL: 'the exchange broke HTTP',
  CLOSED: 'the fetcher was closed',
};

export class FetchError extends Error {
  override readonly name = 'FetchError';
  readonly code: FetchErrorCode;
  /** `host:port`; empty when the URL could not be read. */
  readonly host: string;
  /** The system's, OpenSSL's or undici's own code, such as ECONNREFUSED or CERT_HAS_EXPIRED. */
  readonly detail?: string;

  constructor(code: FetchErrorCode, host: string, detail?: string) {
    super(`${host === '' ? '' : `${host}: `}${SENTENCES[code]}${detail === undefined ? '' : ` (${detail})`}`);
    this.code = code;
    this.host = host;
    if (detail !== undefined) this.detail = detail;
  }
}

/** The `code` of an error of Node or undici, when it is one that may be shown. */
export function findErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const { code } = error;
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined;
}
