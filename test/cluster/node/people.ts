/** What people ask of a pod that runs: through the API server and the kubelet, as `kubectl exec` goes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ran, runInMemory } from '../../support/run-in-memory.ts';
import { describeBarePod, listPods, waitForPods } from '../support/installation-pods.ts';
import { render, type Scene, SHOP } from '../support/installation-scene.ts';
import { type GetInstalled, PLAIN } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const REQUEST = 'GET https://fleet.example.com/v1/devices/robot-7';

export function testPeople(get: GetInstalled): void {
  describe('sallyport explain --pod', { concurrency: 1 }, () => {
    let node: ClusterNode;
    let scene: Scene;
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-explain-'));
    before(() => {
      ({ node, scene } = get());
    });
    after(() => rmSync(folder, { recursive: true }));

    const explain = async (pod: string, ...args: readonly string[]): Promise<Ran> =>
      runInMemory(['explain', '--pod', pod, '--kubeconfig', node.kubeconfig, '--request', REQUEST, ...args]);
    const findPod = async (): Promise<string> =>
      `${SHOP}/${(await listPods(node, SHOP, 'fleet'))[0]?.metadata.name ?? ''}`;
    const writeToken = (name: 'web' | 'expired'): string => {
      const file = join(folder, name);
      writeFileSync(file, scene.tokens.get(name) ?? '');
      return file;
    };

    test('tells that a token is let in, by the keys that the sidecar has, and by which policy of which scope', async () => {
      const { code, stdout, stderr } = await explain(await findPod(), '--token', writeToken('web'), '-o', 'json');
      assert.equal(code, 0, `${stdout}${stderr}`);
      const told = JSON.parse(stdout) as { verdict: string; steps: readonly unknown[] };
      assert.equal(told.verdict, 'Permit');
      assert.ok(told.steps.length > 3);
      assert.ok(!stdout.includes(scene.tokens.get('web') ?? ''), 'the token stays unsaid');
    });

    test('tells why another is not, and nothing is asked of the app or counted', async () => {
      const expired = await explain(await findPod(), '--token', writeToken('expired'));
      assert.equal(expired.code, 1, expired.stderr);
      assert.match(expired.stdout, /TokenExpired/);
      const none = await explain(await findPod());
      assert.equal(none.code, 1, none.stderr);
    });

    test('says so of a pod that has no sidecar, and of one that is not there', async () => {
      await node.apply(render([describeBarePod({ namespace: PLAIN, name: 'bare' })]));
      await waitForPods(node, PLAIN, 'bare');
      for (const pod of [`${PLAIN}/bare`, `${SHOP}/nobody`]) {
        const { code, stdout, stderr } = await explain(pod);
        assert.notEqual(code, 0);
        assert.equal(stdout, '');
        assert.match(stderr, /gave no answer: \S/);
      }
    });

    test('is refused to whoever may not exec', async () => {
      const { stdout } = await node.kubectl([
        ...['auth', 'can-i', 'create', 'pods', '--subresource=exec', '-n', SHOP],
        ...['--as', `system:serviceaccount:${SHOP}:fleet`],
      ]);
      assert.equal(stdout.trim(), 'no');
    });
  });
}
