/**
 * What the product leans on goes away and comes back under load: what must keep working does, what must fail is 503, and
 * nobody is let in who would not have been. The mesh CA is short-lived all the while.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Clients, LoadOptions, LoadReport } from '../support/installation-clients.ts';
import { addressesOf, killSidecar, listPods, waitForPods } from '../support/installation-pods.ts';
import {
  applyExample,
  copyMeshCa,
  describeColor,
  render,
  type RequestOptions,
  type Scene,
  SHOP,
  waitForRollout,
} from '../support/installation-scene.ts';
import { installSallyport, SYSTEM } from '../support/installation.ts';
import type { GetInstalled } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const WEB: RequestOptions = { path: '/v1/devices/robot-7', token: 'web' };
const DEVICE: RequestOptions = {
  ...{ method: 'POST', path: '/v1/devices/robot-7/telemetry', device: 'robot-7', body: '{"celsius":21}' },
};
/** All clients have one address; answers about devices are forgotten soon. */
const CHANGES = {
  'calls: 600': 'calls: 1000000',
  'timeout: 20s': 'timeout: 5s\n  cache: { ttl: 2s, negativeTtl: 2s }',
};
const COPY_MS = 3000;
/** The next one signs after two thirds of that. */
const CA_SECONDS = 90;
const OVERLAP_SECONDS = 30;
const ROTATED_MS = 120_000;

export function testOutages(get: GetInstalled): void {
  describe('Sallyport with parts away', () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    let copying: NodeJS.Timeout;

    before(async () => {
      ({ node, clients, scene } = get());
      const flags = [`--mesh-ca-lifetime=${CA_SECONDS}s`, `--mesh-ca-overlap=${OVERLAP_SECONDS}s`];
      await installSallyport(node, { values: [`controller.extraArgs={${flags.join(',')}}`] });
      await applyExample(node, CHANGES);
      await replaceMeshCa(node);
      // As whoever runs device-auth would, with trust-manager or the like.
      copying = setInterval(() => void copyMeshCa(node).catch(() => undefined), COPY_MS);
    });
    after(() => clearInterval(copying));

    const kubectl = (namespace: string, ...args: readonly string[]) => node.kubectl(['-n', namespace, ...args]);

    const scale = async (namespace: string, name: string, replicas: number): Promise<void> => {
      const { code, stderr } = await kubectl(namespace, 'scale', `deployment/${name}`, `--replicas=${replicas}`);
      assert.equal(code, 0, stderr);
      if (replicas > 0) await waitForRollout(node, namespace, name);
      else
        await node.waitFor(
          `${name} to be gone`,
          async () => (await kubectl(namespace, 'get', 'pods', '-o', 'name')).stdout.trim() === '',
          60_000,
        );
    };

    const during = async (
      happens: () => Promise<unknown>,
      about = WEB,
      options: LoadOptions = {},
    ): Promise<LoadReport> => {
      const load = await clients.load(scene.request(about), { clients: 2, ...options });
      await happens();
      return load.stop();
    };

    const assertNoneFailed = ({ failed, failures, answers, statuses }: LoadReport): void => {
      assert.equal(failed, 0, JSON.stringify({ answers, statuses, failures: failures.slice(0, 5) }, undefined, 1));
    };

    const listAddresses = async (): Promise<readonly string[]> =>
      (await waitForPods(node, SHOP, 'fleet', 2)).map(pod => addressesOf(pod)[0] ?? '');

    /** On every pod. */
    const assertChangesTakeEffect = async (color: string): Promise<void> => {
      const addresses = await listAddresses();
      await node.apply(render([describeColor(color)]));
      const headers = { 'x-color': color };
      const seen = await Promise.all(
        addresses.map(address => clients.observe(scene.request({ ...WEB, address, headers }), 403)),
      );
      assert.ok(seen.every(each => each.seen));
    };

    test('the controller: pods go on, none starts unprotected, no policy is taken unread; then all is well again', async () => {
      const report = await during(async () => {
        await scale(SYSTEM, 'sallyport-controller', 0);
        const refused = await node.kubectl(['apply', '-f', '-'], render([describeColor('never')]));
        assert.notEqual(refused.code, 0);
        assert.match(refused.stderr, /validate\.sallyport\.dev/);
        const [pod] = await listPods(node, SHOP, 'fleet');
        await kubectl(SHOP, 'delete', 'pod', pod?.metadata.name ?? '');
        await node.waitFor('a pod that is refused', async () => {
          const { stdout } = await kubectl(SHOP, 'get', 'events', '--field-selector', 'reason=FailedCreate');
          return stdout.includes('inject.sallyport.dev');
        });
        assert.equal((await listPods(node, SHOP, 'fleet')).length, 1);
        assert.equal((await clients.ask(scene.request({ path: WEB.path }))).status, 401);
        await scale(SYSTEM, 'sallyport-controller', 1);
        // The ReplicaSet tries again when it likes, later and later.
        await kubectl(SHOP, 'annotate', 'replicaset', '-l', 'app=fleet', `again=${Date.now()}`, '--overwrite');
        await listAddresses();
      });
      assertNoneFailed(report);
      await assertChangesTakeEffect('after-controller');
    });

    test('the API server: pods go on with what they know, and catch up', async () => {
      const report = await during(async () => {
        await node.stopApiServer();
        await new Promise(resolve => setTimeout(resolve, 5000));
        assert.equal((await clients.ask(scene.request({ path: WEB.path }))).status, 401);
        assert.equal((await clients.ask(scene.request(DEVICE))).status, 200);
        await node.startApiServer();
      });
      assertNoneFailed(report);
      await assertChangesTakeEffect('after-api-server');
    });

    test('the API server, and a sidecar dies meanwhile: it comes back with what it knew', async () => {
      const [pod] = await waitForPods(node, SHOP, 'fleet', 2);
      assert.ok(pod !== undefined);
      const [address = ''] = addressesOf(pod);
      await node.stopApiServer();
      const load = await clients.load(scene.request({ path: WEB.path, address }), { expected: [401, 0, 503] });
      await killSidecar(node, pod);
      const dead = await clients.observe(scene.request({ ...WEB, address }), 0);
      const alive = await clients.observe(scene.request({ ...WEB, address }), 200, '', 60_000);
      assertNoneFailed(await load.stop());
      assert.deepEqual([dead.seen, alive.seen], [true, true]);
      await node.startApiServer();
      await assertChangesTakeEffect('after-restart');
    });

    // A rotation takes its time, and nothing of it should show while something else is away.
    describe('side by side', { concurrency: true }, () => {
      test('the mesh CA that signed is replaced by the next one, and certificates with it: no request fails', async t => {
        const before = await readSigningCa(node);
        const report = await during(async () => {
          await node.waitFor(
            'another CA',
            async () => {
              const now = await readSigningCa(node);
              return now !== '' && now !== before;
            },
            ROTATED_MS,
          );
          // What the one before signed is renewed after a third of its life, which ended with that CA's.
          await new Promise(resolve => setTimeout(resolve, (CA_SECONDS / 3) * 1000));
        });
        assertNoneFailed(report);
        t.diagnostic(`${report.answers} answers, p99 ${report.p99.toFixed(0)} ms`);
        assert.ok((await clients.observe(scene.request(DEVICE), 200)).seen);
      });

      test('device-auth: web clients go on, devices get 503, and are let in when it is back', async () => {
        assert.equal((await clients.ask(scene.request(DEVICE))).status, 200);
        const report = await during(async () => {
          await scale('fleet', 'device-auth', 0);
          assert.ok((await clients.observe(scene.request(DEVICE), 503, 'DeviceAuthUnavailable', 70_000)).seen);
          await scale('fleet', 'device-auth', 1);
          assert.ok((await clients.observe(scene.request(DEVICE), 200, '', 30_000)).seen);
        });
        assertNoneFailed(report);
      });
    });

    test('the issuer: its keys are known and serve on; pods that never had them answer 503 until it is back', async () => {
      assertNoneFailed(await during(() => scale('identity', 'login', 0)));
      const report = await during(
        async () => {
          await kubectl(SHOP, 'rollout', 'restart', 'deployment/fleet');
          await waitForRollout(node, SHOP, 'fleet');
          assert.ok((await clients.observe(scene.request(WEB), 503, 'KeysUnavailable', 60_000)).seen);
          assert.equal((await clients.ask(scene.request({ path: WEB.path }))).status, 401);
          await scale('identity', 'login', 1);
          for (const address of await listAddresses()) {
            assert.ok((await clients.observe(scene.request({ ...WEB, address }), 200, '', 60_000)).seen);
          }
        },
        WEB,
        { expected: [200, 503] },
      );
      assertNoneFailed(report);
      assertNoneFailed(await during(() => new Promise(resolve => setTimeout(resolve, 1000))));
    });
  });
}

/** The one that is there lasts a year. Without overlap, so what it signed has to go with it. */
async function replaceMeshCa(node: ClusterNode): Promise<void> {
  const before = await readSigningCa(node);
  await node.kubectl(['-n', SYSTEM, 'delete', 'secret', 'sallyport-mesh-ca']);
  await node.waitFor('a mesh CA that ends soon', async () => {
    const now = await readSigningCa(node);
    return now !== '' && now !== before;
  });
  await node.waitFor('its bundle at device-auth', () => copyMeshCa(node));
  await Promise.all(
    [
      ['fleet', 'device-auth'],
      [SHOP, 'fleet'],
    ].map(async ([namespace = '', name = '']) => {
      await node.kubectl(['-n', namespace, 'rollout', 'restart', `deployment/${name}`]);
      await waitForRollout(node, namespace, name);
    }),
  );
}

/** Its fingerprint; empty while nobody answers. */
async function readSigningCa(node: ClusterNode): Promise<string> {
  const { body } = await node.call('GET', `/api/v1/namespaces/${SYSTEM}/secrets/sallyport-mesh-ca`);
  const { data } = body as { data?: Readonly<Record<string, string>> };
  const pem = Buffer.from(data?.['ca.crt'] ?? '', 'base64');
  return pem.length === 0 ? '' : new X509Certificate(pem).fingerprint256;
}
