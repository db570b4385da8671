/**
 * What many sidecars cost the API server and the controller: real etcd, kube-apiserver and controller, and simulated
 * sidecars with the product’s own watches and streams. `node bench/cluster/api-load.ts [SIDECARS] [CHANGES] [PROCESSES]`;
 * needs `npm run cluster -- build --control-plane` and
 * `npm run build`. SETTLE_SECONDS and REST_SECONDS shorten a trial.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControllerProcess, type ControllerProcess } from '../../test/cluster/support/controller-process.ts';
import { openControllerScene, type ControllerScene } from '../../test/cluster/support/controller.ts';
import { until } from '../../test/support/until.ts';
import type { Order, Report, SidecarPlace } from './api-load/messages.ts';
import { createMeter, type Meter } from './api-load/meter.ts';
import { createNamespaces, createPods, LABELS, putClusterPolicy } from './api-load/scene.ts';

const PROGRAM = 'dist/main.js';
const NAMESPACES = Array.from({ length: 10 }, (_, i) => `team-${i}`);
const sidecars = Number(process.argv[2] ?? 1000);
const changes = Number(process.argv[3] ?? 5);
const processes = Number(process.argv[4] ?? 4);
const REST_MS = Number(process.env['REST_SECONDS'] ?? 60) * 1000;
/** Watches last five to ten minutes: from then on some of them begin anew all the time. */
const OLDEST_MS = Number(process.env['SETTLE_SECONDS'] ?? 330) * 1000;
const WAIT_MS = 300_000;

const scene = await openControllerScene();
const children: ChildProcess[] = [];
let controller: ControllerProcess | undefined;
try {
  controller = await openController(scene);
  await createNamespaces(scene, NAMESPACES);
  await putClusterPolicy(scene, 1);
  const pods = await createPods(scene, NAMESPACES, sidecars);
  const { server, ca, serverName } = controller.connection('');
  const places: SidecarPlace[] = pods.map(({ namespace, tokens }) => ({
    ...{ namespace, labels: LABELS },
    api: { server: scene.cluster.server, ca: scene.cluster.ca, token: tokens.api },
    controller: { server, ca: String(ca), serverName: String(serverName), token: tokens.controller },
  }));
  const meter = createMeter({
    ...{ etcd: findChild('etcd'), controller: controller.child.pid ?? 0 },
    apiServer: () => findChild('kube-apiserver'),
    apiPort: Number(new URL(scene.cluster.server).port),
    materialPort: controller.ports.material,
    readMetrics: async () => (await scene.cluster.kubectl(['get', '--raw', '/metrics'])).stdout,
    sidecars: () => children.map(({ pid = 0 }) => pid),
  });
  await sleep(15_000);
  console.log(await meter.over('at rest, no sidecar', () => sleep(REST_MS)));
  console.log(await meter.over(`${sidecars} sidecars start`, () => startAll(places)));
  console.log(await meter.over('until every acknowledgement is counted', untilEnforced));
  await sleep(8000);
  for (let change = 0; change < changes; change++) {
    console.log(await measureChange(scene, meter, change + 2));
    await sleep(8000);
  }
  await sleep(OLDEST_MS);
  console.log(await meter.over('at rest, all sidecars', () => sleep(REST_MS)));
  console.log(await meter.over('the API server is killed and started: until all watch', () => restart(scene)));
} finally {
  for (const child of children) child.kill('SIGKILL');
  await controller?.stop();
  await scene.close();
}

async function openController({ cluster }: ControllerScene): Promise<ControllerProcess> {
  const started = await startControllerProcess(cluster, {
    ...{ program: PROGRAM, trusted: true },
    args: ['--log-level', 'warn'],
  });
  await until('the controller to be ready', async () => (await started.get('/readyz')) === 'ok\n', 60_000);
  return started;
}

async function startAll(places: readonly SidecarPlace[]): Promise<void> {
  const each = Math.ceil(places.length / processes);
  for (let at = 0; at < places.length; at += each) {
    const child = fork(new URL('api-load/sidecars.ts', import.meta.url));
    children.push(child);
    await once(child, 'spawn');
    child.send({ type: 'start', sidecars: places.slice(at, at + each) } satisfies Order);
  }
  await untilAll();
}

async function untilAll(): Promise<void> {
  await until(
    'all to watch and to be connected',
    async () => (await report()).every(({ watching, connected, of }) => watching === of && connected === of),
    WAIT_MS,
  );
}

interface Told extends Report {
  readonly of: number;
}

async function report(): Promise<readonly Told[]> {
  const each = Math.ceil(sidecars / children.length);
  return Promise.all(
    children.map(async (child, index) => {
      const answer = once(child, 'message') as Promise<[Report]>;
      child.send({ type: 'report' } satisfies Order);
      const [told] = await answer;
      return { ...told, of: Math.min(each, sidecars - index * each) };
    }),
  );
}

async function untilEnforced(): Promise<void> {
  const wanted = `on ${sidecars}/${sidecars} pods`;
  await until(
    wanted,
    async () => (await scene.condition('clusterauthpolicy', '', 'all', 'Enforced')).includes(wanted),
    WAIT_MS,
  );
}

async function measureChange(at: ControllerScene, meter: Meter, version: number): Promise<string> {
  let spread = '';
  const cost = await meter.over('one change of the cluster policy', async () => {
    const startedAt = Date.now();
    const generation = await putClusterPolicy(at, version);
    const times = (): Promise<number[]> =>
      report().then(all => all.flatMap(({ seen }) => new Map(seen).get(generation) ?? []));
    await until('all to have it', async () => (await times()).length === sidecars, WAIT_MS);
    const sorted = (await times()).map(time => time - startedAt).sort((a, b) => a - b);
    const pick = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    await untilEnforced();
    spread = `in force after p50 ${pick(0.5)} ms, p99 ${pick(0.99)} ms, last ${pick(1)} ms; counted after ${Date.now() - startedAt} ms`;
    // What acknowledgements cause afterwards belongs to the change.
    await sleep(5000);
  });
  return `${cost}\n    ${spread}`;
}

async function restart({ cluster }: ControllerScene): Promise<void> {
  await cluster.stopApiServer();
  await sleep(3000);
  const startedAt = Date.now();
  await cluster.startApiServer();
  console.log(`    the API server was ready after ${Date.now() - startedAt} ms`);
  await untilAll();
  console.log(`    all watch again after ${Date.now() - startedAt} ms`);
  await untilEnforced();
}

/** Process id of a program that this process started. */
function findChild(name: string): number {
  for (const entry of readdirSync('/proc').filter(each => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')[0] ?? '';
      if (Number(parent) === process.pid && command.endsWith(`/${name}`)) return Number(entry);
    } catch {
      // It ended in the meantime.
    }
  }
  throw new Error(`${name} does not run`);
}
