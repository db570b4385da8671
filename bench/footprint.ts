/** Memory at rest, memory of idle connections, cold start, and cost per request as the number of operations grows. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, planLoad, type Bench } from './bench.ts';
import { renderHead, writeHeads } from './material.ts';
import { envoy } from './peers/envoy.ts';
import { haproxy } from './peers/haproxy.ts';
import type { Peer, PeerContext, Ports } from './peers/peer.ts';
import { renderApi, renderPolicy, sallyport, startSallyport, writeManifests } from './peers/sallyport.ts';
import { readCpuMicroseconds, readResidentMiB, runLoad, startLoad, waitForPort, type Running } from './process.ts';
import type { Row } from './report.ts';

/** Long enough for a process at rest to give back what it does not need. */
export const REST_MS = 6000;

const READY_MS = 60_000;

const within = (bound: number) => ({ bound, direction: 'at most' as const });

const context = (bench: Bench, mode: PeerContext['mode']): PeerContext => ({
  material: bench.material,
  ports: bench.ports,
  mode,
});

export async function waitForReady({ health }: Pick<Ports, 'health'>): Promise<void> {
  const begin = performance.now();
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${health}/readyz`).then(
      answer => answer.ok,
      () => false,
    );
    if (ready) return;
    if (performance.now() - begin > READY_MS) throw new Error(`not ready at 127.0.0.1:${health}`);
    await sleep(1);
  }
}

/** Resident memory of each peer at rest, and of Sallyport with 1,000 policies. */
export async function measureMemory(bench: Bench): Promise<Row[]> {
  const values = new Map<string, number>();
  for (const peer of [sallyport, haproxy, envoy].filter(each => each.version() !== undefined)) {
    values.set(peer.name, await measureRest(bench, peer.start(context(bench, 'token'))));
  }
  const many = new Map([
    ['Sallyport', await measureRest(bench, startSallyport(context(bench, 'token'), writeMany(bench, 1000)))],
  ]);
  return [
    { measure: 'Resident at rest, one policy', values, unit: 'MiB', goals: [within(64)] },
    { measure: 'Resident at rest, 1,000 policies', values: many, unit: 'MiB', goals: [within(80)] },
  ];
}

async function measureRest(bench: Bench, running: Running): Promise<number> {
  try {
    await waitForPort(bench.ports.listen);
    await sleep(REST_MS);
    return readResidentMiB(running.pid);
  } finally {
    await running.stop();
  }
}

/** One operation and one policy for each of `count` names, beside the ordinary token policy. */
function writeMany(bench: Bench, count: number): string {
  const [, ...rest] = renderPolicy(context(bench, 'token'));
  const names = Array.from({ length: count }, (_, i) => `op-${i}`);
  const operations = names.map(name => ({ name, methods: ['GET'], path: `/things/${name}/{id}` }));
  const policies = names.map(name => ({
    apiVersion: 'sallyport.dev/v1alpha1',
    kind: 'AuthPolicy',
    metadata: { name, namespace: 'bench' },
    spec: {
      targetRefs: [{ kind: 'Api', name: 'bench', sectionName: name }],
      request: [
        { name: 'rules', authorize: { deny: [{ name: 'no-lab', expression: `params.id.startsWith('lab-${name}')` }] } },
      ],
    },
  }));
  return writeManifests(context(bench, 'token'), [renderApi('tls', operations), ...rest, ...policies], `many-${count}`);
}

/** Resident memory that each of 10,000 idle plaintext connections costs, after one request on each. */
export async function measureConnections(bench: Bench): Promise<Row[]> {
  const values = new Map<string, number>();
  for (const peer of [sallyport, haproxy, envoy].filter(each => each.version() !== undefined)) {
    values.set(peer.name, await measureHeld(bench, peer));
  }
  return [{ measure: 'Each of 10,000 idle plaintext connections', values, unit: 'KiB', goals: [within(20)] }];
}

/** The second 9,000 of 10,000: what the first 1,000 have warmed up is not counted. */
async function measureHeld(bench: Bench, peer: Peer): Promise<number> {
  const running = peer.start(context(bench, 'plain'));
  const headsFile = writeHeads(bench.material, 'held', [renderHead('/v1/items')]);
  const plan = { ...planLoad(bench, { mode: 'plain', headsFile }), seconds: 60, hold: true };
  const loads: ChildProcess[] = [];
  const hold = async (connections: number): Promise<number> => {
    const { child, result } = startLoad({ ...plan, connections });
    loads.push(child);
    const { requests, failures } = await result;
    if (failures > 0)
      process.stderr.write(`${peer.name}: ${failures} of ${requests + failures} held connections failed\n`);
    await sleep(REST_MS);
    return readResidentMiB(running.pid);
  };
  try {
    await waitForPort(bench.ports.listen);
    const before = await hold(1000);
    const after = await hold(9000);
    return ((after - before) * 1024) / 9000;
  } finally {
    for (const load of loads) load.kill('SIGKILL');
    await running.stop();
  }
}

/** From starting the process to ready (Sallyport, files source) or to listening (the others). */
export async function measureStart(bench: Bench): Promise<Row[]> {
  const values = new Map<string, number>();
  for (const peer of [sallyport, haproxy, envoy].filter(each => each.version() !== undefined)) {
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const begin = performance.now();
      const running = peer.start(context(bench, 'token'));
      try {
        await (peer === sallyport ? waitForReady(bench.ports) : waitForPort(bench.ports.listen));
        times.push(performance.now() - begin);
      } finally {
        await running.stop();
      }
    }
    values.set(peer.name, median(times));
  }
  return [{ measure: 'Cold start to ready', values, unit: 'ms', goals: [within(250)] }];
}

/** CPU per plain request with 10 and with 10,000 operations; the whole request, of which the match is a part. */
export async function measureDecision(bench: Bench): Promise<Row[]> {
  const cost = new Map<number, number>();
  for (const count of [10, 100, 1000, 10_000]) cost.set(count, await measureOperations(bench, count));
  const base = cost.get(10) ?? Number.NaN;
  return [...cost].map(([count, value]) => ({
    measure: `Plain request, ${count} operations, × of 10 operations`,
    values: new Map([['Sallyport', value / base]]),
    unit: '×',
    goals: [within(1.2)],
  }));
}

async function measureOperations(bench: Bench, count: number): Promise<number> {
  const operations = Array.from({ length: count }, (_, i) => ({
    name: `op-${i}`,
    methods: ['GET'],
    path: `/things/op-${i}/{id}`,
  }));
  const [, policy] = renderPolicy(context(bench, 'plain'));
  const folder = writeManifests(
    context(bench, 'plain'),
    [renderApi('plain', operations), ...(policy === undefined ? [] : [policy])],
    `operations-${count}`,
  );
  const headsFile = writeHeads(
    bench.material,
    'operations',
    Array.from({ length: 10 }, (_, i) => renderHead(`/v1/things/op-${i * (count / 10)}/7`)),
  );
  const running = startSallyport(context(bench, 'plain'), folder);
  try {
    await waitForPort(bench.ports.listen);
    await waitForReady(bench.ports);
    const plan = planLoad(bench, { mode: 'plain', headsFile });
    await runLoad({ ...plan, seconds: 2 });
    const before = readCpuMicroseconds(running.pid);
    const { requests } = await runLoad(plan);
    return (readCpuMicroseconds(running.pid) - before) / Math.max(1, requests);
  } finally {
    await running.stop();
  }
}
