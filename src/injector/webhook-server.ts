/** The HTTPS server that the API server asks. Bounded; its certificate can be changed while it runs. */
import type { IncomingMessage, Server as HttpsServerBase, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { writeReview } from './admission-review.ts';
import type { AnswerReview } from './webhooks.ts';

/** PEM. */
export interface ServingCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface WebhookServerDeps {
  readonly answer: AnswerReview;
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds that only grow. */
  readonly monotonic: () => number;
}

export interface WebhookServer {
  /** From the next handshake on. Until the first one every handshake fails. */
  setCertificate(certificate: ServingCertificate): void;
  start(): Promise<void>;
  /** Takes nothing more; resolves when what is in flight has been answered, or after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
  readonly address: AddressInfo | undefined;
}

/** The largest request of the API server is 3 MiB of an object; its review holds old and new. */
const MOST_BODY = 8 * 1024 * 1024;
const MOST_CONNECTIONS = 512;
const MOST_IN_FLIGHT = 128;
/** Bytes of bodies that are held at the same time. */
const MOST_HELD = 48 * 1024 * 1024;
/** The API server waits ten seconds at most. */
const REQUEST_MS = 10_000;
/** Longer than Go's client keeps an idle connection, so that it is never the server that closes one in use. */
const KEEP_ALIVE_MS = 120_000;

const PATIENCE = {
  handshakeTimeout: REQUEST_MS,
  headersTimeout: REQUEST_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: 1000,
} as const;

/** Of the whole server. */
interface Load {
  requests: number;
  bytes: number;
}

export function createWebhookServer(deps: WebhookServerDeps): WebhookServer {
  const { host, port, log } = deps;
  // An import of node:https costs 13 MiB in an ES module; see docs/architecture.md.
  const { createServer } = process.getBuiltinModule('node:https');
  const load: Load = { requests: 0, bytes: 0 };
  const server = createServer({ minVersion: 'TLSv1.2', ...PATIENCE }, (request, response) => {
    if (load.requests >= MOST_IN_FLIGHT) return end(response, 503, 'too many at once');
    load.requests += 1;
    response.once('close', () => {
      load.requests -= 1;
    });
    serve(request, response, { ...deps, load }).catch(() => end(response, 500, 'failed'));
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    log.debug({ code: error.code, peer: socket.remoteAddress }, 'handshake failed');
  });
  server.on('clientError', (_, socket) => socket.destroy());
  return {
    setCertificate: ({ certificate, key }) =>
      server.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' }),
    start: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, () => {
          server.off('error', reject);
          resolve();
        });
      }),
    stop: timeoutMs => stop(server, timeoutMs),
    get address() {
      const address = server.address();
      return typeof address === 'object' && address !== null ? address : undefined;
    },
  };
}

function stop(server: HttpsServerBase, timeoutMs: number): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  deps: WebhookServerDeps & { readonly load: Load },
): Promise<void> {
  const started = deps.monotonic();
  const [path = '/'] = (request.url ?? '/').split('?', 1);
  if (request.method !== 'POST') return end(response, 405, 'only POST is known');
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    return end(response, 415, 'only application/json is known');
  }
  const body = await readBody(request, deps.load);
  if (typeof body !== 'string') return end(response, body, 'too large');
  const review = parseJson(body);
  const answer = deps.answer(path, review);
  if (answer === undefined) return end(response, 400, 'no AdmissionReview of version v1 for a path of ours');
  const text = writeReview(answer);
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text);
  const seconds = (deps.monotonic() - started) / 1000;
  deps.metrics.observe('sallyport_admission_review_duration_seconds', seconds, { webhook: path.slice(1) });
}

/** The text, or the status of a refusal; nothing more is read then. */
async function readBody(request: IncomingMessage, load: Load): Promise<string | 413 | 503> {
  if (Number(request.headers['content-length'] ?? 0) > MOST_BODY) return 413;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      load.bytes += chunk.length;
      if (size > MOST_BODY) return 413;
      if (load.bytes > MOST_HELD) return 503;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    load.bytes -= size;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  // Whatever follows of the request is not waited for.
  response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close' }).end(`${text}\n`);
}
