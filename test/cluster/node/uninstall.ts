/** What people made stays when the product goes, and pods that run stay protected. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Clients } from '../support/installation-clients.ts';
import { type Scene, SHOP } from '../support/installation-scene.ts';
import { installSallyport, RELEASE, SYSTEM } from '../support/installation.ts';
import type { GetInstalled } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const WITHIN_MS = 60_000;

export function testUninstall(get: GetInstalled): void {
  describe('Sallyport', () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    before(() => {
      ({ node, clients, scene } = get());
    });

    test('is gone without a trace in policies when it is uninstalled, and comes back to them', async () => {
      const { code, stderr } = await node.helm(['uninstall', RELEASE, '-n', SYSTEM, '--wait']);
      assert.equal(code, 0, stderr);
      const { stdout } = await node.kubectl(['get', 'authpolicies,apis,clusterauthpolicies', '-A', '-o', 'name']);
      assert.ok(stdout.includes('authpolicy.sallyport.dev/telemetry') && stdout.includes('api.sallyport.dev/fleet'));
      const web = scene.request({ path: '/v1/devices/robot-7', token: 'web' });
      assert.equal((await clients.ask(web)).status, 200, 'pods that run go on enforcing');
      assert.equal((await clients.ask(scene.request({ path: '/v1/devices/robot-7' }))).status, 401);
      await installSallyport(node);
      await node.waitFor(
        'Enforced',
        async () => {
          const { stdout: listed } = await node.kubectl(['-n', SHOP, 'get', 'authpolicies']);
          return (listed.match(/on 2\/2 pods/g) ?? []).length >= 3;
        },
        WITHIN_MS,
      );
    });
  });
}
