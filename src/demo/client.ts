/** The demo's client: one request on a connection of its own, answered or refused. */
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { LOOPBACK } from './listening.ts';

export interface ClientRequest {
  readonly port: number;
  readonly host: string;
  readonly ca: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly certificate?: { readonly chainPem: string; readonly keyPem: string };
}

export interface Answer {
  /** 0: the connection was refused. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const TIMEOUT_MS = 10_000;

export async function send({
  port,
  host,
  ca,
  method,
  path,
  headers,
  body,
  certificate,
}: ClientRequest): Promise<Answer> {
  const options: RequestOptions = {
    host: LOOPBACK,
    port,
    servername: host,
    ca,
    method,
    path,
    agent: false,
    timeout: TIMEOUT_MS,
    headers: { Host: `${host}:${port}`, ...headers, ...(body === undefined ? {} : { 'Content-Length': body.length }) },
    ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
  };
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = request(options, response => {
    text(response).then(
      received => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received }),
      reject,
    );
  });
  outgoing.on('timeout', () => outgoing.destroy());
  outgoing.on('error', (error: NodeJS.ErrnoException) => {
    resolve({ status: 0, headers: {}, body: error.code ?? error.message });
  });
  outgoing.end(body);
  return promise;
}
