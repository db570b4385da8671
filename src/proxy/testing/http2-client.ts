/** An HTTP/2 client for tests, on node:http2: whole calls, or streams that a test speaks for. */
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { connectSecure } from './secure.ts';

export interface Told {
  readonly status: number;
  /** Of the final head. */
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: IncomingHttpHeaders | undefined;
  /** HTTP/2 error code by which the stream ended; 0: in order. */
  readonly code: number;
  /** Status codes of informational answers. */
  readonly informed: readonly number[];
  /** The head was the end. */
  readonly endedWithHead: boolean;
}

export interface Http2Client {
  readonly session: ClientHttp2Session;
  /** The whole of a call. Pseudo headers have defaults: GET, /open, fleet.example.com. */
  call(headers?: Readonly<Record<string, string | string[]>>, body?: string | Buffer): Promise<Told>;
  open(headers: Readonly<Record<string, string | string[]>>, ends?: boolean): ClientHttp2Stream;
  close(): Promise<void>;
}

const DEFAULTS = { ':method': 'GET', ':path': '/open', ':authority': 'fleet.example.com' };

/** Everything a stream brings, until it is closed. */
export function hear(stream: ClientHttp2Stream): Promise<Told> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders | undefined;
  let body = '';
  let endedWithHead = false;
  const informed: number[] = [];
  stream.on('response', (head: IncomingHttpHeaders, flags: number) => {
    headers = head;
    endedWithHead = (flags & 1) !== 0;
  });
  stream.on('headers', (head: IncomingHttpHeaders & { ':status'?: number }) => informed.push(head[':status'] ?? 0));
  stream.on('trailers', (head: IncomingHttpHeaders) => {
    trailers = head;
  });
  stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  return new Promise(resolve =>
    stream.on('close', () =>
      resolve({
        status: Number(headers[':status'] ?? 0),
        headers,
        body,
        trailers,
        code: stream.rstCode,
        informed,
        endedWithHead,
      }),
    ),
  );
}

/** `secure`: over TLS with ALPN h2; absent: prior knowledge. */
export function openHttp2(port: number, secure?: ConnectionOptions): Http2Client {
  const session =
    secure === undefined
      ? connect(`http://127.0.0.1:${port}`)
      : connect('https://fleet.example.com', {
          createConnection: () => connectSecure(port, { ALPNProtocols: ['h2'], ...secure }),
        });
  session.on('error', () => undefined);
  const open: Http2Client['open'] = (headers, ends = true) =>
    session.request({ ...DEFAULTS, ...headers }, { endStream: ends });
  return {
    session,
    open,
    call: async (headers = {}, body) => {
      const stream = open(headers, body === undefined);
      const told = hear(stream);
      if (body !== undefined) stream.end(body);
      return told;
    },
    close: () =>
      new Promise(resolve => {
        if (session.destroyed) return resolve();
        session.on('close', resolve);
        session.destroy();
      }),
  };
}
