import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { loadKubeconfig } from './kubeconfig.ts';

const authority = createAuthority({ name: 'cluster' });
const leaf = authority.issue({ subject: 'person' });
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Parts {
  readonly cluster?: Record<string, unknown>;
  readonly user?: Record<string, unknown>;
}

async function write(context: TestContext, { cluster = {}, user = {} }: Parts): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-kubeconfig-'));
  context.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'config');
  const server = {
    server: 'https://cluster.test:6443',
    'certificate-authority-data': base64(authority.certificatePem),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'one',
    clusters: [{ name: 'c', cluster: { ...server, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'u', namespace: 'shop' } },
      { name: 'two', context: { cluster: 'c', user: 'u' } },
    ],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

describe('a kubeconfig', () => {
  it('gives server, trust, namespace and the client certificate', async context => {
    const user = { 'client-certificate-data': base64(leaf.chainPem), 'client-key-data': base64(leaf.keyPem) };
    const kubeconfig = await write(context, { user, cluster: { 'tls-server-name': 'kubernetes.default.svc' } });
    const { token, ...connection } = await loadKubeconfig({ kubeconfig });
    assert.deepEqual(connection, {
      server: 'https://cluster.test:6443',
      namespace: 'shop',
      ca: authority.certificatePem,
      serverName: 'kubernetes.default.svc',
      clientCertificate: { certificate: leaf.chainPem, key: leaf.keyPem },
    });
    assert.equal(await token?.(), undefined);
    assert.equal((await loadKubeconfig({ kubeconfig, context: 'two' })).namespace, 'default');
  });

  it('gives the token of a user', async context => {
    const { token } = await loadKubeconfig({ kubeconfig: await write(context, { user: { token: 'secret-token' } }) });
    assert.equal(await token?.(), 'secret-token');
  });

  const REFUSED: Record<string, [Parts, RegExp, string?]> = {
    'verification switched off': [{ cluster: { 'insecure-skip-tls-verify': true } }, /insecure-skip-tls-verify/],
    'a proxy': [{ cluster: { 'proxy-url': 'http://proxy.test' } }, /proxy-url/],
    'a user name and a password': [{ user: { username: 'u', password: 'p' } }, /user name and password/],
    'an unknown context': [{}, /no context three/, 'three'],
  };
  for (const [what, [parts, problem, name]] of Object.entries(REFUSED)) {
    it(`is refused with ${what}`, async context => {
      const kubeconfig = await write(context, parts);
      await assert.rejects(loadKubeconfig({ kubeconfig, ...(name === undefined ? {} : { context: name }) }), problem);
    });
  }
});
