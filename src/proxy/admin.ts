/** The admin socket: JSON over HTTP, for `sallyport status`, `drain`, `log-level`, `explain`. Only its owner may open it. */
import { chmodSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import type { ServiceHandler, ServiceReply } from './service-port.ts';

export interface AdminDeps {
  readonly status: () => Readonly<Record<string, unknown>>;
  readonly drain: () => void;
  readonly setLogLevel?: (level: string) => boolean;
  readonly explain?: (request: unknown) => Promise<unknown>;
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
    if (path === '/explain' && deps.explain !== undefined) return asJson(200, await deps.explain(given));
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
 * Binds a Unix socket that only its owner may open. A file that a dead sidecar has left behind is replaced; one that
 * answers is not.
 * @throws the system's error, EADDRINUSE when another sidecar is there.
 */
export async function bindAdminSocket(server: Server, path: string): Promise<void> {
  try {
    await bind(server, path);
  } catch (error) {
    if (!isInUse(error) || (await answers(path))) throw error;
    unlinkSync(path);
    await bind(server, path);
  }
  chmodSync(path, 0o600);
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

const isInUse = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    const tell = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', tell(true)).once('error', tell(false));
  });
}
