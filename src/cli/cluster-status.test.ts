import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readVersion, readPods } from './cluster-pods.ts';
import { describeWorkloads, findWorst, type PolicyStatus } from './cluster-status.ts';
import { renderWorkloads } from './cluster-status-table.ts';
import type { ClusterView, Raw } from './cluster-view.ts';

const NOW = Date.UTC(2027, 0, 1);
const PLAIN = { isTTY: false, columns: 80, env: {} };

const pod = (name: string, more: Readonly<Record<string, unknown>> = {}, owner?: readonly [string, string]): Raw => ({
  metadata: {
    ...{ name, namespace: 'shop', labels: { app: 'fleet', 'pod-template-hash': 'abc' } },
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: 'apps/v1', kind: owner[0], name: owner[1], uid: '1', controller: true }] }),
  },
  spec: { containers: [{ name: 'app' }], ...more },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
});
const SIDECAR = {
  initContainers: [
    {
      name: 'sallyport',
      image: 'r/sallyport:1.2.3',
      command: ['sallyport'],
      args: ['sidecar'],
      restartPolicy: 'Always',
    },
  ],
};
const object = (kind: string, name: string, spec: unknown, generation: number, enforced?: string): Raw => ({
  ...{ kind, apiVersion: 'sallyport.dev/v1alpha1', metadata: { name, namespace: 'shop', generation }, spec },
  ...(enforced === undefined
    ? {}
    : {
        status: {
          conditions: [
            {
              type: 'Enforced',
              status: 'False',
              reason: 'SomePods',
              message: enforced,
              observedGeneration: generation,
            },
          ],
        },
      }),
});
const view = (pods: readonly Raw[], objects: readonly Raw[]): ClusterView => ({
  ...{
    pods,
    objects,
    installed: true,
    services: [],
    data: [],
    meshBundles: undefined,
    unread: new Set(),
    notChecked: [],
  },
  namespaces: new Map([['shop', {}]]),
  admission: { mutating: undefined, validating: undefined, policies: undefined, bindings: undefined },
});

const OWNERS: Readonly<Record<string, readonly [owner: readonly [string, string] | undefined, name: string]>> = {
  'a Deployment through its ReplicaSet': [['ReplicaSet', 'fleet-abc'], 'Deployment shop/fleet'],
  'a ReplicaSet of its own': [['ReplicaSet', 'fleet'], 'ReplicaSet shop/fleet'],
  'a StatefulSet': [['StatefulSet', 'fleet'], 'StatefulSet shop/fleet'],
  'a Job': [['Job', 'fleet-1'], 'Job shop/fleet-1'],
  nobody: [undefined, 'Pod shop/p'],
};
for (const [sentence, [owner, expected]] of Object.entries(OWNERS)) {
  test(`a pod is counted with its owner: ${sentence}`, () => {
    assert.equal(readPods([pod('p', {}, owner)])[0]?.owner, expected);
  });
}

test('pods that ended, that are being deleted, and those of the system are not counted', () => {
  const ended = { ...pod('p'), status: { phase: 'Succeeded' } };
  const leaving = { ...pod('p'), metadata: { ...pod('p').metadata, deletionTimestamp: '2027-01-01T00:00:00Z' } };
  const system = { ...pod('p'), metadata: { name: 'p', namespace: 'kube-system' } };
  assert.deepEqual(readPods([ended, leaving, system]), []);
});

const IMAGES: Readonly<Record<string, string>> = {
  'example.com:5000/sallyport:1.4.0': '1.4.0',
  'example.com:5000/sallyport': 'latest',
  [`sallyport@sha256:${'a'.repeat(64)}`]: 'aaaaaaaaaaaa',
  [`sallyport:1.4.0@sha256:${'a'.repeat(64)}`]: '1.4.0',
  '': '',
};
for (const [image, version] of Object.entries(IMAGES)) {
  test(`the version of the image "${image}" is "${version}"`, () => assert.equal(readVersion(image), version));
}

test('the worst policy is one without a status, then one whose status is late, then one that fewest pods enforce', () => {
  const done: PolicyStatus = { object: 'done', generation: 7, observed: 7, enforcing: 12, matched: 12 };
  const partly: PolicyStatus = { ...done, object: 'partly', enforcing: 11 };
  const late: PolicyStatus = { ...done, object: 'late', observed: 6 };
  const silent: PolicyStatus = { object: 'silent', generation: 1 };
  const order: string[] = [];
  for (let left = [done, partly, late, silent]; left.length > 0;) {
    const worst = findWorst(left);
    order.push(worst?.object ?? '');
    left = left.filter(one => one !== worst);
  }
  assert.deepEqual(order, ['silent', 'late', 'partly', 'done']);
});

test('a workload has a line: pods with a sidecar, ready ones, all; generation in force; what warns', () => {
  const api = object('Api', 'fleet', { podSelector: { matchLabels: { app: 'fleet' } }, port: 8080 }, 1);
  const spec = {
    targetRefs: [{ kind: 'Api', name: 'fleet' }],
    request: [{ name: 's', authorize: { deny: [{ expression: 'false' }] } }],
  };
  const policy = object('AuthPolicy', 'fleet', spec, 7, 'generation 7 on 1/2 pods; 1 has no sidecar of ours');
  const pods = [pod('a', SIDECAR, ['ReplicaSet', 'fleet-abc']), pod('b', {}, ['ReplicaSet', 'fleet-abc'])];
  const workloads = describeWorkloads(view(pods, [api, policy]), NOW);
  assert.deepEqual(renderWorkloads(workloads, NOW, PLAIN).split('\n')[1]?.split(/ {2,}/), [
    'shop',
    'deployment/fleet',
    '1',
    '2',
    '2',
    '7/7 on 1/2',
    '1.2.3',
    '-',
    '-',
    '1 without a sidecar; Api fleet: no status',
  ]);
});

test('what no Api selects and no label opts in is left out', () => {
  assert.deepEqual(describeWorkloads(view([pod('a')], []), NOW), []);
});
