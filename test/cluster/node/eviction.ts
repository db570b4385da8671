/** Pods that are moved away as the nodes' owners do it, and an app that dies beside its sidecar, under steady load. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Clients, LoadReport } from '../support/installation-clients.ts';
import {
  addressesOf,
  isReady,
  killContainer,
  listPods,
  type PodSeen,
  waitForPods,
} from '../support/installation-pods.ts';
import { render, type RequestOptions, type Scene, SHOP } from '../support/installation-scene.ts';
import type { GetInstalled } from '../support/installed.ts';
import { NODE_NAME } from '../support/node-daemons.ts';
import type { ClusterNode } from '../support/node.ts';

const WEB: RequestOptions = { path: '/v1/devices/robot-7', token: 'web' };
const WITHIN_MS = 60_000;

export function testEviction(get: GetInstalled): void {
  describe('Sallyport, while its pods are moved', () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    before(async () => {
      ({ node, clients, scene } = get());
      await waitForPods(node, SHOP, 'fleet', 2);
      await node.apply(render([DISRUPTIONS]));
    });

    const listUids = async (): Promise<readonly string[]> =>
      (await waitForPods(node, SHOP, 'fleet', 2)).map(({ metadata }) => metadata.uid);
    const evict = async (pod: PodSeen | undefined): Promise<number> => {
      const { name } = pod?.metadata ?? assert.fail();
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: SHOP } };
      return (await node.call('POST', `/api/v1/namespaces/${SHOP}/pods/${name}/eviction`, eviction)).status;
    };
    const assertNoneFailed = ({ failed, failures, answers, statuses }: LoadReport): void => {
      assert.equal(failed, 0, JSON.stringify({ answers, statuses, failures: failures.slice(0, 5) }, undefined, 1));
      assert.ok(answers > 50, `only ${answers} answers`);
    };

    test('by kubectl drain, one after another as their budget allows: no request fails, and all are others', async () => {
      const old = await listUids();
      const load = await clients.load(scene.request(WEB));
      const drained = node.kubectl([
        ...['drain', NODE_NAME, '--pod-selector', 'app=fleet', '--delete-emptydir-data', '--timeout=120s'],
      ]);
      await node.waitFor(
        'the first eviction',
        async () => (await listPods(node, SHOP, 'fleet')).some(pod => !isReady(pod) && !old.includes(pod.metadata.uid)),
        WITHIN_MS,
      );
      const [kept] = (await listPods(node, SHOP, 'fleet')).filter(isReady);
      assert.equal(await evict(kept), 429, 'the budget keeps the last one that serves');
      // There is no other node to go to.
      assert.equal((await node.kubectl(['uncordon', NODE_NAME])).code, 0);
      const { code, stderr } = await drained;
      assert.equal(code, 0, stderr);
      const now = await listUids();
      assertNoneFailed(await load.stop());
      assert.deepEqual(
        now.filter(uid => old.includes(uid)),
        [],
      );
    });

    test('an app that is killed: 502 or 503 while it is away, nobody is let in, and it comes back', async t => {
      const [pod] = await waitForPods(node, SHOP, 'fleet', 2);
      assert.ok(pod !== undefined);
      const [address = ''] = addressesOf(pod);
      const permitted = await clients.load(scene.request({ ...WEB, address }), { expected: [200, 502, 503] });
      const nobody = await clients.load(scene.request({ path: WEB.path, address }), { expected: [401] });
      await killContainer(node, pod, 'fleet');
      assert.ok(
        (await clients.observe(scene.request({ ...WEB, address }), 502, '', 10_000)).seen,
        '502 while it is away',
      );
      await node.waitFor(
        'the app to be back',
        async () => {
          const now = (await listPods(node, SHOP, 'fleet')).find(({ metadata: { uid } }) => uid === pod.metadata.uid);
          const [app] = now?.status.containerStatuses ?? [];
          const [sidecar] = now?.status.initContainerStatuses?.filter(({ name }) => name === 'sallyport') ?? [];
          assert.equal(sidecar?.restartCount, 0, 'the sidecar stays');
          return app?.restartCount === 1 && now !== undefined && isReady(now);
        },
        WITHIN_MS,
      );
      assert.ok((await clients.observe(scene.request({ ...WEB, address }), 200)).seen);
      const [served, refused] = [await permitted.stop(), await nobody.stop()];
      t.diagnostic(`with a token: ${JSON.stringify(served.statuses)}; without: ${JSON.stringify(refused.statuses)}`);
      assertNoneFailed(served);
      assertNoneFailed(refused);
    });
  });
}

const DISRUPTIONS = {
  ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'fleet', namespace: SHOP } },
  spec: { minAvailable: 1, selector: { matchLabels: { app: 'fleet' } } },
};
