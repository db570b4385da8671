/** Apps that speak HTTP/2, on node:http2: each stream is given to the test. */
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

export type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

export interface Http2App {
  readonly port: number;
  /** Connections in the order in which they came, open and closed ones. */
  readonly sessions: readonly ServerHttp2Session[];
  stop(): Promise<void>;
}

/** `secure`: over TLS, absent: prior knowledge. */
export async function startHttp2App(serve: Serve, secure?: SecureServerOptions, streams = 100): Promise<Http2App> {
  const settings = { maxConcurrentStreams: streams };
  const server = secure === undefined ? createServer({ settings }) : createSecureServer({ ...secure, settings });
  const sessions: ServerHttp2Session[] = [];
  server.on('session', session => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    serve(stream, headers);
  });
  server.on('sessionError', () => undefined);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    stop: () =>
      new Promise(resolve => {
        for (const session of sessions) session.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Answers with the head and the body that came, and the trailers as trailers. */
export const echoStream: Serve = (stream, headers) => {
  let body = '';
  let trailers: IncomingHttpHeaders = {};
  stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
  stream.on('trailers', (told: IncomingHttpHeaders) => {
    trailers = told;
  });
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/json' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
    stream.end(JSON.stringify({ headers, body, trailers }));
  });
};

/** One message of gRPC, as it stands in DATA. */
export function encodeMessage(text: string): Buffer {
  const message = Buffer.alloc(5 + text.length);
  message.writeUInt32BE(text.length, 1);
  message.write(text, 5, 'latin1');
  return message;
}

/** The messages in a body of gRPC. */
export function decodeMessages(body: string): string[] {
  const bytes = Buffer.from(body, 'latin1');
  const messages: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 1);
    messages.push(bytes.toString('latin1', at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
}
