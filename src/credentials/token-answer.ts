/** The answer of a token endpoint (RFC 6749 section 5.1), read strictly: what is in it goes into a header. */
import type { FetchAnswer } from '../outbound/fetcher.ts';

export interface Granted {
  readonly accessToken: string;
  readonly lifetimeMs: number;
}

const TOKEN = /^[\x21-\x7e]{1,16384}$/;
/** Where the server does not say: short enough to be right for most. */
const DEFAULT_LIFETIME_S = 300;
const LONGEST_LIFETIME_S = 7 * 86_400;

/** The token, or a stable code. */
export function readTokenAnswer({ status, body }: FetchAnswer): Granted | string {
  if (status !== 200) return `HTTP_${status}`;
  const members = readObject(body);
  const accessToken = members?.get('access_token');
  const type = members?.get('token_type');
  const lifetime = readLifetime(members?.get('expires_in'));
  if (typeof accessToken !== 'string' || !TOKEN.test(accessToken) || lifetime === undefined) return 'BAD_ANSWER';
  // RFC 6749 section 7.1: a token of a type that one does not know must not be used.
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return 'BAD_ANSWER';
  return { accessToken, lifetimeMs: lifetime * 1000 };
}

function readObject(body: Uint8Array): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return new Map(Object.entries(value));
  } catch {
    return undefined;
  }
}

/** Seconds; some servers write the number as text. */
function readLifetime(value: unknown): number | undefined {
  if (value === undefined || value === null) return DEFAULT_LIFETIME_S;
  const seconds = typeof value === 'string' && /^[0-9]{1,10}$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= 0) return undefined;
  return Math.min(seconds, LONGEST_LIFETIME_S);
}
