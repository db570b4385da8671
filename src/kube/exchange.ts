/** One request on an HTTP/2 connection, up to the head of its answer; then its body as one text or as lines. */
import { constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { createLocalError, findCode, KubeError } from './kube-error.ts';

/** How the message begins when an answer ends before it is whole. */
export const CUT_OFF = 'the answer was cut off';

export interface Call {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The body goes on after `body`: the caller writes to `Answer.stream` and ends it. */
  readonly keepOpen?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Until the head of the answer. */
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly stream: ClientHttp2Stream;
}

/** The server said that it did not begin to work on the request: it may be sent again, whatever its method. */
export class NotStarted extends Error {
  override readonly name = 'NotStarted';
}

/** @throws KubeError with status 0, or NotStarted */
export function startCall(session: ClientHttp2Session, call: Call): Promise<Answer> {
  const { body, signal, timeoutMs } = call;
  const stream = openStream(session, call);
  stream.setEncoding('utf8');
  if (call.keepOpen === true) stream.write(body ?? '');
  else if (body !== undefined) stream.end(body);
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      settle();
      reject(error);
      cancel(stream);
    };
    const abort = (): void => fail(createLocalError('Closed', 'the request was given up'));
    const lose = (error?: unknown): void => fail(explainLoss(stream, error));
    const timer = setTimeout(() => fail(createLocalError('Timeout', 'no answer in time')), timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      stream.off('close', lose);
    };
    // Stays: an error after the answer’s head is also told to whoever reads the body, and must not end the process.
    stream.on('error', lose);
    stream.once('close', lose);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) return abort();
    stream.once('response', answer => {
      settle();
      resolve({ status: answer[':status'] ?? 0, headers: answer, stream });
    });
  });
}

function openStream(session: ClientHttp2Session, { method, path, headers, body, keepOpen }: Call): ClientHttp2Stream {
  if (session.closed || session.destroyed) throw new NotStarted('the connection is closing');
  try {
    const endStream = body === undefined && keepOpen !== true;
    return session.request({ ':method': method, ':path': path, ...headers }, { endStream });
  } catch (error) {
    // Thrown, not emitted, for a connection that ended in this very moment.
    if (/^ERR_HTTP2_(GOAWAY|INVALID)_SESSION$/.test(findCode(error) ?? '')) {
      throw new NotStarted('the connection is closing');
    }
    throw createLocalError('Protocol', 'the request cannot be sent', error);
  }
}

function explainLoss(stream: ClientHttp2Stream, error: unknown): Error {
  if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || findCode(error) === 'ERR_HTTP2_GOAWAY_SESSION') {
    return new NotStarted('the server did not take the request');
  }
  if (error instanceof KubeError) return error;
  return createLocalError('ConnectionLost', 'the connection was lost before an answer', error);
}

export function cancel(stream: ClientHttp2Stream): void {
  if (stream.destroyed) return;
  stream.close(constants.NGHTTP2_CANCEL);
  stream.destroy();
}

export interface ReadLimits {
  readonly signal?: AbortSignal | undefined;
  /** Of the whole body; absent: no end. */
  readonly timeoutMs?: number;
  /** Characters of the body, or of a line. */
  readonly maxLength: number;
}

/** The whole body. @throws KubeError with status 0 */
export async function readText({ stream }: Answer, limits: ReadLimits): Promise<string> {
  let text = '';
  for await (const chunk of readChunks(stream, limits)) {
    text += chunk;
    if (text.length > limits.maxLength) throw createLocalError('TooLarge', 'the answer is too large');
  }
  return text;
}

/** Lines without their line feed, empty ones left out; what follows the last line feed is a cut line and an error. */
export async function* readLines({ stream }: Answer, limits: ReadLimits): AsyncGenerator<string, void, void> {
  let pending = '';
  for await (const chunk of readChunks(stream, limits)) {
    const lines = chunk.split('\n');
    pending += lines[0] ?? '';
    for (const line of lines.slice(1)) {
      if (pending !== '') yield pending;
      pending = line;
    }
    if (pending.length > limits.maxLength) throw createLocalError('TooLarge', 'a line of the answer is too long');
  }
  if (pending.trim() !== '') throw createLocalError('ConnectionLost', 'the answer ended within a line');
}

/**
 * Not the stream’s own iterator: that takes an HTTP/2 stream whose end came in one piece with its head for one that was
 * closed too early, now and then under load (Node 24).
 */
async function* readToEnd(stream: ClientHttp2Stream): AsyncGenerator<string, void, void> {
  let wake = (): void => undefined;
  const change = (): void => wake();
  const events = ['readable', 'end', 'error', 'close'] as const;
  for (const event of events) stream.on(event, change);
  try {
    for (;;) {
      const chunk: unknown = stream.read();
      if (typeof chunk === 'string') yield chunk;
      else if (stream.readableEnded) return;
      else if (stream.destroyed) throw stream.errored ?? createLocalError('ConnectionLost', CUT_OFF);
      else await new Promise<void>(resolve => (wake = resolve));
    }
  } finally {
    for (const event of events) stream.off(event, change);
  }
}

/** Ends the stream however the loop that reads it is left. */
async function* readChunks(stream: ClientHttp2Stream, limits: ReadLimits): AsyncGenerator<string, void, void> {
  const { signal, timeoutMs } = limits;
  const abort = (): void => void stream.destroy(createLocalError('Closed', 'the request was given up'));
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => void stream.destroy(createLocalError('Timeout', 'no whole answer in time')), timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    yield* readToEnd(stream);
    // An HTTP/2 stream that is reset without an error code ends like a whole one.
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw createLocalError('ConnectionLost', CUT_OFF);
  } catch (error) {
    throw error instanceof KubeError ? error : createLocalError('ConnectionLost', CUT_OFF, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    cancel(stream);
  }
}
