import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test, type TestContext } from 'node:test';
import { type Connection, openPlain } from '../support/connection.ts';
import { RecordingApp } from '../support/servers.ts';
import type { Sidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { createProtectedPod, type ProtectedPod } from './support/protected-pod.ts';
import { skipWithout } from './support/requirements.ts';

const readAll = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
    .join('\n---\n');

const make = (kind: string, namespace: string, name: string, spec: unknown): string =>
  JSON.stringify({ apiVersion: 'sallyport.dev/v1alpha1', kind, metadata: { name, namespace }, spec });
const api = (namespace: string, name: string, changes: Record<string, unknown> = {}): string =>
  make('Api', namespace, name, { podSelector: { matchLabels: { app: 'fleet' } }, port: 8443, ...changes });
/** Whoever sends x-version: VERSION is let in. */
const policy = (namespace: string, version: string, name = 'door'): string =>
  make('AuthPolicy', namespace, name, {
    request: [
      { name: 'anyone', anyOf: [{ anonymous: {} }] },
      {
        name: 'version',
        authorize: { allow: [{ name: 'v', expression: `request.headers['x-version'] == '${version}'` }] },
      },
    ],
  });

describe('a sidecar and a real API server', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  let app: RecordingApp;
  before(async () => {
    cluster = await openControlPlane();
    await cluster.apply(readAll('crds'));
    app = await new RecordingApp().start();
  });
  after(async () => {
    await app.stop();
    await cluster.close();
  });

  async function protect(context: TestContext, namespace: string, ...manifests: string[]): Promise<ProtectedPod> {
    const pod = await createProtectedPod(cluster, namespace, { app: 'fleet' });
    context.after(() => pod.remove());
    if (manifests.length > 0) await cluster.apply(manifests.join('\n---\n'));
    return pod;
  }
  const start = (pod: ProtectedPod): Promise<Sidecar> => pod.start({ app: app.port });
  /** Status and reason; `closed` where the port has no Api. */
  async function ask(sidecar: Sidecar, version: string): Promise<string> {
    let connection: Connection | undefined;
    try {
      connection = await openPlain(sidecar.port);
      const { status, reason } = await connection.ask({ path: '/', headers: [['x-version', version]] });
      return `${status} ${reason}`.trim();
    } catch {
      return 'closed';
    } finally {
      connection?.close();
    }
  }
  const becomes = (sidecar: Sidecar, version: string, answer: string) =>
    until(`${version} to be ${answer}`, async () => (await ask(sidecar, version)) === answer);

  test('what kubectl applies is enforced at once, and what it deletes is no more', async context => {
    const pod = await protect(context, 'applied', api('applied', 'fleet'), policy('applied', '1'));
    const sidecar = await start(pod);
    assert.deepEqual([await ask(sidecar, '1'), await ask(sidecar, '2')], ['200', '403 AuthorizationDenied']);
    await cluster.apply(policy('applied', '2'));
    await becomes(sidecar, '2', '200');
    assert.equal(await ask(sidecar, '1'), '403 AuthorizationDenied');
    await cluster.kubectl(['delete', 'authpolicy', '-n', 'applied', 'door']);
    await becomes(sidecar, '2', '403 NoPolicyMatches');
    const { source, watches } = await sidecar.status();
    assert.equal((source as { from: string }).from, 'live');
    assert.ok((watches as { connected: boolean }[]).every(({ connected }) => connected));
  });

  test('an object that the schema lets through and the parser refuses leaves what was good in force', async context => {
    const pod = await protect(context, 'refused', api('refused', 'fleet'), policy('refused', '1'));
    const sidecar = await start(pod);
    const broken = policy('refused', '2').replace("== '2'", '== (');
    await cluster.apply(broken);
    await sidecar.line('the refusal', line => line['msg'] === 'configuration refused');
    assert.equal(await ask(sidecar, '1'), '200');
    const { kept } = await sidecar.status();
    assert.deepEqual(kept, ['AuthPolicy refused/door: its last good content stays in force']);
    // Also over a restart of the container, which forgets everything but its volume.
    sidecar.signal('SIGKILL');
    await sidecar.ended();
    const again = await start(pod);
    assert.equal(await ask(again, '1'), '200');
  });

  test('of two Apis that are in conflict the younger loses, whatever its name', async context => {
    const pod = await protect(context, 'conflict', policy('conflict', '1'), api('conflict', 'z-older'));
    await new Promise(resolve => setTimeout(resolve, 1100));
    await cluster.apply(api('conflict', 'a-younger', { limits: { headers: 50 } }));
    const sidecar = await start(pod);
    assert.equal(await ask(sidecar, '1'), '200');
    const { problems } = await sidecar.status();
    assert.match((problems as string[]).join('\n'), /Api conflict\/a-younger/);
    assert.doesNotMatch((problems as string[]).join('\n'), /^(warning|error): Api conflict\/z-older/m);
  });

  test('labels of the pod select its Apis, and a change of them counts without a restart', async context => {
    const pod = await protect(context, 'labels', api('labels', 'fleet'), policy('labels', '1'));
    await pod.setLabels({ app: 'other' });
    const sidecar = await pod.start({ app: app.port, until: 'listening' });
    await becomes(sidecar, '1', 'closed');
    await pod.setLabels({ app: 'fleet' });
    await becomes(sidecar, '1', '200');
  });

  test('a first start without a controller says what it waits for, and is not ready', async context => {
    const credential = make('BackendCredential', 'waiting', 'mesh', { meshCertificate: { secretName: 'apim' } });
    const secured = api('waiting', 'fleet', {
      app: { scheme: 'https', trust: { systemRoots: true }, credential: 'mesh' },
    });
    const pod = await protect(context, 'waiting', secured, credential, policy('waiting', '1'));
    const sidecar = await pod.start({ app: app.port, until: 'listening' });
    await until('the words', async () => (await sidecar.readyz()).body.includes('ControllerUnavailable'));
    assert.deepEqual(await sidecar.readyz(), {
      status: 503,
      body: [
        'no policy is loaded',
        'ControllerUnavailable: waiting for Secret waiting/apim (no --controller is given)',
        'keys are being fetched\n',
      ].join('\n'),
    });
    assert.equal(await ask(sidecar, '1'), '503 PolicyNotLoaded');
  });

  test('without the API server everything goes on, also over a restart of the container; then it catches up', async context => {
    const pod = await protect(context, 'away', api('away', 'fleet'), policy('away', '1'));
    const before = await start(pod);
    const { hash } = await before.status();
    await cluster.stopApiServer();
    await until('the loss to be noticed', async () => (await before.metric('sallyport_watch_connected')) === 0);
    assert.equal(await ask(before, '1'), '200');
    assert.equal((await before.readyz()).status, 200);
    before.signal('SIGKILL');
    await before.ended();
    const after = await start(pod);
    assert.equal(await ask(after, '1'), '200');
    const status = await after.status();
    assert.equal(status['hash'], hash);
    assert.equal((status['source'] as { from: string }).from, 'saved');
    assert.ok((await after.metric('sallyport_sync_age_seconds', { from: 'apiserver' })) > 0);
    await cluster.startApiServer();
    await cluster.apply(policy('away', '2'));
    await becomes(after, '2', '200');
  });
});
