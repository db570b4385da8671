import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { until } from '../support/until.ts';
import { openControllerScene, SYSTEM, type ControllerScene } from './support/controller.ts';
import { registerWebhook, startControllerProcess, type ControllerProcess } from './support/controller-process.ts';
import { skipWithout } from './support/requirements.ts';

const POLICY = `apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec: {request: []}
`;

describe('sallyport controller', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: ControllerProcess;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    running = await startControllerProcess(scene.cluster, {
      trusted: true,
      args: ['--mesh-ca-lifetime', '1h', '--mesh-ca-overlap', '1m'],
    });
  });
  after(async () => {
    await running.stop('SIGKILL');
    await scene.close();
  });

  test('becomes ready, leads, and writes status', async () => {
    await until('readiness', async () => (await running.get('/readyz')) === 'ok\n', 30_000);
    await scene.cluster.apply(POLICY);
    await until('status', async () => /^True/.test(await scene.condition('authpolicy', 'shop', 'p', 'Accepted')));
    const metrics = await running.get('/metrics');
    assert.match(metrics, /sallyport_controller_leader 1/);
    assert.match(metrics, /sallyport_certificate_expiry_timestamp_seconds\{use="mesh CA"\} \d+/);
    assert.match(metrics, /sallyport_certificate_expiry_timestamp_seconds\{use="serving"\} \d+/);
  });

  test('the columns of a policy test fill within seconds of its creation', async context => {
    await scene.cluster.apply(`apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: fleet, namespace: shop}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
apiVersion: sallyport.dev/v1alpha1
kind: PolicyTest
metadata: {name: nobody, namespace: shop}
spec:
  cases:
  - {name: nobody, given: {request: {path: /}}, expect: {verdict: Deny}}
  - {name: everybody, given: {request: {path: /}}, expect: {verdict: Permit}}
`);
    const appliedAt = performance.now();
    await until(
      'PASSED, CASES and FAILED',
      async () => {
        const { stdout } = await scene.cluster.kubectl(['get', 'policytest.sallyport.dev', 'nobody', '-n', 'shop']);
        return /^NAME +GATE +PASSED +CASES +FAILED +AGE\nnobody +false +False +2 +1 /.test(stdout);
      },
      10_000,
    );
    context.diagnostic(`${Math.round(performance.now() - appliedAt)} ms after kubectl apply`);
  });

  test('its self-test says that its webhook judges', async () => {
    const child = spawn(
      process.execPath,
      ['src/main.ts', 'controller', '--self-test', `https://127.0.0.1:${running.ports.webhook}`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [said, [code]] = (await Promise.all([text(child.stdout), once(child, 'exit')])) as [string, [number]];
    assert.equal(code, 0);
    assert.match(said, /a policy that is right was taken\n.*was refused: spec\.request\[0\]\.authorize\.deny\[0\]/);
  });

  // Why docs/guide/kubernetes.md says so: nothing that is ours is asked.
  test('is not asked about fields that do not exist: the API server refuses them, or takes them away first', async () => {
    await registerWebhook(scene.cluster, running);
    const misspelt = POLICY.replace('{request: []}', '{request: [], modde: Audit}').replace(
      'name: p',
      'name: misspelt',
    );
    const apply = (...args: readonly string[]) => scene.cluster.kubectl(['apply', ...args, '-f', '-'], misspelt);
    const strict = await apply();
    assert.equal(strict.code, 1);
    assert.match(strict.stderr, /strict decoding error: unknown field "spec\.modde"/);
    const taken = await apply('--validate=ignore');
    assert.equal(taken.code, 0, taken.stderr);
    const { stdout } = await scene.cluster.kubectl([
      ...['get', 'authpolicy.sallyport.dev', 'misspelt', '-n', 'shop', '-o', 'jsonpath={.spec.modde}{.spec.mode}'],
    ]);
    assert.equal(stdout, 'Enforce');
    // What is wrong and not unknown it is asked about.
    const wrong = POLICY.replace(
      'request: []',
      "request: [{name: a, jwt: {issuers: [x], audiences: [Any, 'api://a']}}]",
    );
    const { stderr } = await scene.cluster.kubectl(['apply', '-f', '-'], wrong);
    assert.match(stderr, /spec\.request\[0\]\.jwt\.audiences/);
  });

  test('tells the admission policies what it injects', async () => {
    const { stdout } = await scene.cluster.kubectl([
      'get',
      'configmap',
      'sallyport-admission',
      '-n',
      SYSTEM,
      '-o',
      'json',
    ]);
    const { data } = JSON.parse(stdout) as { data: Record<string, string> };
    assert.equal(data['images'], 'localhost/sallyport:1');
  });

  test('ends in order when it is told to, and gives the lease back', async () => {
    assert.equal(await running.stop(), 0, running.log());
    const { stdout } = await scene.cluster.kubectl([
      ...['get', 'lease', 'sallyport-controller', '-n', SYSTEM, '-o', 'jsonpath={.spec.holderIdentity}'],
    ]);
    assert.equal(stdout, '');
    assert.doesNotMatch(running.log(), /PRIVATE KEY|eyJ/);
    assert.doesNotMatch(running.log(), /"level":"error"/);
  });
});
