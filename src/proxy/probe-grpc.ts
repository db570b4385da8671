/** A gRPC probe (grpc.health.v1.Health/Check), in plain text over HTTP/2, as the kubelet makes it. 200 when it is SERVING. */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { isIPv6 } from 'node:net';
import type { ProbeReplay } from '../api/probe-replay.ts';
import type { Outcome, ReplayContext } from './probe-replays.ts';

const MOST_MESSAGE = 4096;
const SERVING = 1;

export async function replayGrpc(replay: ProbeReplay, context: ReplayContext, signal: AbortSignal): Promise<Outcome> {
  const { port, service = '' } = replay;
  const { address, podAddress } = context.find(port);
  const write = (host: string): string => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);
  // Not imported at the top: what most sidecars never need costs memory.
  const { connect } = process.getBuiltinModule('node:http2');
  const session = connect(`http://${write(address)}`, { settings: { enablePush: false } });
  try {
    const stream = await open(session, signal, {
      ':method': 'POST',
      ':scheme': 'http',
      ':authority': write(podAddress),
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      'user-agent': context.userAgent,
      te: 'trailers',
    });
    stream.end(writeRequest(service));
    return (await readStatus(stream)) === SERVING ? 200 : 503;
  } finally {
    session.destroy();
  }
}

function open(
  session: ClientHttp2Session,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Promise<ClientHttp2Stream> {
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    signal.addEventListener('abort', () => {
      reject(new Error('timeout'));
      session.destroy();
    });
    session.once('connect', () => resolve(session.request(headers)));
  });
}

/** HealthCheckRequest {string service = 1}, uncompressed, behind the five bytes of a gRPC message. */
function writeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), writeVarint(name.length), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function writeVarint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** The status of the service; rejects when the call failed. */
function readStatus(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let [size, code] = [0, ''];
    const readCode = (headers: IncomingHttpHeaders): void => {
      const value = headers['grpc-status'];
      if (typeof value === 'string') code = value;
    };
    stream.once('response', readCode);
    stream.once('trailers', readCode);
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_MESSAGE) stream.destroy(new Error('too long'));
      else chunks.push(chunk);
    });
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('broken off')));
    stream.once('end', () => {
      if (code === '0') resolve(readServingStatus(Buffer.concat(chunks)));
      else reject(new Error('the call failed'));
    });
  });
}

/** HealthCheckResponse {ServingStatus status = 1}: of an empty message 0 (UNKNOWN), of anything else that cannot be read too. */
function readServingStatus(message: Buffer): number {
  const isPlain = message.length === 7 && message[0] === 0 && message.readUInt32BE(1) === 2 && message[5] === 0x08;
  return isPlain ? (message[6] ?? 0) : 0;
}
