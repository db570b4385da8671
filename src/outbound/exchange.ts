/** One request and its whole answer over a pool, bounded in size and time. */
import type { Dispatcher, Pool } from 'undici';
import { FetchError, findErrorCode } from './fetch-error.ts';
import type { FetchAnswer, FetchOptions } from './fetcher.ts';
import type { Pools } from './pools.ts';

export type Answer = FetchAnswer;

/** The server closed the connection before it answered anything. */
const DROPPED: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * A GET that was sent on an idle connection which the server was about to close is sent once more; nothing else is.
 * @throws FetchError
 */
export async function exchange(pools: Pools, url: URL, options: FetchOptions, deadline: AbortSignal): Promise<Answer> {
  const pool = await pools.find(url, options);
  const mayHaveReused = pool.stats.free > 0 && (options.method ?? 'GET') === 'GET';
  try {
    return await exchangeOnce(pool, url, options, deadline);
  } catch (error) {
    const dropped = error instanceof FetchError && error.code === 'PROTOCOL' && DROPPED.has(error.detail ?? '');
    if (!mayHaveReused || !dropped) throw error;
    return await exchangeOnce(pool, url, options, deadline);
  }
}

function exchangeOnce(pool: Pool, url: URL, options: FetchOptions, deadline: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (deadline.aborted) return reject(new FetchError('TIMEOUT', url.host));
    const { method = 'GET', headers, body } = options;
    pool.dispatch(
      { path: url.pathname + url.search, method, headers: headers ?? {}, body: body ?? null },
      createCollector(url.host, options.maxBytes, deadline, resolve, reject),
    );
  });
}

function createCollector(
  host: string,
  maxBytes: number,
  deadline: AbortSignal,
  resolve: (answer: Answer) => void,
  reject: (error: FetchError) => void,
): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined;
  let failure: FetchError | undefined;
  let status = 0;
  let headers: Answer['headers'] = {};
  const chunks: Uint8Array[] = [];
  let size = 0;

  const abort = (error: FetchError): void => {
    failure ??= error;
    controller?.abort(failure);
    // A request that waits for its connection has no controller yet: it is aborted as soon as it starts.
    settle(() => reject(error));
  };
  const onDeadline = (): void => abort(new FetchError('TIMEOUT', host));
  const settle = (end: () => void): void => {
    deadline.removeEventListener('abort', onDeadline);
    end();
  };
  deadline.addEventListener('abort', onDeadline);

  return {
    onRequestStart(started) {
      controller = started;
      if (failure !== undefined) started.abort(failure);
    },
    onResponseStart(_, answered, fields) {
      if (answered < 200) return;
      status = answered;
      headers = joinFields(fields);
      if (Number(headers['content-length'] ?? 0) > maxBytes) abort(new FetchError('TOO_LARGE', host));
    },
    onResponseData(_, chunk) {
      size += chunk.byteLength;
      if (size > maxBytes) return abort(new FetchError('TOO_LARGE', host));
      chunks.push(chunk);
    },
    onResponseEnd() {
      settle(() => resolve({ status, headers, body: Buffer.concat(chunks, size) }));
    },
    onResponseError(_, error) {
      if (error instanceof FetchError) return settle(() => reject(error));
      const detail = status === 0 ? findErrorCode(error) : 'CUT_SHORT';
      settle(() => reject(new FetchError('PROTOCOL', host, detail)));
    },
  };
}

function joinFields(fields: Readonly<Record<string, string | string[] | undefined>>): Answer['headers'] {
  const joined = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) joined[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return joined;
}
