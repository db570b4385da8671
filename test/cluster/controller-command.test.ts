import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { until } from '../support/until.ts';
import { findFreePorts } from './support/ports.ts';
import { openControllerScene, SYSTEM, type ControllerScene } from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const POLICY = `apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec: {request: []}
`;

describe('sallyport controller', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: ChildProcess;
  let firstPort: number;
  let log = '';
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    firstPort = await findFreePorts(3);
    running = start(await writeAccount());
  });
  after(async () => {
    if (running.exitCode === null) running.kill('SIGKILL');
    await scene.close();
  });

  async function writeAccount(): Promise<string> {
    const folder = join(scene.cluster.folder, 'account');
    mkdirSync(folder, { recursive: true });
    // Without an audience of its own a token is for the API server.
    const { body } = await scene.cluster.call(
      'POST',
      `/api/v1/namespaces/${SYSTEM}/serviceaccounts/sallyport-controller/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } },
    );
    writeFileSync(join(folder, 'token'), (body as { status: { token: string } }).status.token);
    writeFileSync(join(folder, 'ca.crt'), scene.cluster.ca);
    writeFileSync(
      join(folder, 'controller-token'),
      await scene.cluster.createToken(SYSTEM, 'sallyport-controller', 'sallyport.dev/controller'),
    );
    return folder;
  }

  function start(folder: string): ChildProcess {
    const { hostname, port } = new URL(scene.cluster.server);
    const child = spawn(
      process.execPath,
      [
        ...['src/main.ts', 'controller', '--namespace', SYSTEM, '--pod-name', 'controller-0'],
        ...['--image', 'localhost/sallyport:1', '--account-folder', folder],
        ...['--token-file', join(folder, 'controller-token'), '--mesh-ca-lifetime', '1h', '--mesh-ca-overlap', '1m'],
        ...['--webhook-port', String(firstPort), '--material-port', String(firstPort + 1)],
        ...['--health-port', String(firstPort + 2)],
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
      },
    );
    child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
    return child;
  }

  const get = async (path: string): Promise<string> => {
    try {
      return await (await fetch(`http://127.0.0.1:${firstPort + 2}${path}`)).text();
    } catch {
      return '';
    }
  };

  test('becomes ready, leads, and writes status', async () => {
    await until('readiness', async () => (await get('/readyz')) === 'ok\n', 30_000);
    await scene.cluster.apply(POLICY);
    await until('status', async () => /^True/.test(await scene.condition('authpolicy', 'shop', 'p', 'Accepted')));
    const metrics = await get('/metrics');
    assert.match(metrics, /sallyport_controller_leader 1/);
    assert.match(metrics, /sallyport_certificate_expiry_timestamp_seconds\{use="mesh CA"\} \d+/);
    assert.match(metrics, /sallyport_certificate_expiry_timestamp_seconds\{use="serving"\} \d+/);
  });

  test('its self-test says that its webhook judges', async () => {
    const child = spawn(
      process.execPath,
      ['src/main.ts', 'controller', '--self-test', `https://127.0.0.1:${firstPort}`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [said, [code]] = (await Promise.all([text(child.stdout), once(child, 'exit')])) as [string, [number]];
    assert.equal(code, 0);
    assert.match(said, /a policy that is right was taken\n.*was refused: spec\.request\[0\]\.authorize\.deny\[0\]/);
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
    running.kill('SIGTERM');
    const [code] = (await once(running, 'exit')) as [number];
    assert.equal(code, 0, log);
    const { stdout } = await scene.cluster.kubectl([
      ...['get', 'lease', 'sallyport-controller', '-n', SYSTEM, '-o', 'jsonpath={.spec.holderIdentity}'],
    ]);
    assert.equal(stdout, '');
    assert.doesNotMatch(log, /PRIVATE KEY|eyJ/);
    assert.doesNotMatch(log, /"level":"error"/);
  });
});
