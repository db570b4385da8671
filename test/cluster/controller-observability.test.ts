/** The chart's panels and alerts about the controller, asked of a real Prometheus that scrapes a real controller. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PANELS } from '../../scripts/observability.ts';
import { createControllerStream, type ControllerStream } from '../../src/material/controller-stream.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { missProgram } from '../support/programs.ts';
import { makeConcrete, startPrometheus, type Prometheus } from '../support/prometheus.ts';
import { until } from '../support/until.ts';
import { openControllerScene, type ControllerScene } from './support/controller.ts';
import { registerWebhook, startControllerProcess, type ControllerProcess } from './support/controller-process.ts';
import { skipWithout } from './support/requirements.ts';

const WITHIN_MS = 60_000;
const POLICIES = `apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: nowhere, namespace: shop}
spec: {targetRefs: [{kind: Api, name: nowhere}], request: []}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: unresolved, namespace: shop}
spec:
  variables: {x: {configMapKeyRef: {name: nothing, key: x}}}
  request: []
`;

describe('Prometheus and the controller', { skip: skipWithout('control-plane') || missProgram('prometheus') }, () => {
  let scene: ControllerScene;
  let controller: ControllerProcess;
  let prometheus: Prometheus;
  let streams: readonly ControllerStream[] = [];
  const ending: (() => unknown)[] = [];
  let made = 0;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    const pod = await scene.createPod('shop', 'protected');
    await scene.createPod('shop', 'old', { image: 'localhost/sallyport:0' });
    await scene.createPod('shop', 'bare', { sidecar: false });
    await scene.createPod('shop', 'opened', { open: ['15191,9090'] });
    await scene.cluster.apply(POLICIES);
    controller = await startControllerProcess(scene.cluster, {
      trusted: true,
      args: ['--mesh-ca-lifetime', '1h', '--mesh-ca-overlap', '1m'],
    });
    prometheus = await startPrometheus(
      { after: end => void ending.push(end) },
      { controller: controller.ports.health },
    );
    await until('the controller to be ready', async () => (await controller.get('/readyz')) === 'ok\n', WITHIN_MS);
    const open = (token: string): ControllerStream =>
      createControllerStream({
        connection: controller.connection(token),
        hello: { version: '0.1.0' },
        onMaterial: () => undefined,
        onReadyPods: () => undefined,
        ...{ log: SILENT.log, clock: Date.now, random: Math.random },
      });
    // One that is served, and one whose token is bound to no pod.
    streams = [open(await scene.token('shop', pod)), open(await scene.token('shop'))];
    for (const stream of streams) stream.start();
    await until('Prometheus to scrape', () => prometheus.isUp());
    await registerWebhook(scene.cluster, controller);
  });
  after(async () => {
    await Promise.all(streams.map(stream => stream.stop()));
    for (const end of ending) await end();
    await controller.stop('SIGKILL');
    await scene.close();
  });

  /** Each policy is asked about, and gets a status. */
  const applyPolicy = (name: string): Promise<string> =>
    scene.cluster.apply(
      `apiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec: {request: []}\n`,
    );

  for (const { title, queries } of PANELS.filter(({ about }) => about === 'controller')) {
    test(`the panel “${title}” shows what there is`, async () => {
      for (const { legend, expr } of queries) {
        const concrete = makeConcrete(expr, 'controller');
        await until(
          `${legend}: ${concrete}`,
          async () => {
            await applyPolicy(`policy-${(made += 1)}`);
            const samples = await prometheus.query(concrete);
            return samples.some(({ value }) => Number(value[1]) > 0);
          },
          WITHIN_MS,
        );
      }
    });
  }

  const becomesPending = (name: string): Promise<unknown> =>
    until(`${name} to be pending`, async () => (await prometheus.alerts()).includes(name), WITHIN_MS);

  test('pods without a sidecar, outdated ones, ports left open and a CA that ends soon raise their alerts', async () => {
    for (const name of ['PodsUnprotected', 'SidecarsOutdated', 'AllowanceEnded', 'CertificateEnds']) {
      await becomesPending(`Sallyport${name}`);
    }
    const [sample] = await prometheus.query('max by (pod_namespace) (sallyport_controller_unprotected_pods) > 0');
    assert.deepEqual([sample?.metric['pod_namespace'], sample?.value[1]], ['shop', '1']);
  });

  test('an API server that is away raises the alert of watches that are down', async () => {
    assert.ok(!(await prometheus.alerts()).includes('SallyportWatchDown'));
    await scene.cluster.stopApiServer();
    await becomesPending('SallyportWatchDown');
  });

  test('a controller that is gone raises the alert that nobody leads', async () => {
    assert.equal(await controller.stop('SIGKILL'), null);
    await becomesPending('SallyportNoLeader');
  });
});
