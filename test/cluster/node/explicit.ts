/** Where no rules may be written: the sidecar stands at the pod's addresses, the app must be on loopback, and status says when it is not. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Manifest } from '../../support/manifests.ts';
import type { Ask, Clients } from '../support/installation-clients.ts';
import {
  addressesOf,
  describeBarePod,
  describeOwner,
  isReady,
  listPods,
  type PodSeen,
  waitForPods,
} from '../support/installation-pods.ts';
import { openApi } from '../support/open-api.ts';
import { render, waitForRollout } from '../support/installation-scene.ts';
import { type GetInstalled, STRICT } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const WITHIN_MS = 60_000;

export function testExplicit(get: GetInstalled): void {
  describe('explicit mode in a restricted namespace', { concurrency: 1 }, () => {
    let node: ClusterNode;
    let clients: Clients;
    before(() => {
      ({ node, clients } = get());
    });

    const ask = (pod: PodSeen, port = 8080): Ask => ({
      ...{ address: addressesOf(pod)[0] ?? '', port, path: '/', headers: { host: 'zoo.example' } },
    });
    /** The condition AppExposed of an Api; empty: it has none. */
    const readExposed = async (name: string): Promise<string> => {
      const path = '{range .status.conditions[?(@.type=="AppExposed")]}{.status} {.reason} {.message}{end}';
      return (await node.kubectl(['-n', STRICT, 'get', 'api', name, '-o', `jsonpath=${path}`])).stdout;
    };
    const readMetric = async (pod: PodSeen): Promise<string> => {
      const { body } = await clients.ask({ ...ask(pod, 15191), path: '/metrics' });
      return /^sallyport_app_exposed_ports (\d+)/m.exec(body)?.[1] ?? 'none';
    };
    const awaitProgrammed = (name: string): Promise<unknown> =>
      node.waitFor(
        `the status of ${name}`,
        async () => {
          const { stdout } = await node.kubectl([
            '-n',
            STRICT,
            'get',
            'api',
            name,
            '-o',
            'jsonpath={.status.conditions}',
          ]);
          return stdout.includes('"type":"Programmed"');
        },
        WITHIN_MS,
      );

    test('a pod without the annotation is refused, with what to write', async () => {
      const { code, stderr } = await node.kubectl(
        ['apply', '-f', '-'],
        render([
          describeBarePod({ namespace: STRICT, name: 'wants-rules', container: { securityContext: RESTRICTED } }),
        ]),
      );
      assert.notEqual(code, 0);
      assert.match(stderr, /sallyport\.dev\/interception: explicit/);
    });

    test('an app on loopback is protected, and nothing warns', async () => {
      await node.apply(render([loopbackApi('strict'), describeApp('strict', { HOST: '127.0.0.1' })]));
      const [pod] = await waitForPods(node, STRICT, 'strict');
      assert.ok(pod !== undefined);
      for (const address of addressesOf(pod)) {
        const seen = await clients.observe({ ...ask(pod), address }, 200, '"to":"127.0.0.1 8080"');
        assert.ok(seen.seen, address);
      }
      await awaitProgrammed('strict');
      assert.equal(await readMetric(pod), '0');
      assert.equal(await readExposed('strict'), '');
    });

    test('an app that had its port on 0.0.0.0 before its Api came: AppExposed says so, and the pod is out of service', async () => {
      await node.apply(render([describeApp('early', { HOST: '0.0.0.0' })]));
      const [pod] = await waitForPods(node, STRICT, 'early');
      assert.ok(pod !== undefined);
      await node.waitFor('the port in the metric', async () => (await readMetric(pod)) === '1', WITHIN_MS);
      await node.apply(render([loopbackApi('early')]));
      const told = await node.waitFor('AppExposed', async () => (await readExposed('early')) || undefined, WITHIN_MS);
      assert.equal(
        told,
        'True NotLoopback on 1/1 pods the app listens on port 8080 beyond 127.0.0.1, past its sidecar',
      );
      await node.waitFor(
        'a pod that is not ready',
        async () => (await listPods(node, STRICT, 'early')).every(each => !isReady(each)),
        WITHIN_MS,
      );
      const { body } = await clients.ask({ ...ask(pod, 15191), path: '/readyz' });
      assert.match(body, /cannot be bound: the app listens on more than 127\.0\.0\.1/);
    });

    test('and the warning goes when the app listens on loopback', async () => {
      await node.apply(render([loopbackApi('mended'), describeApp('mended', { HOST: '::' })]));
      await node.waitFor('a container that could not listen', () => hasFailed('mended'), WITHIN_MS);
      const { status } = await clients.ask(ask((await listPods(node, STRICT, 'mended'))[0] ?? assert.fail()));
      assert.notEqual(status, 200, 'whoever comes second does not get the port: nothing is open');
      await node.apply(render([describeApp('mended', { HOST: '127.0.0.1' })]));
      await waitForRollout(node, STRICT, 'mended');
      const [pod] = await waitForPods(node, STRICT, 'mended');
      assert.ok((await clients.observe(ask(pod ?? assert.fail()), 200)).seen);
      assert.equal(await readExposed('mended'), '');
    });

    const hasFailed = async (name: string): Promise<boolean> =>
      (await listPods(node, STRICT, name)).some(pod => (pod.status.containerStatuses?.[0]?.restartCount ?? 0) > 0);
  });
}

const loopbackApi = (name: string): Manifest => openApi(STRICT, name, 8080, { app: { address: 'Loopback' } });

const RESTRICTED = {
  ...{ runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  seccompProfile: { type: 'RuntimeDefault' },
};

const EXPLICIT = { 'sallyport.dev/interception': 'explicit' };

function describeApp(name: string, env: Readonly<Record<string, string>>): Manifest {
  return describeOwner('Deployment', {
    ...{ namespace: STRICT, name, env, annotations: EXPLICIT, container: { securityContext: RESTRICTED } },
  });
}
