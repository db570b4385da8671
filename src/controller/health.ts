/** Health and metrics on port 15191, without TLS: what a kubelet and a scraper ask, and nothing that is secret. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EXPOSITION_TYPE } from '../telemetry/create-telemetry.ts';

export interface HealthPort {
  start(): Promise<{ readonly port: number }>;
  stop(): Promise<void>;
}

export interface HealthOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  /** Why it should get no requests, as a word; undefined: it should. */
  readonly unready: () => string | undefined;
  readonly exposition: () => Promise<string>;
}

const MOST_CONNECTIONS = 64;
const PATIENCE_MS = 5000;

export function createHealthPort({ host, port, unready, exposition }: HealthOptions): HealthPort {
  const { createServer } = process.getBuiltinModule('node:http');
  const server = createServer({ requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;

  async function answer({ method, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const end = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', Connection: 'close' });
      response.end(method === 'HEAD' ? '' : text);
    };
    if (method !== 'GET' && method !== 'HEAD') return end(405, 'only GET is known\n');
    const [path = ''] = url.split('?', 1);
    switch (path) {
      case '/livez':
      case '/healthz':
        return end(200, 'ok\n');
      case '/readyz': {
        const why = unready();
        return why === undefined ? end(200, 'ok\n') : end(503, `${why}\n`);
      }
      case '/metrics':
        return end(200, await exposition(), EXPOSITION_TYPE);
      default:
        return end(404, 'not found\n');
    }
  }

  return {
    start: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, () => resolve({ port: (server.address() as AddressInfo).port }));
      }),
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
