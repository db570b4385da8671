import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { until } from '../support/until.ts';
import { openControllerScene, type ControllerScene, type RunningController } from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const NAMESPACES = 20;
const PER_NAMESPACE = 50;
const API_VERSION = 'sallyport.dev/v1alpha1';

describe('1,000 policies', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  before(async () => {
    scene = await openControllerScene();
    for (let i = 0; i < NAMESPACES; i += 1) {
      await scene.cluster.createNamespace(`team-${i}`, { 'sallyport.dev/inject': 'enabled' });
      await create(`team-${i}`, 'apis', 'Api', 'fleet', { podSelector: { matchLabels: { app: 'fleet' } }, port: 8080 });
      await scene.createPod(`team-${i}`, 'one');
    }
  });
  after(() => scene.close());

  async function create(namespace: string, plural: string, kind: string, name: string, spec: unknown): Promise<void> {
    const body = { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec };
    await scene.client.request('POST', `/apis/${API_VERSION}/namespaces/${namespace}/${plural}`, { body });
  }

  interface Listed {
    readonly items: readonly {
      readonly status?: { readonly conditions?: readonly { type: string; status: string }[] };
    }[];
  }
  const countAccepted = async (): Promise<number> => {
    const { items } = await scene.client.request<Listed>('GET', `/apis/${API_VERSION}/authpolicies`);
    return items.filter(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === 'Accepted' && is === 'True'),
    ).length;
  };

  test('get their status, and a change of one of them reaches its pods at once', async (context: TestContext) => {
    for (let i = 0; i < NAMESPACES; i += 1) {
      const names = Array.from({ length: PER_NAMESPACE }, (_, j) => `p-${j}`);
      await Promise.all(
        names.map(name =>
          create(`team-${i}`, 'authpolicies', 'AuthPolicy', name, {
            targetRefs: [{ kind: 'Api', name: 'fleet' }],
            variables: { v: { configMapKeyRef: { name: 'shared', key: name } } },
            request: [{ name: 'rules', authorize: { deny: [{ expression: "request.method == 'TRACE'" }] } }],
          }),
        ),
      );
    }
    const startedAt = performance.now();
    running = await scene.open();
    await until('leading', () => running.controller.leads());
    await until('all to be accepted', async () => (await countAccepted()) === NAMESPACES * PER_NAMESPACE, 120_000);
    const all = performance.now() - startedAt;

    const pod = await scene.client.request<Parameters<ControllerScene['connect']>[1]>(
      'GET',
      '/api/v1/namespaces/team-3/pods/one',
    );
    const sidecar = await scene.connect(running, pod);
    const first = await sidecar.material('the first material');
    assert.equal(Object.keys(first.configMaps).length, 1);
    const changedAt = performance.now();
    await scene.cluster.call('POST', '/api/v1/namespaces/team-3/configmaps', {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shared' }, data: { 'p-0': 'x' } },
    });
    await sidecar.material('the change', ({ configMaps }) => configMaps['team-3/shared'] !== null);
    const one = performance.now() - changedAt;
    const { rss, heapUsed } = process.memoryUsage();
    context.diagnostic(
      `started to all status written ${Math.round(all)} ms; a ConfigMap to the stream ${Math.round(one)} ms; ` +
        `this process: ${Math.round(rss / 2 ** 20)} MiB resident, ${Math.round(heapUsed / 2 ** 20)} MiB heap`,
    );
  });

  test('are written once: nothing is written while nothing changes', async () => {
    const writes = async (): Promise<string> =>
      /sallyport_controller_status_writes_total\{outcome="Written"\} (\d+)/.exec(
        await running.telemetry.exposition(),
      )?.[1] ?? '';
    let before = await writes();
    await until('the writes to end', async () => {
      await new Promise(resolve => setTimeout(resolve, 1500));
      const now = await writes();
      const isQuiet = now === before;
      before = now;
      return isQuiet;
    });
    // Pods come and go: only counts change, and only those of their namespace.
    await scene.createPod('team-4', 'two');
    await until('the counts of team-4', async () =>
      (await scene.condition('authpolicy', 'team-4', 'p-0', 'Enforced')).includes('0/2 pods'),
    );
    await until('the last write', async () =>
      (await scene.condition('authpolicy', 'team-4', `p-${PER_NAMESPACE - 1}`, 'Enforced')).includes('0/2 pods'),
    );
    // Its policies, and its Api.
    assert.ok(Number(await writes()) - Number(before) <= PER_NAMESPACE + 1);
  });
});
