/** Talks to a running sidecar over its admin socket: JSON over HTTP on a Unix socket that only the same user may open. */
import { request } from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { EXIT, type Io } from './io.ts';
import { textOption } from './options.ts';

/** Where a sidecar in a pod has it. */
export const DEFAULT_SOCKET = '/run/sallyport/admin.sock';
const TIMEOUT_MS = 5000;

export const socketOption = textOption({
  description: `Admin socket of the sidecar; default ${DEFAULT_SOCKET}`,
  placeholder: 'PATH',
});

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface AdminCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

/** Calls the sidecar and hands on its answer; where there is none, says so and answers 69. */
export async function withAdmin(
  socket: string | undefined,
  call: AdminCall,
  io: Io,
  use: (answer: AdminAnswer) => number,
): Promise<number> {
  const path = resolve(io.cwd, socket ?? DEFAULT_SOCKET);
  try {
    return use(await callAdmin(path, call));
  } catch (error) {
    io.stderr.write(`sallyport: ${explainFailure(path, error)}\n`);
    return EXIT.unavailable;
  }
}

async function callAdmin(socketPath: string, { method, path, body }: AdminCall): Promise<AdminAnswer> {
  const { promise, resolve: answer, reject } = Promise.withResolvers<AdminAnswer>();
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length };
  const outgoing = request({ socketPath, method, path, headers, agent: false, timeout: TIMEOUT_MS }, response => {
    text(response)
      .then(received => answer({ status: response.statusCode ?? 0, body: received === '' ? {} : JSON.parse(received) }))
      .catch(reject);
  });
  outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
  outgoing.on('error', reject);
  outgoing.end(payload);
  return promise;
}

function explainFailure(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ENOENT':
      return `there is no admin socket at ${path}; is a sidecar running? Name its socket with --admin-socket`;
    case 'ECONNREFUSED':
      return `no sidecar listens at ${path} any more`;
    case 'EACCES':
      return `${path} may be opened only by the user that runs the sidecar`;
    case 'ETIMEDOUT':
      return `the sidecar at ${path} did not answer within ${TIMEOUT_MS / 1000} s`;
    default:
      return `the sidecar at ${path} gave no usable answer${code === '' ? '' : ` (${code})`}`;
  }
}

/** The members of an answer, if it is an object. */
export function readMembers(body: unknown): Readonly<Record<string, unknown>> {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : {};
}
