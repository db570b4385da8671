import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { KubeObject } from '../../src/kube/objects.ts';
import type { AcknowledgedObject } from '../../src/material/protocol.ts';
import { until } from '../support/until.ts';
import {
  openControllerScene,
  type ControllerScene,
  type RunningController,
  type Sidecar,
} from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const OBJECTS = `${HEAD}kind: Api
metadata: {name: fleet, namespace: shop}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
${HEAD}kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec: {request: []}
`;
const POLICY = '/apis/sallyport.dev/v1alpha1/namespaces/shop/authpolicies/p';

describe('several replicas', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let pods: readonly KubeObject[];
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    await scene.cluster.apply(OBJECTS);
    pods = await Promise.all(['one', 'two', 'three'].map(name => scene.createPod('shop', name)));
  });
  after(() => scene.close());

  const inForce = async (generation?: number): Promise<AcknowledgedObject> => {
    const { metadata } = await scene.client.request<KubeObject>('GET', POLICY);
    return {
      ...{ kind: 'AuthPolicy', namespace: 'shop', name: 'p', uid: metadata.uid ?? '', state: 'InForce' },
      generation: generation ?? metadata.generation ?? 0,
    };
  };
  const enforced = async (): Promise<string> => scene.condition('authpolicy', 'shop', 'p', 'Enforced');
  const shows = (wanted: string): Promise<string> =>
    until(`Enforced to be "${wanted}"`, async () => {
      const found = await enforced();
      return found === wanted && found;
    });
  const connect = async (at: RunningController, pod: KubeObject | undefined): Promise<Sidecar> => {
    assert.ok(pod);
    const sidecar = await scene.connect(at, pod);
    await sidecar.material('material');
    return sidecar;
  };

  test('Enforced counts the streams of all of them, and a change of leader does not lower it', async () => {
    const timings = { graceMs: 60_000 };
    const first = await scene.open({ timings });
    await until('the first to lead', () => first.controller.leads());
    const second = await scene.open({ timings });
    await scene.publish([first, second]);
    const sidecars = [await connect(first, pods[0]), await connect(second, pods[1]), await connect(second, pods[2])];
    const object = await inForce();
    for (const sidecar of sidecars) sidecar.acknowledge([object]);
    await shows('True AllPods: generation 1 on 3/3 pods');

    await scene.cluster.apply(OBJECTS.replace('request: []', 'request: [], mode: Audit'));
    await shows('False NoPods: generation 2 on 0/3 pods; 3 have not answered yet');
    const next = await inForce();
    for (const sidecar of sidecars.slice(1)) sidecar.acknowledge([next]);
    await shows('False SomePods: generation 2 on 2/3 pods; 1 has not answered yet');
    sidecars[0]?.acknowledge([next]);
    await shows('True AllPods: generation 2 on 3/3 pods');

    const seen = new Set<string>();
    const watching = setInterval(() => void enforced().then(found => seen.add(found)), 200);
    await first.stop();
    await until('the second to lead', () => second.controller.leads());
    // The first one's sidecar comes back after a while; until then nobody says that it does not enforce.
    await until('a round of the new leader', async () => {
      await scene.cluster.apply(OBJECTS.replace('metadata: {name: p,', 'metadata: {name: q,'));
      return /^False NoPods/.test(await scene.condition('authpolicy', 'shop', 'q', 'Enforced'));
    });
    const back = await connect(second, pods[0]);
    back.acknowledge([next]);
    await until('its stream', () => back.stream.status().connected);
    clearInterval(watching);
    assert.deepEqual([...seen], ['True AllPods: generation 2 on 3/3 pods']);
    await second.stop();
  });

  test('an acknowledgement of a material that was not sent counts for nothing', async () => {
    const only = await scene.open();
    await until('leading', () => only.controller.leads());
    const sidecar = await connect(only, pods[0]);
    const object = await inForce();
    sidecar.acknowledge([object], { hash: 'f'.repeat(64) });
    await shows(`False NoPods: generation ${object.generation} on 0/3 pods; 3 have not answered yet`);
    sidecar.acknowledge([object]);
    await shows(`False SomePods: generation ${object.generation} on 1/3 pods; 2 have not answered yet`);
    await only.stop();
  });

  test('a replica that stops gives the lease back at once, and tells its sidecars when to come again', async () => {
    const first = await scene.open({ timings: { lease: { durationMs: 60_000, deadlineMs: 40_000, retryMs: 300 } } });
    await until('the first to lead', () => first.controller.leads());
    const second = await scene.open();
    const sidecar = await connect(first, pods[0]);
    await first.stop();
    await until('the second to lead', () => second.controller.leads());
    assert.match(sidecar.stream.status().problem ?? '', /Stopping|ConnectionLost|connect/i);
    await second.stop();
  });
});
