/**
 * The tests' app. Answers every request with what it saw of it, as JSON, and writes the same line to its output.
 *
 *   PORTS=8080,9090       HTTP, and WebSockets that echo; HTTPS where TLS_CERT and TLS_KEY name files
 *   HOST=::               the address that all of them are bound to
 *   TLS_CA                a file: client certificates are asked for, and judged but never demanded
 *   GRPC_PORT             a gRPC health service (HTTP/2 without TLS)
 *   TCP_PORTS=7001,7002   accept connections and end them
 *   UDP_PORT              echoes datagrams
 *   STARTS_AFTER_MS       sleeps before it listens
 *
 * Paths: /healthz 200; /ready as POST /ready/on and /ready/off left it, and the gRPC service and the TCP ports with it; /status/404; /delay/500 ms; /stream/100 a line every
 * 100 ms until the client goes; /hang-up ends the connection without an answer; /fetch?url=… calls out and tells the answer.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { startHealthService } from './grpc-health.ts';
import { createTcpPorts } from './tcp.ts';
import { echoMessages } from './websocket.ts';

const { env } = process;
const host = env['HOST'] ?? '::';
const numbers = (name: string): readonly number[] => env[name]?.split(',').map(Number) ?? [];
const tcpPorts = createTcpPorts(numbers('TCP_PORTS'), host);
let ready = true;

function setReady(to: boolean): void {
  ready = to;
  if (to) tcpPorts.open();
  else tcpPorts.close();
}

function describe(request: IncomingMessage, body: string): unknown {
  const { method, url, rawHeaders, socket, httpVersion } = request;
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return {
    ...{ method, url, httpVersion, headers: rawHeaders, body, bytes: Buffer.byteLength(body) },
    ...{
      from: `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`,
      to: `${socket.localAddress ?? ''} ${socket.localPort ?? 0}`,
    },
    peer: certificate?.subjectAltName,
    authorized: socket instanceof TLSSocket ? socket.authorized : undefined,
    pod: hostname(),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const seen = describe(request, await text(request));
  console.log(JSON.stringify(seen));
  const url = new URL(request.url ?? '/', 'http://app');
  const [, first = '', second = ''] = url.pathname.split('/');
  const say = (status: number, body: unknown = seen): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  };
  switch (first) {
    case 'ready':
      if (request.method === 'POST') setReady(second !== 'off');
      return say(ready || request.method === 'POST' ? 200 : 503);
    case 'status':
      return say(Number(second));
    case 'delay':
      await sleep(Number(second));
      return say(200);
    case 'stream':
      return writeLines(response, Number(second));
    case 'hang-up':
      return void request.socket.destroy();
    case 'fetch':
      return say(200, await callOut(url.searchParams.get('url') ?? ''));
    default:
      return say(200);
  }
}

function writeLines(response: ServerResponse, everyMs: number): void {
  response.writeHead(200, { 'content-type': 'text/plain' });
  let line = 0;
  const writing = setInterval(() => response.write(`${line++}\n`), everyMs);
  response.on('close', () => clearInterval(writing));
}

async function callOut(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(5000) });
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
  } catch (error) {
    return { error: error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error) };
  }
}

const listener = (request: IncomingMessage, response: ServerResponse): void => {
  answer(request, response).catch((error: unknown) => {
    console.log(JSON.stringify({ fault: String(error) }));
    response.destroy();
  });
};

function openServer(): ReturnType<typeof createServer> {
  const [cert, key, ca] = ['TLS_CERT', 'TLS_KEY', 'TLS_CA'].map(name => env[name]);
  if (cert === undefined || key === undefined) return createServer(listener);
  const trust = ca === undefined ? {} : { ca: readFileSync(ca), requestCert: true, rejectUnauthorized: false };
  return createSecureServer({ cert: readFileSync(cert), key: readFileSync(key), ...trust }, listener);
}

await sleep(Number(env['STARTS_AFTER_MS'] ?? 0));
const servers = (env['PORTS'] ?? '8080').split(',').map(port => {
  const server = openServer().on('upgrade', echoMessages);
  return server.listen(Number(port), host, () => console.log(JSON.stringify({ listening: port })));
});
if (env['GRPC_PORT'] !== undefined) startHealthService(Number(env['GRPC_PORT']), host, () => ready);
setReady(true);
if (env['UDP_PORT'] !== undefined) {
  const udp = createSocket('udp6').bind(Number(env['UDP_PORT']), host);
  udp.on('message', (message, from) => udp.send(message, from.port, from.address));
}

process.on('SIGTERM', () => {
  console.log(JSON.stringify({ signal: 'SIGTERM' }));
  let open = servers.length;
  for (const server of servers) server.close(() => --open === 0 && process.exit(0));
});
