/**
 * What protection costs on a real node, and how fast a policy takes effect there: the chart installed, two pods of an app
 * behind a Service. `node bench/cluster/node.ts [CHANGES] [POLICIES] [STARTS]`; needs root and `npm run cluster -- build`.
 */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { provideImage } from '../../cluster/images.ts';
import { requirePart } from '../../cluster/parts.ts';
import { openClients } from '../../test/cluster/support/installation-clients.ts';
import {
  addressesOf,
  type AppPod,
  describeBarePod,
  isReady,
  listPods,
  type PodSeen,
  waitForPods,
} from '../../test/cluster/support/installation-pods.ts';
import { describeColor, openScene, render, type Scene, SHOP } from '../../test/cluster/support/installation-scene.ts';
import { importImages, installSallyport, SYSTEM } from '../../test/cluster/support/installation.ts';
import { locateSocket } from '../../test/cluster/support/node-daemons.ts';
import { openNode } from '../../test/cluster/support/node.ts';

const MIB = 2 ** 20;
const PLAIN = 'plain';
const changes = Number(process.argv[2] ?? 50);
const policies = Number(process.argv[3] ?? 1000);
const starts = Number(process.argv[4] ?? 6);

const node = await openNode();
const clients = openClients(node);
try {
  await importImages(node, console.log);
  await installSallyport(node);
  const scene = await openScene(node, { changes: { 'calls: 600': 'calls: 1000000' } });
  await node.createNamespace(PLAIN);
  console.log(
    `image archive: ${(statSync((await provideImage('sallyport', console.log)).archive).size / MIB).toFixed(0)} MiB`,
  );
  await sleep(15_000);
  console.log(`memory at rest: ${await describeMemory()}`);
  for (const namespace of starts === 0 ? [] : [PLAIN, SHOP, PLAIN, SHOP]) console.log(await measureStarts(namespace));
  const load = await clients.load(scene.request({ path: '/v1/devices/robot-7', token: 'web' }), {
    clients: 16,
    pauseMs: 5,
  });
  await sleep(20_000);
  const { answers, p50, p99 } = await load.stop();
  console.log(`load of 20 s: ${answers} answers, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  console.log(`memory after load: ${await describeMemory()}`);
  console.log(await measureChanges(scene, 'few policies'));
  await createPolicies();
  await sleep(10_000);
  console.log(await measureChanges(scene, `${policies} policies`));
  console.log(`memory with ${policies} policies: ${await describeMemory()}`);
} finally {
  clients.close();
  await node.close();
}

/** From the request that makes a pod until it is ready; its app has no probe. */
async function measureStarts(namespace: string): Promise<string> {
  const taken: number[] = [];
  for (let i = 0; i < starts; i++) {
    const about: AppPod = { namespace, name: `start-${i}`, spec: { terminationGracePeriodSeconds: 0 } };
    const begin = performance.now();
    await node.call('POST', `/api/v1/namespaces/${namespace}/pods`, describeBarePod(about));
    await node.waitFor('the pod', async () => (await listPods(node, namespace, about.name)).some(isReady), 60_000);
    taken.push(performance.now() - begin);
    await node.kubectl(['-n', namespace, 'delete', 'pod', about.name, '--wait=true']);
  }
  return `pod start in ${namespace === SHOP ? 'a protected' : 'a plain'} namespace, ms: ${describeSpread(taken)}`;
}

async function measureChanges(scene: Scene, title: string): Promise<string> {
  const addresses = (await waitForPods(node, SHOP, 'fleet', 2)).map(pod => addressesOf(pod)[0] ?? '');
  const [enforced, ran]: [number[], number[]] = [[], []];
  for (let change = 0; change < changes; change++) {
    const color = `${title.replaceAll(/\W/g, '')}-${change}`;
    const seeing = addresses.map(address =>
      clients.observe(
        scene.request({ path: '/v1/devices/robot-7', token: 'web', address, headers: { 'x-color': color } }),
        403,
      ),
    );
    await sleep(500); // one change, not a storm; and the clients are connected
    const begin = Date.now();
    await node.apply(render([describeColor(color)]));
    ran.push(Date.now() - begin);
    enforced.push(Math.max(...(await Promise.all(seeing)).map(({ at }) => at)) - begin);
  }
  return `${title}: kubectl apply → enforced on 2 pods, ms: ${describeSpread(enforced)}; kubectl itself: ${describeSpread(ran)}`;
}

/** Of other Apis, as a namespace with many apps has them. */
async function createPolicies(): Promise<void> {
  const make = async (i: number): Promise<void> => {
    const { metadata, spec, ...policy } = describeColor(`other-${i}`) as { metadata: object; spec: object };
    const targetRefs = [{ kind: 'Api', name: `other-${i}` }];
    const body = { ...policy, metadata: { ...metadata, name: `other-${i}` }, spec: { ...spec, targetRefs } };
    const { status } = await node.call('POST', `/apis/sallyport.dev/v1alpha1/namespaces/${SHOP}/authpolicies`, body);
    if (status !== 201) throw new Error(`policy ${i}: ${status}`);
  };
  for (let i = 0; i < policies; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => make(i + k)));
}

async function describeMemory(): Promise<string> {
  const sidecars = await Promise.all((await listPods(node, SHOP, 'fleet')).map(pod => readResident(pod, 'sallyport')));
  const { body } = await node.call('GET', `/api/v1/namespaces/${SYSTEM}/pods`);
  const [controller] = (body as { items: PodSeen[] }).items;
  const own = controller === undefined ? '' : await readResident(controller, 'controller');
  return `sidecars ${sidecars.join(', ')}; controller ${own}`;
}

/** Resident memory of a container's first process. */
async function readResident({ status }: PodSeen, container: string): Promise<string> {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const id = all.find(({ name }) => name === container)?.containerID?.replace('containerd://', '') ?? '';
  const ctr = [requirePart('ctr'), '--address', locateSocket(node.folder), '--namespace', 'k8s.io'];
  const { stdout } = await node.execInNetns([...ctr, 'tasks', 'ls']);
  const [, pid] = new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(stdout) ?? [];
  const { stdout: told } = await node.execInNetns(['cat', `/proc/${pid ?? ''}/status`]);
  return `${(Number(/VmRSS:\s+(\d+)/.exec(told)?.[1] ?? 0) / 1024).toFixed(0)} MiB`;
}

function describeSpread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, least ${at(0)}`;
}
