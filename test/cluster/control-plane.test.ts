import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:https';
import { json } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type { AddressInfo } from 'node:net';
import { createAuthority } from '../../src/demo/pki.ts';
import { createApi } from './support/api.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { skipWithout } from './support/requirements.ts';

const CRDS = 'crds';
const EXAMPLE = 'examples/fleet';
const readAll = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
    .join('\n---\n');

describe('a real control plane', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  before(async () => {
    cluster = await openControlPlane();
  });
  after(() => cluster.close());

  test('establishes our custom resource definitions and takes the example', async () => {
    await cluster.apply(readAll(CRDS));
    const names = readdirSync(CRDS).map(file => `crd/${file.replace('.yaml', '.sallyport.dev')}`);
    const { code, stderr } = await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names]);
    assert.equal(code, 0, stderr);
    await cluster.apply(readAll(EXAMPLE));
    const { stdout } = await cluster.kubectl(['get', 'apis.sallyport.dev', '-A', '-o', 'name']);
    assert.match(stdout, /^api\.sallyport\.dev\/\w+/);
  });

  test('refuses what the schema of a definition refuses', async () => {
    const { code, stderr } = await cluster.kubectl(
      ['apply', '-f', '-'],
      'apiVersion: sallyport.dev/v1alpha1\nkind: Api\nmetadata: {name: bad, namespace: default}\nspec: {port: 0}\n',
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /spec\.port/);
  });

  test('calls a webhook of the test’s process when a pod is made', async () => {
    const authority = createAuthority({ name: 'webhook' });
    const leaf = authority.issue({ subject: 'webhook', usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
    const seen: string[] = [];
    const webhook = createServer({ cert: leaf.chainPem, key: leaf.keyPem }, (request, response) => {
      void json(request).then(review => {
        const { uid, object } = (review as { request: { uid: string; object: { metadata: { name: string } } } })
          .request;
        seen.push(object.metadata.name);
        response.end(
          JSON.stringify({
            apiVersion: 'admission.k8s.io/v1',
            kind: 'AdmissionReview',
            response: { uid, allowed: true },
          }),
        );
      });
    });
    await new Promise<void>(resolve => webhook.listen(0, '127.0.0.1', resolve));
    const url = cluster.webhookUrl((webhook.address() as AddressInfo).port, '/mutate');
    await cluster.apply(describeWebhook(url, authority.certificatePem));
    await cluster.createNamespace('hooked', { hooked: 'yes' });
    await cluster.apply(describePod('hooked', 'seen'));
    assert.deepEqual(seen, ['seen']);
    await cluster.kubectl(['delete', 'mutatingwebhookconfiguration', 'test']);
    webhook.close();
  });

  test('gives tokens of an audience, bound to a pod, which TokenReview knows', async () => {
    await cluster.createNamespace('tokens');
    await cluster.apply(describePod('tokens', 'bound'));
    const { body } = await cluster.call('GET', '/api/v1/namespaces/tokens/pods/bound');
    const { uid } = (body as { metadata: { uid: string } }).metadata;
    const token = await cluster.createToken('tokens', 'default', 'sallyport.dev/controller', { name: 'bound', uid });
    const review = await cluster.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: ['sallyport.dev/controller'] },
    });
    const { status } = review.body as { status: { user: { extra: Record<string, string[]> } } };
    assert.deepEqual(status.user.extra['authentication.kubernetes.io/pod-uid'], [uid]);
  });

  test('lets nobody do what RBAC does not allow', async () => {
    const nobody = createApi(cluster.connectAs({ user: 'nobody' }));
    assert.equal((await nobody('GET', '/api/v1/namespaces/default/secrets')).status, 403);
  });

  test('keeps its objects and its address over a restart of the API server', async () => {
    await cluster.createNamespace('kept');
    await cluster.stopApiServer();
    assert.equal((await cluster.call('GET', '/readyz')).status, 0);
    await cluster.startApiServer();
    assert.equal((await cluster.call('GET', '/api/v1/namespaces/kept')).status, 200);
  });

  test('is known to helm', async () => {
    const { code, stdout, stderr } = await cluster.helm(['list', '--all-namespaces', '--output', 'json']);
    assert.deepEqual([code, stdout.trim()], [0, '[]'], stderr);
  });
});

function describePod(namespace: string, name: string): string {
  const spec = { containers: [{ name: 'app', image: 'localhost/none:1' }] };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec });
}

function describeWebhook(url: string, ca: string): string {
  return JSON.stringify({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'test' },
    webhooks: [
      {
        name: 'test.sallyport.dev',
        clientConfig: { url, caBundle: Buffer.from(ca).toString('base64') },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { hooked: 'yes' } },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  });
}
