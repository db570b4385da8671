/** The rows of HTTP/2 and gRPC. */
import { measure, pick, type Bench } from './bench.ts';
import { HOST } from './material.ts';
import type { Row } from './report.ts';

const CPU = 'CPU µs/call';
const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, 'q')]);

/** 16 connections, four calls at once on each. */
const LOAD = { connections: 16 };
const STREAMS = 4;

const writeJson = (bench: Bench, name: string, head: Record<string, string>): string =>
  bench.material.write(`${name}.json`, JSON.stringify([head]));

export async function measureHttp2(bench: Bench): Promise<Row[]> {
  const headsFile = writeJson(bench, 'http2-heads', {
    ':authority': HOST,
    ':path': '/v1/items',
    'user-agent': 'bench',
    accept: 'application/json',
    authorization: `Bearer ${bench.material.mintToken()}`,
  });
  const samples = await measure(bench, {
    mode: 'http2',
    headsFile,
    load: { ...LOAD, http2: { streams: STREAMS } },
  });
  return [
    {
      measure: 'HTTP/2 over TLS, the same token again, claims, mutual TLS to the app over HTTP/1.1',
      values: pick(samples, 'cpuPerRequest'),
      unit: CPU,
      goals: [{ peer: 'Envoy', bound: 1, direction: 'at most' }],
    },
  ];
}

export async function measureGrpc(bench: Bench): Promise<Row[]> {
  const headsFile = writeJson(bench, 'grpc-heads', {
    ':method': 'POST',
    ':authority': HOST,
    ':path': '/v1/bench.Items/Get',
    'content-type': 'application/grpc+proto',
    te: 'trailers',
    'grpc-timeout': '5S',
    'user-agent': 'bench',
  });
  const samples = await measure(bench, {
    mode: 'grpc',
    headsFile,
    load: { ...LOAD, http2: { streams: STREAMS, message: MESSAGE.toString('base64') } },
  });
  return [
    {
      measure: 'gRPC unary, HTTP/2 both ways, plaintext, one policy',
      values: pick(samples, 'cpuPerRequest'),
      unit: CPU,
      goals: [{ peer: 'Envoy', bound: 1, direction: 'at most' }],
    },
  ];
}
