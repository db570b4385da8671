/** A million keys of one rate limit, sent over the wire: what they take in memory, and what becomes of one key more. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PEERS, planLoad, type Bench } from '../bench.ts';
import type { LoadPlan, LoadResult } from '../load-generator.ts';
import { renderHead, writeHeads } from '../material.ts';
import { startHaproxy } from '../peers/haproxy.ts';
import { kind, renderApi, startSallyport, writeManifests } from '../peers/sallyport.ts';
import { readResidentMiB, runLoad, waitForPort, type Running } from '../process.ts';
import type { Goal, Row } from '../report.ts';
import { renderHaproxy } from './step-haproxy.ts';

const KEYS = 1_000_000;
/** Of each key, in a day: none comes back while this runs. */
const CALLS = 100;
const LATER = 1000;
/** Of 1,000 keys, half of their calls. */
const WARM_UP = 50_000;
const REST_MS = 3000;
/** The table's places are 20 bytes, and at most three of eight of them are free after it has grown. */
const MOST_BYTES = 64;
const LONGEST_SECONDS = 400;

interface Peer {
  readonly name: string;
  readonly start: (bench: Bench) => Running;
}

const KEY_PEERS: readonly Peer[] = [
  {
    name: 'Sallyport',
    start: bench => startSallyport({ ...bench, mode: 'plain' }, writeManifests(bench, renderObjects(), 'keys')),
  },
  {
    name: 'HAProxy',
    start: ({ material, ports }) =>
      startHaproxy(
        material.write(
          'haproxy-keys.cfg',
          renderHaproxy(ports.listen - 1, ports.appPlain, [
            {
              name: 'keys',
              sallyport: {},
              haproxy: [
                `stick-table type string len 16 size ${KEYS} expire 24h store http_req_cnt`,
                'http-request track-sc0 req.hdr(x-key)',
                `http-request deny deny_status 429 if { sc_http_req_cnt(0) gt ${CALLS} }`,
              ],
            },
          ]),
        ),
      ),
  },
];

const renderObjects = (): readonly object[] => [
  renderApi('plain'),
  kind('keys', 'AuthPolicy', {
    targetRefs: [{ kind: 'Api', name: 'bench' }],
    request: [
      { name: 'open', anyOf: [{ anonymous: {} }] },
      { name: 'rate', rateLimit: { calls: CALLS, period: '24h', key: "${request.headers['x-key']}", maxKeys: KEYS } },
    ],
  }),
];

interface Seen {
  readonly beforeMiB: number;
  readonly fullMiB: number;
  readonly laterMiB: number;
  /** Of the requests with new keys that came when the table was full. */
  readonly letIn: number;
  /** A key that was there before then. */
  readonly isKnownLetIn: boolean;
}

export async function measureKeys(bench: Bench): Promise<Row[]> {
  const seen = new Map<string, Seen>();
  for (const peer of KEY_PEERS) {
    const isHere = PEERS.find(({ name }) => name === peer.name)?.version() !== undefined;
    if (isHere && (bench.peers?.includes(peer.name) ?? true)) seen.set(peer.name, await fill(bench, peer));
  }
  const row = (measure: string, unit: string, read: (each: Seen) => number, goals: readonly Goal[] = []): Row => ({
    measure,
    unit,
    goals,
    values: new Map([...seen].map(([name, each]) => [name, read(each)])),
  });
  return [
    row('Resident before a rate limit’s first key', 'MiB', each => each.beforeMiB),
    row('Resident with 1,000,000 keys, sent over the wire', 'MiB', each => each.fullMiB),
    row('Each of them', 'bytes', each => ((each.fullMiB - each.beforeMiB) * 2 ** 20) / KEYS, [
      { bound: MOST_BYTES, direction: 'at most' },
    ]),
    row(`Resident after ${LATER} keys more than its bound`, 'MiB', each => each.laterMiB),
    row(
      `Let in of those, each for the first time (they share one counter of ${CALLS} calls: P7)`,
      'requests',
      each => each.letIn,
      [
        { bound: CALLS, direction: 'at most' },
        { bound: CALLS, direction: 'at least' },
      ],
    ),
    row('A key that was there before still has its own calls (1: yes)', '', each => (each.isKnownLetIn ? 1 : 0), [
      { bound: 1, direction: 'at least' },
    ]),
  ];
}

async function fill(bench: Bench, { name, start }: Peer): Promise<Seen> {
  const running = start(bench);
  const repeated = writeHeads(
    bench.material,
    'few-keys',
    Array.from({ length: 1000 }, (_, i) => renderHead('/v1/items', { 'X-Key': `key-${String(i).padStart(7, '0')}` })),
  );
  const headsFile = writeHeads(bench.material, 'keys', [renderHead('/v1/items', { 'X-Key': 'key-0000000' })]);
  const ask = (load: Partial<LoadPlan>): Promise<LoadResult> =>
    runLoad({ ...planLoad(bench, { mode: 'plain', headsFile }), numbered: true, seconds: LONGEST_SECONDS, ...load });
  const read = async (): Promise<number> => (await sleep(REST_MS), readResidentMiB(running.pid));
  try {
    await waitForPort(bench.ports.listen);
    // The program is warm then, and its table nearly empty.
    await ask({ numbered: false, headsFile: repeated, requests: WARM_UP });
    const beforeMiB = await read();
    const { failures, firstFailure } = await ask({ requests: KEYS });
    if (failures > 0) process.stderr.write(`${name}, keys: ${failures} failures, first: ${firstFailure ?? ''}\n`);
    const fullMiB = await read();
    const later = await ask({ requests: LATER, offset: KEYS });
    const laterMiB = await read();
    const known = await ask({ requests: 1, connections: 1, offset: KEYS / 2 });
    return { beforeMiB, fullMiB, laterMiB, letIn: later.requests - later.failures, isKnownLetIn: known.failures === 0 };
  } finally {
    await running.stop();
  }
}
