import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { KubeError } from '../../src/kube/kube-error.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { encodePem } from '../../src/x509/pem.ts';
import { writeCertificateRequest, writeName } from '../../src/x509/write.ts';
import { until } from '../support/until.ts';
import {
  askCertificate,
  openControllerScene,
  type ControllerScene,
  type RunningController,
  type Sidecar,
} from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const objects = (namespace: string): string => `${HEAD}kind: Api
metadata: {name: fleet, namespace: ${namespace}}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
${HEAD}kind: TokenIssuer
metadata: {name: corp, namespace: ${namespace}}
spec: {issuer: corp, algorithms: [HS256], keys: [{secretKeyRef: {name: corp-key, key: hs}}]}
---
${HEAD}kind: TokenIssuer
metadata: {name: unused, namespace: ${namespace}}
spec: {issuer: unused, algorithms: [HS256], keys: [{secretKeyRef: {name: unused-key, key: hs}}]}
---
${HEAD}kind: AuthPolicy
metadata: {name: p, namespace: ${namespace}}
spec:
  variables: {partner: {configMapKeyRef: {name: partners, key: default}}}
  request: [{name: caller, jwt: {issuers: [corp], audiences: [a]}}]
---
apiVersion: v1
kind: Secret
metadata: {name: corp-key, namespace: ${namespace}, annotations: {sallyport.dev/allowed-hosts: "a.example, B.example"}}
stringData: {hs: secret-of-${namespace}, other: not-named}
---
apiVersion: v1
kind: Secret
metadata: {name: unused-key, namespace: ${namespace}}
stringData: {hs: unused}
---
`;

describe('material on a real API server', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  let pod: KubeObject;
  let sidecar: Sidecar;
  before(async () => {
    scene = await openControllerScene();
    for (const namespace of ['shop', 'bank']) {
      await scene.cluster.createNamespace(namespace, { 'sallyport.dev/inject': 'enabled', team: namespace });
      await scene.cluster.apply(objects(namespace));
    }
    running = await scene.open();
    pod = await scene.createPod('shop', 'fleet-1');
    sidecar = await scene.connect(running, pod);
  });
  after(() => scene.close());

  const refusal = async (token: string, at: KubeObject = pod): Promise<string> => {
    const refused = await scene.connect(running, at, token);
    const problem = await until('a refusal', () => refused.stream.status().problem);
    await refused.stop();
    assert.equal(refused.materials.length, 0);
    return problem;
  };

  test('holds what the pod’s policies name, the named keys alone, null for what does not exist, and nothing else', async () => {
    const message = await sidecar.material('the first material');
    assert.deepEqual(message.secrets, {
      'shop/corp-key': {
        type: 'Opaque',
        data: { hs: base64('secret-of-shop') },
        allowedHosts: ['a.example', 'b.example'],
      },
    });
    assert.deepEqual(message.configMaps, { 'shop/partners': null });
    assert.deepEqual(message.objects, {});
    assert.equal(message.namespaceLabels['team'], 'shop');
  });

  test('a change of a Secret and a ConfigMap that is made reach the sidecar', async () => {
    await scene.cluster.call('PUT', '/api/v1/namespaces/shop/secrets/corp-key', {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'corp-key', namespace: 'shop' } },
      stringData: { hs: 'rotated' },
    });
    await sidecar.material(
      'the new secret',
      ({ secrets }) => secrets['shop/corp-key']?.data['hs'] === base64('rotated'),
    );
    await scene.cluster.kubectl(['create', 'configmap', 'partners', '-n', 'shop', '--from-literal=default=acme']);
    const message = await sidecar.material('the ConfigMap', ({ configMaps }) => configMaps['shop/partners'] !== null);
    assert.deepEqual(message.configMaps, { 'shop/partners': { data: { default: base64('acme') } } });
    assert.equal('allowedHosts' in (message.secrets['shop/corp-key'] ?? {}), false);
  });

  test('S8: what a cluster policy names elsewhere comes as objects; its Secrets only with shareSecrets', async () => {
    await scene.cluster.createNamespace('identity');
    const cluster = (share: boolean): string => `${HEAD}kind: ClusterAuthPolicy
metadata: {name: baseline}
spec:
  shareSecrets: ${share}
  namespaceSelector: {matchLabels: {team: shop}}
  request: [{name: who, jwt: {issuers: [identity/staff], audiences: [a]}}]
`;
    await scene.cluster.apply(`${HEAD}kind: TokenIssuer
metadata: {name: staff, namespace: identity}
spec: {issuer: staff, algorithms: [HS256], keys: [{secretKeyRef: {name: staff-key, key: hs}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: staff-key, namespace: identity}
stringData: {hs: of-identity}
---
${cluster(false)}`);
    const withheld = await sidecar.material(
      'the issuer',
      ({ objects: all }) => all['TokenIssuer identity/staff'] !== undefined,
    );
    assert.equal(withheld.secrets['identity/staff-key'], null);
    await until('the condition', async () =>
      /^False RefNotPermitted/.test(await scene.condition('clusterauthpolicy', '', 'baseline', 'ResolvedRefs')),
    );
    await scene.cluster.apply(cluster(true));
    await sidecar.material('the Secret', ({ secrets }) => secrets['identity/staff-key'] !== null);
    const other = await scene.connect(running, await scene.createPod('bank', 'fleet-1'));
    const message = await other.material('material of bank');
    assert.deepEqual(Object.keys(message.secrets), ['bank/corp-key']);
    assert.deepEqual(message.objects, {});
    await scene.cluster.kubectl(['delete', 'clusterauthpolicy', 'baseline']);
    await sidecar.material('back to its own', ({ secrets }) => !('identity/staff-key' in secrets));
  });

  test('an unbound token, which passes TokenReview, is refused', async () => {
    assert.match(await refusal(await scene.token('shop')), /TokenNotBound|bound to no pod/);
  });

  test('a token of another audience is refused', async () => {
    const { name, uid = '' } = pod.metadata;
    assert.match(
      await refusal(await scene.cluster.createToken('shop', 'default', 'another', { name, uid })),
      /audience/,
    );
  });

  test('a token of a pod without our sidecar, or with another image in its place, is refused', async () => {
    const bare = await scene.createPod('shop', 'bare', { sidecar: false });
    assert.match(await refusal(await scene.token('shop', bare), bare), /does not carry our sidecar/);
    const foreign = await scene.createPod('shop', 'foreign', { image: 'localhost/evil:1' });
    assert.match(await refusal(await scene.token('shop', foreign), foreign), /its image is localhost\/evil:1/);
  });

  test('a token that is none, and one of a pod that is gone, are refused', async () => {
    assert.match(await refusal('a.b.c'), /audience/);
    const gone = await scene.createPod('shop', 'gone');
    const token = await scene.token('shop', gone);
    await scene.client.request('DELETE', '/api/v1/namespaces/shop/pods/gone', { body: { gracePeriodSeconds: 0 } });
    assert.match(await refusal(token, gone), /audience|does not live/);
  });

  test('a stream ends when its pod is gone', async () => {
    const short = await scene.createPod('shop', 'short');
    const stream = await scene.connect(running, short);
    await stream.material('material');
    await scene.client.request('DELETE', '/api/v1/namespaces/shop/pods/short', { body: { gracePeriodSeconds: 0 } });
    await until('the end of the stream', () => !stream.stream.status().connected);
    await stream.stop();
  });

  test('nothing secret stands in the controller’s log', () => {
    const text = running.lines.join('');
    for (const secret of ['secret-of-shop', 'of-identity', base64('secret-of-shop'), 'PRIVATE KEY', 'eyJ']) {
      assert.ok(!text.includes(secret), `the log holds ${secret}`);
    }
  });

  test('a mesh certificate names the service account of the token’s pod, and verifies by the bundle of its namespace', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
    const csr = encodePem(
      'CERTIFICATE REQUEST',
      writeCertificateRequest(writeName({ commonName: 'spiffe://cluster.local/ns/bank/sa/admin' }), spki, {
        algorithm: 'ecdsa-sha256',
        sign: bytes => new Uint8Array(sign('sha256', bytes, privateKey)),
      }),
    );
    const issued = await askCertificate(scene, running, await scene.token('shop', pod), { csr });
    const leaf = new X509Certificate(issued.certificate);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/default');
    assert.ok(leaf.checkPrivateKey(privateKey));
    const { stdout } = await scene.cluster.kubectl([
      ...['get', 'configmap', 'sallyport-mesh-ca', '-n', 'shop', '-o', String.raw`jsonpath={.data.ca\.crt}`],
    ]);
    assert.equal(stdout, issued.ca);
    assert.ok(leaf.verify(new X509Certificate(stdout).publicKey));
    await assert.rejects(
      askCertificate(scene, running, await scene.token('shop'), { csr }),
      (error: KubeError) => error.status === 401,
    );
    await assert.rejects(
      askCertificate(scene, running, await scene.token('shop', pod), { csr: 'x' }),
      (error: KubeError) => error.status === 400,
    );
  });
});
