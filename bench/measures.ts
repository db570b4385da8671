/** The rows of the table: what is measured, and the goal that data-path.md sets for it. */
import { measure, pick, writeTokenHeads, type Bench } from './bench.ts';
import { measureLatency } from './latency.ts';
import { measureGrpc, measureHttp2 } from './http2.ts';
import { renderChunkedRequest, renderHead, writeHeads } from './material.ts';
import { measureConnections, measureDecision, measureMemory, measureStart } from './footprint.ts';
import type { Row } from './report.ts';
import { measureKeys } from './steps/keys.ts';
import { measurePolicies, measureSubscriptions } from './steps/many.ts';
import { measureSteps } from './steps/steps.ts';

const CPU = 'CPU µs/request';
const CACHED = 'Envoy with token cache';

const UPLOAD_BYTES = 1024 * 1024;

type Measure = (bench: Bench) => Promise<Row[]>;

/** A page of docs/benchmarks. */
export type Page = 'http1' | 'steps';

const HTTP1: Readonly<Record<string, Measure>> = {
  plain: async bench => {
    const headsFile = writeHeads(bench.material, 'plain', [renderHead('/v1/items')]);
    const samples = await measure(bench, { mode: 'plain', headsFile });
    return [
      {
        measure: 'Plain forward, one policy',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 1.3), atMost('Envoy', 0.6)],
      },
      {
        measure: 'Plain forward, throughput',
        values: perSecond(pick(samples, 'requests'), bench),
        unit: 'requests/s',
        goals: [],
      },
      {
        measure: 'Resident after that load',
        values: pick(samples, 'residentMiB'),
        unit: 'MiB',
        goals: [atMost('Envoy', 1)],
      },
    ];
  },
  token: async bench => {
    const headsFile = writeTokenHeads(bench.material, 'token', [bench.material.mintToken()]);
    const samples = await measure(bench, { mode: 'token', headsFile });
    return [
      {
        measure: 'TLS, the same token again, claims, mutual TLS to the app',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 0.55), atMost('Envoy', 0.45), atMost(CACHED, 0.7)],
      },
      {
        measure: 'Resident after that load',
        values: pick(samples, 'residentMiB'),
        unit: 'MiB',
        goals: [atMost('Envoy', 1)],
      },
    ];
  },
  tokens: async bench => {
    const headsFile = writeTokenHeads(
      bench.material,
      'tokens',
      Array.from({ length: 10_000 }, bench.material.mintToken),
    );
    const samples = await measure(bench, { mode: 'token', headsFile, warmUp: 4 });
    return [
      {
        measure: 'the same, 10,000 tokens in turn',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 0.6), atMost(CACHED, 0.75)],
      },
      {
        measure: 'Resident after that load',
        values: pick(samples, 'residentMiB'),
        unit: 'MiB',
        goals: [atMost('Envoy', 1)],
      },
    ];
  },
  first: async bench => {
    const count = 12_000;
    const headsFile = writeTokenHeads(bench.material, 'first', Array.from({ length: count }, bench.material.mintToken));
    const samples = await measure(bench, {
      mode: 'token',
      headsFile,
      warmUp: 0,
      load: { requests: count, seconds: 60 },
      peers: ['Sallyport', 'HAProxy', 'Envoy'],
    });
    return [
      {
        measure: 'the same, every token for the first time (cold process)',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 1.3)],
      },
    ];
  },
  certificate: async bench => {
    const headsFile = writeHeads(bench.material, 'certificate', [renderHead('/v1/items')]);
    const samples = await measure(bench, { mode: 'certificate', headsFile });
    return [
      {
        measure:
          'Client certificate, cached device look-up, context header, mutual TLS to the app (HAProxy: no look-up; Envoy: ext_authz each time)',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 1), atMost('Envoy', 0.45)],
      },
    ];
  },
  handshake: async bench => {
    const headsFile = writeHeads(bench.material, 'handshake', [renderHead('/v1/items')]);
    const samples = await measure(bench, {
      mode: 'certificate',
      headsFile,
      load: { reconnect: true, connections: 16 },
    });
    return [
      {
        measure: 'New TLS connection with client certificate, one request each',
        values: pick(samples, 'cpuPerRequest'),
        unit: CPU,
        goals: [atMost('HAProxy', 1.3)],
      },
    ];
  },
  bodies: async bench => {
    const rows: Row[] = [];
    for (const [name, path] of [
      ['64 KiB bodies', '/v1/64k'],
      ['1 MiB bodies', '/v1/1m'],
      ['1 MiB chunked stream', '/v1/stream'],
    ] as const) {
      const headsFile = writeHeads(bench.material, 'bodies', [renderHead(path)]);
      const samples = await measure(bench, { mode: 'plain', headsFile, load: { connections: 16 } });
      rows.push({
        measure: name,
        values: pick(samples, 'megabytesPerSecond'),
        unit: 'MB/s',
        goals: [atLeast('HAProxy', 0.8)],
      });
    }
    return rows;
  },
  uploads: async bench => {
    const headsFile = writeHeads(bench.material, 'uploads', [renderChunkedRequest('/v1/upload', UPLOAD_BYTES)]);
    const samples = await measure(bench, { mode: 'plain', headsFile, load: { connections: 16 } });
    const sent = [...pick(samples, 'requests')].map(([peer, count]) => [peer, (count * UPLOAD_BYTES) / 1e6] as const);
    return [
      {
        measure: '1 MiB chunked uploads',
        values: perSecond(new Map(sent), bench),
        unit: 'MB/s',
        goals: [atLeast('HAProxy', 0.8)],
      },
    ];
  },
  http2: measureHttp2,
  grpc: measureGrpc,
  latency: measureLatency,
  memory: measureMemory,
  connections: measureConnections,
  start: measureStart,
  decision: measureDecision,
};

const STEPS: Readonly<Record<string, Measure>> = {
  steps: measureSteps,
  keys: measureKeys,
  subscriptions: measureSubscriptions,
  policies: measurePolicies,
};

const MEASURES: Readonly<Record<Page, Readonly<Record<string, Measure>>>> = { http1: HTTP1, steps: STEPS };

export const MEASURE_NAMES = Object.values(MEASURES).flatMap(each => Object.keys(each));

const atMost = (peer: string, bound: number) => ({ peer, bound, direction: 'at most' as const });
const atLeast = (peer: string, bound: number) => ({ peer, bound, direction: 'at least' as const });

const perSecond = (values: ReadonlyMap<string, number>, bench: Bench): Map<string, number> =>
  new Map([...values].map(([peer, count]) => [peer, count / bench.seconds]));

/** Rows by the page that they belong to; a page of which nothing was measured is left out. */
export async function measureAll(
  bench: Bench,
  only: readonly string[] | undefined,
): Promise<ReadonlyMap<Page, readonly Row[]>> {
  const pages = new Map<Page, Row[]>();
  for (const page of ['http1', 'steps'] as const) {
    for (const [name, run] of Object.entries(MEASURES[page])) {
      if (only !== undefined && !only.includes(name)) continue;
      process.stderr.write(`measuring ${name} …\n`);
      pages.set(page, [...(pages.get(page) ?? []), ...(await run(bench))]);
    }
  }
  return pages;
}
