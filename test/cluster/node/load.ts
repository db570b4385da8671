/** Whatever happens to pods, the chart and the policies: under steady load no request fails, and nothing is unprotected. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { requirePart } from '../../../cluster/parts.ts';
import type { Clients, LoadReport, LoadOptions } from '../support/installation-clients.ts';
import {
  addressesOf,
  isReady,
  killSidecar,
  listPods,
  type PodSeen,
  waitForPods,
} from '../support/installation-pods.ts';
import {
  describeColor,
  render,
  type RequestOptions,
  type Scene,
  SHOP,
  waitForRollout,
} from '../support/installation-scene.ts';
import { installSallyport, listImages } from '../support/installation.ts';
import { locateSocket } from '../support/node-daemons.ts';
import type { GetInstalled } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const WEB: RequestOptions = { path: '/v1/devices/robot-7', token: 'web' };
const CHANGES = 20;

export function testLoad(get: GetInstalled): void {
  describe('Sallyport under load', () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    before(() => {
      ({ node, clients, scene } = get());
    });

    const kubectl = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await node.kubectl(['-n', SHOP, ...args]);
      assert.equal(code, 0, stderr);
      return stdout;
    };

    /** What clients got while this happened, and a second before and after. */
    const during = async (
      happens: () => Promise<unknown>,
      about = WEB,
      options: LoadOptions = {},
    ): Promise<LoadReport> => {
      const load = await clients.load(scene.request(about), options);
      await pause();
      await happens();
      await pause();
      return load.stop();
    };

    const assertNoneFailed = ({ failed, failures, answers, statuses }: LoadReport): void => {
      assert.equal(failed, 0, JSON.stringify({ answers, statuses, failures: failures.slice(0, 5) }, undefined, 1));
      assert.ok(answers > 50, `only ${answers} answers`);
    };

    const rollOut = async (): Promise<void> => {
      await kubectl('rollout', 'restart', 'deployment/fleet');
      await waitForRollout(node, SHOP, 'fleet');
      await waitUntilGone();
    };

    /** Pods that end go on answering while they do. */
    const waitUntilGone = (): Promise<unknown> =>
      node.waitFor(
        'the old pods to be gone',
        async () => {
          const { body } = await node.call('GET', `/api/v1/namespaces/${SHOP}/pods?labelSelector=app%3Dfleet`);
          return (body as { items: PodSeen[] }).items.every(pod => pod.metadata.deletionTimestamp === undefined);
        },
        60_000,
      );

    test('a rollout: no request fails', async () => {
      assertNoneFailed(await during(rollOut));
    });

    test('one more pod, and then fewer: no request fails', async () => {
      const scale = async (replicas: number): Promise<void> => {
        await kubectl('scale', 'deployment/fleet', `--replicas=${replicas}`);
        await waitForPods(node, SHOP, 'fleet', replicas);
        await waitUntilGone();
      };
      assertNoneFailed(
        await during(async () => {
          await scale(3);
          await scale(1);
          await scale(2);
        }),
      );
    });

    test('a pod that is deleted: no request fails', async () => {
      assertNoneFailed(
        await during(async () => {
          const [pod] = await listPods(node, SHOP, 'fleet');
          await kubectl('delete', 'pod', pod?.metadata.name ?? '');
          await waitForPods(node, SHOP, 'fleet', 2);
        }),
      );
    });

    test('an upgrade of the chart to another image, and a rollout: no request fails', async () => {
      const names = ['localhost/sallyport:test', 'localhost/sallyport:next'];
      await node.execInNetns([
        ...[requirePart('ctr'), '--address', locateSocket(node.folder), '--namespace', 'k8s.io'],
        ...['images', 'tag', ...names],
      ]);
      assertNoneFailed(
        await during(async () => {
          await installSallyport(node, { tag: 'next' });
          assert.deepEqual(await listImages(node, SHOP, 'fleet'), [names[0]], 'pods that run keep their sidecar');
          await rollOut();
        }),
      );
      assert.deepEqual(await listImages(node, SHOP, 'fleet'), [names[1]]);
    });

    test('a policy is in force on every pod within a second or two of kubectl apply', async t => {
      const addresses = (await waitForPods(node, SHOP, 'fleet', 2)).map(pod => addressesOf(pod)[0] ?? '');
      const delays: number[] = [];
      const applying: number[] = [];
      for (let change = 0; change < CHANGES; change++) {
        const color = `c${change}`;
        const seeing = addresses.map(address =>
          clients.observe(scene.request({ ...WEB, address, headers: { 'x-color': color } }), 403),
        );
        const begin = Date.now();
        await node.apply(render([describeColor(color)]));
        applying.push(Date.now() - begin);
        const seen = await Promise.all(seeing);
        assert.ok(seen.every(each => each.seen));
        delays.push(Math.max(...seen.map(({ at }) => at)) - begin);
      }
      delays.sort((a, b) => a - b);
      applying.sort((a, b) => a - b);
      t.diagnostic(`from the start of kubectl apply to enforced on 2 pods, ms: ${delays.join(' ')}`);
      t.diagnostic(`of which kubectl itself ran, ms: ${applying.join(' ')}`);
      assert.ok((delays.at(-2) ?? 0) < 5000, delays.join(' '));
      await kubectl('delete', 'authpolicy', 'color');
    });

    test('a sidecar that is killed: nobody gets past meanwhile, and it comes back', async () => {
      const [pod] = await waitForPods(node, SHOP, 'fleet', 2);
      assert.ok(pod !== undefined);
      const [address = ''] = addressesOf(pod);
      const nobody = { path: WEB.path, address };
      const { statuses } = await during(
        async () => {
          await killSidecar(node, pod);
          await node.waitFor(
            'the sidecar to be back',
            async () => {
              const now = (await listPods(node, SHOP, 'fleet')).find(
                ({ metadata: { uid } }) => uid === pod.metadata.uid,
              );
              const sidecar = now?.status.initContainerStatuses?.find(({ name }) => name === 'sallyport');
              return now !== undefined && sidecar?.restartCount === 1 && sidecar.ready && isReady(now);
            },
            60_000,
          );
        },
        nobody,
        { expected: [401] },
      );
      assert.deepEqual(Object.keys(statuses).sort(), ['0', '401'], JSON.stringify(statuses));
      assert.equal((await clients.ask(scene.request({ ...WEB, address }))).status, 200);
    });
  });
}

/** Load before and after what happens. */
const pause = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1000));
