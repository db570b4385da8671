import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readOldNode, type NodeObject } from './old-nodes.ts';
import { expectPatched, expectRefused, readRecorded, withSpec } from './testing/pods.ts';

const node = (kubeletVersion: string, operatingSystem = 'linux'): NodeObject => ({
  metadata: { name: 'a', labels: { zone: 'x' } },
  status: { nodeInfo: { kubeletVersion, operatingSystem } },
});
const job = readRecorded('job');

describe('a node is too old', () => {
  test('with a kubelet before 1.30', () => {
    assert.deepEqual(readOldNode(node('v1.28.4')), { name: 'a', kubelet: 'v1.28.4', labels: { zone: 'x' } });
    assert.ok(readOldNode(node('v1.29.0-eks-1234')));
  });
  test('not with a later one, nor for Windows, nor while it says nothing', () => {
    for (const fine of [node('v1.30.0'), node('v1.36.4+k3s1'), node('v2.0.0'), node('v1.28.4', 'windows'), node('')]) {
      assert.equal(readOldNode(fine), undefined);
    }
    assert.equal(readOldNode({ metadata: { name: 'new' } }), undefined);
  });
});

describe('a pod', () => {
  const oldNodes = [{ name: 'old', kubelet: 'v1.28.4', labels: { zone: 'x' } }];
  const configuration = { oldNodes };
  const bind = (name: string) => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
      },
    },
  });

  test('that may come to an old node is refused, since its app would never start', () => {
    assert.deepEqual(expectRefused(job, { configuration }), [
      'spec.nodeSelector: may bring the pod to the node old, whose kubelet v1.28.4 would never start the app behind a sidecar; upgrade its kubelet to 1.30 or later, or select nodes that have it',
    ]);
    expectRefused(withSpec(job, { nodeSelector: { zone: 'x' } }), { configuration });
    expectRefused(withSpec(job, { nodeName: 'old' }), { configuration });
    expectRefused(withSpec(job, { affinity: bind('old') }), { configuration });
    expectRefused(withSpec(job, { affinity: { nodeAffinity: {} } }), { configuration });
  });

  test('that cannot come there is let in', () => {
    expectPatched(withSpec(job, { nodeSelector: { zone: 'y' } }), { configuration });
    expectPatched(withSpec(job, { nodeName: 'new' }), { configuration });
    expectPatched(withSpec(job, { affinity: bind('new') }), { configuration });
    expectPatched(readRecorded('deployment'));
  });
});
