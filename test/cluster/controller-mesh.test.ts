import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { encodePem, parsePem } from '../../src/x509/pem.ts';
import { writeCertificateRequest, writeName } from '../../src/x509/write.ts';
import { until } from '../support/until.ts';
import {
  askCertificate,
  openControllerScene,
  SYSTEM,
  type ControllerScene,
  type RunningController,
} from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

describe('the mesh CA on a real API server', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let pod: KubeObject;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    pod = await scene.createPod('shop', 'one');
  });
  after(() => scene.close());

  const bundle = async (): Promise<readonly X509Certificate[]> => {
    const { stdout } = await scene.cluster.kubectl([
      ...['get', 'configmap', 'sallyport-mesh-ca', '-n', 'shop', '-o', String.raw`jsonpath={.data.ca\.crt}`],
    ]);
    return parsePem(stdout, 65_536).map(({ der }) => new X509Certificate(der));
  };
  const issue = async (at: RunningController): Promise<X509Certificate> => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const request = writeCertificateRequest(
      writeName({}),
      new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
      { algorithm: 'ecdsa-sha256', sign: bytes => new Uint8Array(sign('sha256', bytes, privateKey)) },
    );
    const csr = encodePem('CERTIFICATE REQUEST', request);
    const { certificate } = await askCertificate(scene, at, await scene.token('shop', pod), { csr });
    return new X509Certificate(certificate);
  };
  const isTrusted = (leaf: X509Certificate, by: readonly X509Certificate[]): boolean =>
    by.some(authority => leaf.checkIssued(authority) && leaf.verify(authority.publicKey));

  test('is made once by several that begin at once, and turns over with overlap: every certificate is always trusted', async () => {
    const timings = { lifetimeMs: 18_000, overlapMs: 4000 };
    const all = await Promise.all([1, 2].map(() => scene.open({ meshCa: { timings } })));
    const [first] = all;
    assert.ok(first);
    await until('the bundle', async () => (await bundle()).length === 1);
    const [root] = await bundle();
    const leaf = await issue(first);
    await until('the next CA, published', async () => (await bundle()).length === 2, 30_000);
    assert.ok(isTrusted(await issue(first), root === undefined ? [] : [root]), 'it does not sign yet');
    const later = await until(
      'the next CA to sign',
      async () => {
        const issued = await issue(first);
        const trusted = await bundle();
        assert.ok(isTrusted(issued, trusted));
        assert.ok(isTrusted(leaf, trusted) || leaf.validToDate.getTime() < Date.now());
        return !issued.checkIssued(root ?? issued) && issued;
      },
      30_000,
    );
    assert.ok(isTrusted(later, await bundle()));
    const isGone = async (): Promise<boolean> => !(await bundle()).some(one => one.fingerprint === root?.fingerprint);
    await until('the first CA to go', isGone, 30_000);
    await Promise.all(all.map(one => one.stop()));
  });

  test('may be an intermediate of the user’s: apps trust its root', async () => {
    const root = createAuthority({ name: 'company root' });
    const intermediate = root.createIntermediate({ name: 'company mesh' });
    await scene.cluster.call('POST', `/api/v1/namespaces/${SYSTEM}/secrets`, {
      ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata: { name: 'given-ca' } },
      stringData: {
        'tls.crt': intermediate.certificatePem,
        'tls.key': intermediate.keyPem,
        'ca.crt': root.certificatePem,
      },
    });
    const only = await scene.open({ meshCa: { given: 'given-ca' } });
    await until('its root in the bundle', async () =>
      (await bundle()).some(({ subject }) => subject === 'CN=company root'),
    );
    assert.ok((await issue(only)).checkIssued(new X509Certificate(intermediate.certificatePem)));
    await only.stop();
  });

  test('that cannot be read is not written over, and nothing is issued', async () => {
    const path = `/api/v1/namespaces/${SYSTEM}/secrets/sallyport-mesh-ca`;
    const { metadata } = await scene.client.request<KubeObject>('GET', path);
    const broken = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'sallyport.dev/mesh-ca',
      metadata,
      stringData: { 'ca.crt': 'x' },
    };
    await scene.client.request('PUT', path, { body: { ...broken, data: {} } });
    const only = await scene.open();
    await until('leading', () => only.controller.leads());
    await assert.rejects(issue(only), /503/);
    assert.match(only.lines.join(''), /the mesh CA cannot be used/);
    const after = await scene.client.request<KubeObject & { data: Record<string, string> }>('GET', path);
    assert.deepEqual(Object.keys(after.data), ['ca.crt']);
    await only.stop();
  });
});
