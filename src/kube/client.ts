/** Requests to the API server over one HTTP/2 connection. */
import type { Log } from '../telemetry/telemetry.ts';
import type { KubeConnection } from './connection.ts';
import { cancel, CUT_OFF, NotStarted, readLines, readText, startCall, type Answer, type Call } from './exchange.ts';
import { createLocalError, KubeError } from './kube-error.ts';
import { createSession } from './session.ts';
import { createAnswerError } from './status.ts';
import { createTurns } from './turns.ts';

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON; text as it is. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Of the answer; default `application/json`. See METADATA_ONLY. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** For the head of the answer, and again for its body; default 30 s. */
  readonly timeoutMs?: number;
}

export interface StreamOptions {
  /** Runs when the server has accepted the stream. */
  readonly onOpen?: () => void;
  /** For the head of the answer; default 30 s. */
  readonly timeoutMs?: number;
  /** See RequestOptions. */
  readonly accept?: string;
}

/**
 * Asks for metadata without the rest of the objects, of a list and of a watch
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches).
 */
export const METADATA_ONLY = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
} as const;

export interface KubeClient {
  /**
   * The answer’s JSON; `undefined` for an empty one. The caller says what shape it has.
   * @throws KubeError { status, reason, message, retryAfterMs }; status 0: no answer
   */
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>;
  /**
   * The lines of a watch, parsed. Ends when the server ends it whole.
   * @throws KubeError as `request` does, and when the stream is cut; reason `Closed` after `signal`
   */
  stream(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
    options?: StreamOptions,
  ): AsyncIterable<unknown>;
  /** Ends what is in flight. */
  close(): Promise<void>;
}

export interface KubeClientDependencies {
  readonly log: Log;
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Default `sallyport`. */
  readonly userAgent?: string;
  readonly connectTimeoutMs?: number;
  readonly pingEveryMs?: number;
  readonly pingTimeoutMs?: number;
  /** Characters of one answer; default 64 Mi. */
  readonly maxAnswer?: number;
  /** Characters of one line of a watch; default 8 Mi (etcd holds objects of 1.5 MiB). */
  readonly maxLine?: number;
}

const TIMEOUT_MS = 30_000;
const MOST_ATTEMPTS = 3;
/**
 * Watches that wait for their head at once. API servers queue by user, and all pods of a namespace may be one: with eight
 * watches each, a hundred pods that start together would overflow the queue and be told to come back.
 */
const MOST_OPENINGS = 2;

/** @throws KubeError when `connection.server` is no HTTPS address: at the first request, as every other failure. */
export function createKubeClient(connection: KubeConnection, deps: KubeClientDependencies): KubeClient {
  const session = createSession({ connection, ...pickTimings(deps) });
  const { maxAnswer = 64 * 1024 * 1024, maxLine = 8 * 1024 * 1024 } = deps;
  const openings = createTurns(MOST_OPENINGS);
  const base = { accept: 'application/json', 'user-agent': deps.userAgent ?? 'sallyport' };

  async function attempt(call: Call): Promise<Answer> {
    for (let left = MOST_ATTEMPTS; ; left--) {
      try {
        return await startCall(await session.open(), call);
      } catch (error) {
        if (!(error instanceof NotStarted)) throw error;
        if (left <= 1) throw createLocalError('ConnectionLost', error.message);
      }
    }
  }

  async function send(call: Call): Promise<Answer> {
    const token = await connection.token?.();
    const answer = await attempt(authorize(call, token));
    if (answer.status !== 401) return answer;
    // The token may have been replaced while the request was on its way.
    const fresh = await connection.token?.();
    if (fresh === token) return answer;
    cancel(answer.stream);
    return attempt(authorize(call, fresh));
  }

  async function fail(answer: Answer, signal: AbortSignal | undefined): Promise<never> {
    const body = await readText(answer, { signal, timeoutMs: TIMEOUT_MS, maxLength: maxLine });
    throw createAnswerError(answer.status, body, answer.headers['retry-after'], deps.clock());
  }

  return {
    async request<T>(method: string, path: string, options: RequestOptions = {}) {
      const ask = async (): Promise<T> => {
        const { signal, timeoutMs = TIMEOUT_MS } = options;
        const answer = await send({ ...prepareCall(connection, base, method, path, options), signal, timeoutMs });
        if (answer.status < 200 || answer.status > 299) return fail(answer, signal);
        return parseAnswer(await readText(answer, { signal, timeoutMs, maxLength: maxAnswer })) as T;
      };
      try {
        return await ask();
      } catch (error) {
        // A connection that ends takes answers on their way with it; what only reads may be asked for again.
        if (method !== 'GET' || !isCutOff(error) || options.signal?.aborted === true) throw error;
        return ask();
      }
    },
    async *stream(path, query, signal, options = {}) {
      const { timeoutMs = TIMEOUT_MS, accept } = options;
      const prepared = prepareCall(connection, base, 'GET', path, {
        query,
        ...(accept === undefined ? {} : { accept }),
      });
      const done = await openings.enter(signal);
      let answer: Answer;
      try {
        answer = await send({ ...prepared, signal, timeoutMs });
      } finally {
        done();
      }
      if (answer.status !== 200) await fail(answer, signal);
      options.onOpen?.();
      for await (const line of readLines(answer, { signal, maxLength: maxLine })) yield parseAnswer(line);
    },
    close() {
      session.close();
      return Promise.resolve();
    },
  };
}

/** Its head had come: the server lives, so asking again is not waiting twice. */
const isCutOff = (error: unknown): boolean => error instanceof KubeError && error.message.startsWith(CUT_OFF);

function pickTimings({ connectTimeoutMs, pingEveryMs, pingTimeoutMs }: KubeClientDependencies) {
  return {
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    ...(pingEveryMs === undefined ? {} : { pingEveryMs }),
    ...(pingTimeoutMs === undefined ? {} : { pingTimeoutMs }),
  };
}

function prepareCall(
  { server }: KubeConnection,
  base: Readonly<Record<string, string>>,
  method: string,
  path: string,
  { query, body, contentType = 'application/json', accept = base['accept'] ?? '' }: RequestOptions,
): Omit<Call, 'timeoutMs'> {
  const prefix = new URL(server).pathname.replace(/\/$/, '');
  const search = query === undefined ? '' : `?${new URLSearchParams(query).toString()}`;
  const call = { method, path: `${prefix}${path}${search}` };
  const headers = { ...base, accept };
  if (body === undefined) return { ...call, headers };
  return {
    ...call,
    headers: { ...headers, 'content-type': contentType },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

const authorize = (call: Call, token: string | undefined): Call =>
  token === undefined ? call : { ...call, headers: { ...call.headers, authorization: `Bearer ${token}` } };

function parseAnswer(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // The error of JSON.parse repeats the text.
    throw createLocalError('Protocol', 'the answer is no JSON');
  }
}
