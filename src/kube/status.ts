/** Reads the API server’s `Status` objects (Kubernetes API conventions, "Response Status Kind") into errors. */
import { KubeError } from './kube-error.ts';

const LONGEST_MESSAGE = 1000;

interface StatusText {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
}

/** An answer’s error; `body` is its text, whatever it holds. */
export function createAnswerError(
  status: number,
  body: string,
  retryAfter: string | undefined,
  now: number,
): KubeError {
  const read = readStatus(parseJson(body));
  const wait = parseRetryAfter(retryAfter, now) ?? toMs(read.retryAfterSeconds);
  return new KubeError({
    status,
    reason: read.reason ?? `Status${status}`,
    // A body that is no Status (a proxy’s page) is left out: it may repeat what was sent.
    message: cut(read.message ?? `the API server answered ${status}`),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/** The error of a watch’s ERROR event. */
export function createEventError(object: unknown): KubeError {
  const read = readStatus(object);
  const wait = toMs(read.retryAfterSeconds);
  return new KubeError({
    status: read.code ?? 500,
    reason: read.reason ?? 'Unknown',
    message: cut(read.message ?? 'the watch ended with an error'),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/** Seconds or an HTTP date (RFC 9110 section 10.2.3) as milliseconds from now; undefined when absent or unreadable. */
export function parseRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

function readStatus(value: unknown): StatusText {
  if (!isRecord(value) || value['kind'] !== 'Status') return {};
  const { code, reason, message, details } = value;
  const seconds = isRecord(details) ? details['retryAfterSeconds'] : undefined;
  return {
    ...(typeof code === 'number' ? { code } : {}),
    ...(typeof reason === 'string' && reason !== '' ? { reason } : {}),
    ...(typeof message === 'string' && message !== '' ? { message } : {}),
    ...(typeof seconds === 'number' ? { retryAfterSeconds: seconds } : {}),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const toMs = (seconds: number | undefined): number | undefined => (seconds === undefined ? undefined : seconds * 1000);
const cut = (text: string): string => (text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text);
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
