/** The admin socket: JSON over HTTP, for `sallyport status`, `drain`, `log-level`, `explain`. Only its owner may open it. */
import { chmodSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { explainBinding, nameProblem, readCode } from './binding.ts';
import type { ServiceHandler, ServiceReply } from './service-port.ts';

export interface AdminDeps {
  readonly status: () => Readonly<Record<string, unknown>>;
  readonly drain: () => void;
  readonly setLogLevel?: (level: string) => boolean;
  /** Judges a question by the generation in force, with the evidence that it carries; changes nothing. */
  readonly explain?: (question: unknown) => Promise<AdminAnswer>;
}

export interface AdminAnswer {
  readonly status: number;
  /** Sent as JSON. */
  readonly body: unknown;
}

const asJson = (status: number, value: unknown): ServiceReply => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value)}\n`,
});
const NOT_FOUND = asJson(404, { error: 'not found' });

export function createAdminHandler(deps: AdminDeps): ServiceHandler {
  return async ({ method, path, body }) => {
    if (path === '/status' && method === 'GET') return asJson(200, deps.status());
    if (method !== 'POST') return NOT_FOUND;
    if (path === '/drain') {
      deps.drain();
      return asJson(200, { draining: true });
    }
    const given = readJson(body);
    if (given === undefined) return asJson(400, { error: 'the body is not a JSON object' });
    if (path === '/log-level' && deps.setLogLevel !== undefined) {
      const { level } = given;
      const known = typeof level === 'string' && deps.setLogLevel(level);
      return known ? asJson(200, { level }) : asJson(400, { error: 'not a level' });
    }
    if (path === '/explain' && deps.explain !== undefined) {
      const answer = await deps.explain(given);
      return asJson(answer.status, answer.body);
    }
    return NOT_FOUND;
  };
}

function readJson(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Binds a Unix socket that only its owner may open. Only a socket on which nobody listens, as a dead sidecar leaves it, is
 * replaced; any other file stays what it is.
 * @throws a sentence that says what to change, with the system's code: EADDRINUSE when another sidecar is there.
 */
export async function bindAdminSocket(server: Server, path: string): Promise<void> {
  await makeRoom(path);
  try {
    await bind(server, path);
  } catch (error) {
    throw explainBinding(`--admin-socket: ${path}`, error);
  }
  chmodSync(path, 0o600);
}

async function makeRoom(path: string): Promise<void> {
  const folder = dirname(path);
  const refuse = (code: string, problem: string): Error => nameProblem(code, `--admin-socket: ${problem}`);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw refuse('ENOENT', `the folder ${folder} does not exist`);
  }
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw refuse('EEXIST', `${path} exists and is not a socket; name another path`);
  const failure = await knock(path);
  if (failure === undefined) throw refuse('EADDRINUSE', `${path}: a sidecar already has it; name another path`);
  // What refuses for another reason (EACCES, EAGAIN) may well be alive.
  if (failure === 'ECONNREFUSED') unlinkSync(path);
  else if (failure !== 'ENOENT') throw refuse(failure, `${path} is a socket that cannot be asked; name another path`);
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The file is made while listen() runs, so nobody else can open it before chmod.
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

/** The code of the failure to connect; undefined: somebody listens. */
function knock(path: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = connect(path);
    const tell = (failure: string | undefined): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.once('connect', () => tell(undefined)).once('error', error => tell(readCode(error)));
  });
}
