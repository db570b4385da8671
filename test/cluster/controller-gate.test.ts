import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { KubeObject } from '../../src/kube/objects.ts';
import { until } from '../support/until.ts';
import { openControllerScene, type ControllerScene, type RunningController } from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const policy = (path: string): string => `${HEAD}kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec:
  request:
  - {name: who, anyOf: [{anonymous: {}}]}
  - {name: rules, authorize: {deny: [{expression: "request.path == '${path}'"}]}}
`;
const OBJECTS = `${HEAD}kind: Api
metadata: {name: fleet, namespace: shop}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
${policy('/admin')}---
${HEAD}kind: PolicyTest
metadata: {name: t, namespace: shop}
spec:
  gate: true
  cases: [{name: admin, given: {request: {path: /admin}}, expect: {verdict: Deny}}]
`;
const ID = 'AuthPolicy shop/p';

describe('the gate of a namespace', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  let pod: KubeObject;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    await scene.cluster.apply(OBJECTS);
    pod = await scene.createPod('shop', 'one');
    running = await scene.open();
    await until('leading', () => running.controller.leads());
  });
  after(() => scene.close());

  const shows = (kind: string, name: string, type: string, wanted: RegExp): Promise<string> =>
    until(`${type} of ${name} to be ${String(wanted)}`, async () => {
      const found = await scene.condition(kind, 'shop', name, type);
      return wanted.test(found) && found;
    });

  test('holds a failing generation back, says so in status, and gives the last that passed, also after a restart', async () => {
    const sidecar = await scene.connect(running, pod);
    await sidecar.material('the verdict on the first', ({ judged }) => judged?.[ID]?.generation === 1);
    await shows('policytest', 't', 'TestsPassed', /^True Passed: 1 case passes$/);
    await shows('authpolicy', 'p', 'TestsPassed', /^True/);

    await scene.cluster.apply(policy('/other'));
    const held = await sidecar.material('the verdict on the second', ({ judged }) => judged?.[ID]?.generation === 2);
    assert.deepEqual(
      held.held.map(({ name, generation, use }) => [name, generation, (use as KubeObject).metadata.generation]),
      [['p', 2, 1]],
    );
    await shows('authpolicy', 'p', 'TestsPassed', /^False Failed: PolicyTest shop\/t: the case "admin" fails/);
    await shows('authpolicy', 'p', 'Programmed', /^False PartiallyProgrammed: PolicyTest shop\/t holds it back/);
    await until('what passed is kept', async () =>
      (
        await scene.cluster.kubectl([
          'get',
          'configmap',
          '-n',
          'sallyport-system',
          '-l',
          'sallyport.dev/gate',
          '-o',
          'json',
        ])
      ).stdout.includes('/admin'),
    );
    await sidecar.stop();
    await running.stop();

    running = await scene.open();
    const again = await scene.connect(running, pod);
    const message = await again.material('the first material of the new one');
    assert.equal(message.judged?.[ID]?.generation, 2);
    assert.deepEqual(
      message.held.map(({ use }) => (use as KubeObject).metadata.generation),
      [1],
    );
    await scene.cluster.apply(policy('/admin'));
    const open = await again.material('the verdict on the third', ({ judged }) => judged?.[ID]?.generation === 3);
    assert.deepEqual(open.held, []);
    await shows('authpolicy', 'p', 'TestsPassed', /^True/);
    await scene.cluster.kubectl(['delete', 'policytest', 't', '-n', 'shop']);
    await again.material('no gate', ({ judged }) => judged === undefined);
  });
});
