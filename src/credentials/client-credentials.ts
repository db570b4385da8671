/**
 * `oauth2ClientCredentials` (RFC 6749 section 4.4): one request to the token endpoint in flight, a token that is asked for
 * anew while the last one still serves, and an outage that is felt only when that one has expired.
 */
import type { OAuthSpec } from '../api/kinds/credential.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { Fetcher, FetchOptions } from '../outbound/fetcher.ts';
import { percentEncode } from '../policy/encoding.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { HeaderCredential, PresentedHeader } from './header-credential.ts';
import { readTokenAnswer, type Granted } from './token-answer.ts';

export interface ClientCredentialsOptions {
  /** For the log: `namespace/name`. */
  readonly name: string;
  readonly spec: OAuthSpec;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly trust: FetchOptions['trust'];
  readonly fetcher: Fetcher;
  readonly clock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
}

interface Held {
  readonly header: PresentedHeader;
  readonly renewAt: number;
  readonly expiresAt: number;
}

const TIMEOUT_MS = 5000;
const MAX_ANSWER_BYTES = 64 * 1024;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** A back end that refuses every token must not make us ask for one with every request. */
const REFUSAL_COOLDOWN_MS = 30_000;

export function createClientCredentials(options: ClientCredentialsOptions): HeaderCredential {
  const { spec, fetcher, clock, random, log } = options;
  const asked = renderTokenRequest(options);
  let held: Held | undefined;
  let inFlight: Promise<PresentedHeader | undefined> | undefined;
  let failures = 0;
  let lastError = '';
  let retryAt = -Infinity;
  let droppedAt = -Infinity;
  let closed = false;

  const accept = ({ accessToken, lifetimeMs }: Granted, askedAt: number): void => {
    const header = { name: 'Authorization', value: `Bearer ${accessToken}` };
    // Pods that started together do not ask together for ever.
    const renewAt = askedAt + lifetimeMs * (0.75 + 0.1 * random());
    held = { header, renewAt, expiresAt: askedAt + lifetimeMs };
    [failures, lastError, retryAt] = [0, '', -Infinity];
  };
  const fail = (code: string): void => {
    failures++;
    lastError = code;
    const backoff = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
    retryAt = clock() + backoff * (0.5 + 0.5 * random());
    const serves = held !== undefined && clock() < held.expiresAt;
    log.warn({ credential: options.name, code, failures, tokenInForce: serves }, 'the token endpoint gave no token');
  };
  const call = async (): Promise<PresentedHeader | undefined> => {
    const askedAt = clock();
    try {
      const answer = await fetcher.fetch(spec.tokenUrl, asked);
      const granted = readTokenAnswer(answer);
      if (typeof granted === 'string') fail(granted);
      else if (!closed) accept(granted, askedAt);
    } catch (error) {
      fail(error instanceof FetchError ? error.code : 'FAILED');
    }
    inFlight = undefined;
    return find(clock());
  };
  const find = (now: number): PresentedHeader | undefined =>
    held !== undefined && now < held.expiresAt ? held.header : undefined;
  const request = (now: number): Promise<PresentedHeader | undefined> | undefined => {
    if (closed || (inFlight === undefined && now < retryAt)) return inFlight;
    return (inFlight ??= call());
  };

  return {
    sort: 'oauth2ClientCredentials',
    present({ now }) {
      const current = find(now);
      if (current === undefined) return request(now);
      if (held !== undefined && now >= held.renewAt) void request(now);
      return current;
    },
    refused(now) {
      if (held === undefined || now < droppedAt + REFUSAL_COOLDOWN_MS) return;
      droppedAt = now;
      held = undefined;
      log.warn({ credential: options.name }, 'the app refused a token before its time: another is asked for');
    },
    state: () => ({
      ...(lastError === '' ? {} : { problem: lastError }),
      ...(held === undefined ? {} : { validUntil: held.expiresAt }),
    }),
    close: () => void (closed = true),
  };
}

/** RFC 6749 sections 2.3.1 and 4.4.2: what stands in Authorization is form-encoded first. */
function renderTokenRequest({ spec, clientId, clientSecret, trust }: ClientCredentialsOptions): FetchOptions {
  const form: [string, string][] = [['grant_type', 'client_credentials']];
  if (spec.scopes !== undefined) form.push(['scope', spec.scopes.join(' ')]);
  form.push(...Object.entries(spec.parameters ?? {}));
  const headers: Record<string, string> = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  };
  if (spec.authentication === 'Body') form.push(['client_id', clientId], ['client_secret', clientSecret]);
  else {
    const pair = `${percentEncode(clientId)}:${percentEncode(clientSecret)}`;
    headers['authorization'] = `Basic ${Buffer.from(pair, 'latin1').toString('base64')}`;
  }
  const body = form.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join('&');
  return {
    method: 'POST',
    headers,
    body,
    trust,
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_ANSWER_BYTES,
    redirects: 'refuse',
  };
}
