/**
 * Sends calls over HTTP/2 and prints what happened as the JSON line that load-generator.ts prints: closed loop, so many
 * streams at once on each connection. A process of its own, so that its CPU time is not the proxy’s.
 */
import { readFileSync } from 'node:fs';
import { connect, type ClientHttp2Session } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import type { LoadPlan, LoadResult } from './load-generator.ts';

const plan = JSON.parse(process.argv[2] ?? '{}') as LoadPlan;
const { streams = 1, message } = plan.http2 ?? {};
const heads = JSON.parse(readFileSync(plan.headsFile, 'utf8')) as Record<string, string>[];
const body = message === undefined ? undefined : Buffer.from(message, 'base64');

let next = plan.offset ?? 0;
let requests = 0;
let failures = 0;
let bytes = 0;
let firstFailure: string | undefined;
const latencies: number[] = [];
const begin = performance.now();
const end = begin + plan.seconds * 1000;

function fail(why: string): void {
  failures += 1;
  firstFailure ??= why;
}

function open(): ClientHttp2Session {
  const { port, tls } = plan;
  if (tls === undefined) return connect(`http://127.0.0.1:${port}`);
  const { ca, certificate: cert, key, serverName: servername } = tls;
  return connect(`https://${servername}`, {
    createConnection: () => connectTls({ host: '127.0.0.1', port, ca, cert, key, servername, ALPNProtocols: ['h2'] }),
  });
}

/** One call after another. */
function run(session: ClientHttp2Session, done: () => void): void {
  if (performance.now() >= end || session.closed) return done();
  const sentAt = performance.now();
  const stream = session.request(heads[next++ % heads.length], { endStream: body === undefined });
  let status = 0;
  let grpc: unknown;
  stream.on('response', headers => {
    status = Number(headers[':status']);
    grpc = headers['grpc-status'];
  });
  stream.on('trailers', headers => {
    grpc = (headers as Record<string, unknown>)['grpc-status'];
  });
  stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
  stream.on('error', () => undefined);
  stream.on('close', () => {
    if (status !== 200 || (body !== undefined && grpc !== '0')) fail(`status ${status}, gRPC ${String(grpc)}`);
    else {
      requests += 1;
      latencies.push(performance.now() - sentAt);
    }
    run(session, done);
  });
  if (body !== undefined) stream.end(body);
}

const sessions = Array.from({ length: plan.connections }, open);
await Promise.all(
  sessions.flatMap(session => {
    session.on('error', (error: Error) => fail(error.message));
    return Array.from({ length: streams }, () => new Promise<void>(done => run(session, done)));
  }),
);
const seconds = (performance.now() - begin) / 1000;
latencies.sort((a, b) => a - b);
const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
const result: LoadResult = {
  requests,
  failures,
  seconds,
  bytes,
  p50Ms: at(0.5),
  p99Ms: at(0.99),
  ...(firstFailure === undefined ? {} : { firstFailure }),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
for (const session of sessions) session.destroy();
