/** An HTTP/2 server over TLS whose every answer a test writes: for the faults that a real API server rarely has. */
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { createAuthority } from '../../demo/pki.ts';
import type { KubeConnection } from '../connection.ts';

export interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Empty for a body that is left to the script. */
  readonly body: string;
  readonly request: Http2ServerRequest;
  /** Counts from 0, over all connections. */
  readonly session: number;
}

export type Script = (call: ReceivedCall, answer: Http2ServerResponse) => void;

export interface ScriptedServer {
  readonly connection: KubeConnection;
  readonly port: number;
  readonly calls: readonly ReceivedCall[];
  readonly sessions: readonly ServerHttp2Session[];
  /** Resolves when the call of that number (from 0) has come. */
  called(index: number): Promise<ReceivedCall>;
  close(): Promise<void>;
}

const authority = createAuthority({ name: 'scripted' });
const leaf = authority.issue({ subject: 'scripted', san: { ip: ['127.0.0.1'] }, usages: ['serverAuth'] });

export interface ScriptedOptions {
  /** Default: any. */
  readonly port?: number;
  /** Paths whose bodies have no end: the script is called at once, and reads `request`. */
  readonly endless?: readonly string[];
}

export async function openScriptedServer(
  context: TestContext,
  script: Script,
  { port = 0, endless = [] }: ScriptedOptions = {},
): Promise<ScriptedServer> {
  const server = createSecureServer({ cert: leaf.certificatePem, key: leaf.keyPem });
  const sessions: ServerHttp2Session[] = [];
  const calls: ReceivedCall[] = [];
  const waiting = new Set<() => void>();
  server.on('session', session => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('request', (request, answer) => {
    answer.stream.on('error', () => undefined);
    void receive(request, sessions, endless).then(call => {
      calls.push(call);
      for (const wake of waiting) wake();
      script(call, answer);
    });
  });
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    await new Promise<void>(resolve => void server.close(() => resolve()));
  };
  context.after(close);
  const address = server.address() as AddressInfo;
  return {
    connection: { server: `https://127.0.0.1:${address.port}`, ca: authority.certificatePem },
    port: address.port,
    calls,
    sessions,
    async called(index) {
      for (;;) {
        const call = calls[index];
        if (call !== undefined) return call;
        await new Promise<void>(resolve => waiting.add(resolve));
      }
    },
    close,
  };
}

async function receive(
  request: Http2ServerRequest,
  sessions: readonly ServerHttp2Session[],
  endless: readonly string[],
): Promise<ReceivedCall> {
  const url = new URL(request.url, 'https://server');
  let body = '';
  if (!endless.includes(url.pathname)) {
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  }
  const session = sessions.findIndex(each => each === request.stream.session);
  const { method, headers } = request;
  return { method, path: url.pathname, query: url.searchParams, headers, body, request, session };
}

export function answerJson(
  answer: Http2ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers });
  answer.end(JSON.stringify(value));
}

export const createStatus = (code: number, reason: string, message: string, extra: Record<string, unknown> = {}) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message,
  ...extra,
});
