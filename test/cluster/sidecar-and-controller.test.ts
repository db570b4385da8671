import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import { type Connection, openPlain } from '../support/connection.ts';
import { RecordingApp } from '../support/servers.ts';
import type { Sidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import { openControllerScene, type ControllerScene, type RunningController } from './support/controller.ts';
import { createProtectedPod, type ProtectedPod } from './support/protected-pod.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const backEnd = createAuthority({ name: 'back end' });
const appCertificate = backEnd.issue({ subject: 'app', usages: ['serverAuth'], san: { dns: ['app.test'] } });

const objects = (namespace: string): string => `apiVersion: v1
kind: ConfigMap
metadata: {name: app-ca, namespace: ${namespace}}
data: {ca.crt: ${JSON.stringify(backEnd.certificatePem)}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: doors, namespace: ${namespace}}
data: {version: "1"}
---
${HEAD}kind: BackendCredential
metadata: {name: mesh, namespace: ${namespace}}
spec: {meshCertificate: {managed: {lifetime: 72h}}}
---
${HEAD}kind: Api
metadata: {name: fleet, namespace: ${namespace}}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8443
  app: {scheme: https, serverName: app.test, credential: mesh, trust: {configMapKeyRef: {name: app-ca, key: ca.crt}}}
---
${policy(namespace, "request.headers['x-version'] == vars.version")}`;

/** The version is let in that the ConfigMap \`doors\` says. */
function policy(namespace: string, expression: string): string {
  return `${HEAD}kind: AuthPolicy
metadata: {name: door, namespace: ${namespace}}
spec:
  variables: {version: {configMapKeyRef: {name: doors, key: version}}}
  request:
  - {name: anyone, anyOf: [{anonymous: {}}]}
  - {name: version, authorize: {allow: [{name: v, expression: ${JSON.stringify(expression)}}]}}
`;
}

describe('a sidecar, the controller and a real API server', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  before(async () => {
    scene = await openControllerScene();
    running = await scene.open();
  });
  after(() => scene.close());

  interface Protected {
    readonly pod: ProtectedPod;
    readonly app: RecordingApp;
    readonly start: (until?: 'ready' | 'listening') => Promise<Sidecar>;
  }

  /** A namespace, a pod in it, and an app that lets in nobody but who has a certificate of the mesh. */
  async function protect(context: TestContext, namespace: string): Promise<Protected> {
    const { cluster } = scene;
    await cluster.createNamespace(namespace, { 'sallyport.dev/inject': 'enabled' });
    await cluster.apply(objects(namespace));
    const object = await scene.createPod(namespace, 'fleet-1');
    const pod = await createProtectedPod(cluster, namespace, { app: 'fleet' }, { granted: true });
    const token = await scene.token(namespace, object);
    await pod.setToken('controller-token', token);
    const bundle = await until('the mesh CA in the namespace', async () => {
      const { body } = await cluster.call('GET', `/api/v1/namespaces/${namespace}/configmaps/sallyport-mesh-ca`);
      return (body as { data?: { 'ca.crt'?: string } }).data?.['ca.crt'];
    });
    const app = await new RecordingApp(undefined, { server: appCertificate, clients: bundle }).start();
    context.after(() => Promise.all([pod.remove(), app.stop()]));
    const { server, ca } = scene.connection(running, token);
    const args = ['--controller', server, '--controller-ca', Buffer.from(String(ca)).toString('base64')];
    return {
      pod,
      app,
      start: (state = 'ready') => pod.start({ app: app.port, args, until: state }),
    };
  }

  async function ask(sidecar: Sidecar, version = '1'): Promise<string> {
    let connection: Connection | undefined;
    try {
      connection = await openPlain(sidecar.port);
      const { status, reason } = await connection.ask({ path: '/', headers: [['x-version', version]] });
      return `${status} ${reason}`.trim();
    } finally {
      connection?.close();
    }
  }
  const becomes = (sidecar: Sidecar, version: string, answer: string) =>
    until(`${version} to be ${answer}`, async () => (await ask(sidecar, version)) === answer);
  const readCertificate = async (sidecar: Sidecar): Promise<string> => {
    const { credentials } = (await sidecar.status()) as {
      credentials: { from: string; certificate?: { sha256: string } }[];
    };
    return credentials.find(({ from }) => from === 'managed')?.certificate?.sha256 ?? '';
  };

  test('the app is reached with a certificate of the mesh; status says on how many pods what is enforced', async context => {
    const { app, start } = await protect(context, 'whole');
    const sidecar = await start();
    // Ready means that the certificate is there.
    assert.equal(await ask(sidecar), '200');
    assert.equal(app.last.peer, await readCertificate(sidecar));
    const enforced = (): Promise<string> => scene.condition('authpolicy', 'whole', 'door', 'Enforced');
    await until('Enforced', async () => /^True AllPods: .*generation 1 on 1\/1 pods/.test(await enforced()));
    await scene.cluster.apply(policy('whole', 'request.headers['));
    await until('the refusal', async () => /^False/.test(await enforced()));
    assert.equal(await ask(sidecar), '200');
    await scene.cluster.apply(policy('whole', "request.headers['x-version'] == '3'"));
    await becomes(sidecar, '3', '200');
    await until('Enforced again', async () => /^True AllPods: .*generation 3 on 1\/1 pods/.test(await enforced()));
    assert.equal(await sidecar.metric('sallyport_controller_connected'), 1);
  });

  test('what policies refer to changes without a new policy', async context => {
    const { start } = await protect(context, 'material');
    const sidecar = await start();
    await scene.cluster.call('PUT', '/api/v1/namespaces/material/configmaps/doors', {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'doors', namespace: 'material' } },
      data: { version: '2' },
    });
    await becomes(sidecar, '2', '200');
    assert.equal(await ask(sidecar, '1'), '403 AuthorizationDenied');
  });

  test('another certificate takes the place of the first under load, and not a request is lost', async context => {
    const { app, start } = await protect(context, 'rotation');
    const sidecar = await start();
    const first = await readCertificate(sidecar);
    const answers = new Map<string, number>();
    let isOver = false;
    const load = [1, 2, 3].map(async () => {
      while (!isOver) {
        const answer = await ask(sidecar);
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
      }
    });
    for (const lifetime of ['48h', '24h', '12h']) {
      const before = await readCertificate(sidecar);
      await scene.cluster.apply(`${HEAD}kind: BackendCredential
metadata: {name: mesh, namespace: rotation}
spec: {meshCertificate: {managed: {lifetime: ${lifetime}}}}
`);
      await until('another certificate', async () => (await readCertificate(sidecar)) !== before);
    }
    const last = await readCertificate(sidecar);
    await until('the app to see it', () => app.last.peer === last);
    isOver = true;
    await Promise.all(load);
    assert.deepEqual([...answers.keys()], ['200']);
    assert.notEqual(first, last);
  });

  test('a restart of the container needs neither API server nor controller: policy, material and certificate are there', async context => {
    const { start } = await protect(context, 'alone');
    const before = await start();
    assert.equal(await ask(before), '200');
    const certificate = await readCertificate(before);
    await running.stop();
    await scene.cluster.stopApiServer();
    assert.equal(await ask(before), '200');
    before.signal('SIGKILL');
    await before.ended();
    const after = await start();
    assert.equal(await readCertificate(after), certificate);
    assert.equal(await ask(after), '200');
    assert.equal(await ask(after, '2'), '403 AuthorizationDenied');
    const { source, controller } = (await after.status()) as {
      source: { from: string };
      controller: { connected: boolean; problem: string };
    };
    assert.deepEqual([source.from, controller.connected], ['saved', false]);
    assert.match(controller.problem, /could not connect/);
    await scene.cluster.startApiServer();
  });
});
