/** An Api with app.url: a back end elsewhere, reached over TLS by name (M4). */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import { type Answer, openPlain } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';

const authority = createAuthority({ name: 'back end' });
const server = authority.issue({
  subject: 'queue',
  san: { dns: ['queue.example.net'] },
  usages: ['serverAuth'],
});

async function open(
  t: TestContext,
  app: made.Spec,
  parts: made.Spec = {},
): Promise<{ sidecar: Sidecar; backEnd: RecordingApp }> {
  const backEnd = await new RecordingApp(
    (_, response) => response.writeHead(302, { location: 'https://queue.example.net/orders/messages/7' }).end(),
    { server },
  ).start();
  t.after(() => backEnd.stop());
  const sidecar = await startSidecar({
    manifests: {
      'all.yaml': [
        made.api('orders', { basePath: '/orders', app, ...parts }),
        made.authPolicy('open', { request: [made.OPEN], response: [{ name: 'hide', hideBackend: {} }] }),
        made.configMap('ca', { 'ca.crt': authority.certificatePem }),
      ],
    },
    resolve: { 'queue.example.net': backEnd.port, 'other.example.net': backEnd.port },
  });
  t.after(() => sidecar.close());
  return { sidecar, backEnd };
}

async function ask(
  sidecar: Sidecar,
  path: string,
  headers: readonly (readonly [string, string])[] = [],
): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    return await connection.ask({ path, headers });
  } finally {
    connection.close();
  }
}

const trust = made.fromConfigMap('ca');

test('the path behind basePath is appended, Host and SNI are the URL’s, nothing is said of the client', async t => {
  const { sidecar, backEnd } = await open(t, { url: 'https://queue.example.net/contoso/orders', trust });
  const answer = await ask(sidecar, '/orders/messages?timeout=60', [['X-Forwarded-For', '203.0.113.9']]);
  assert.equal(answer.status, 302);
  const { path, lines } = backEnd.last;
  assert.equal(path, '/contoso/orders/messages?timeout=60');
  assert.deepEqual(folded(lines, 'host'), ['queue.example.net']);
  for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])
    assert.deepEqual(folded(lines, name), []);
  assert.equal(answer.head.includes('queue.example.net'), false, answer.head);
  await ask(sidecar, '/orders');
  assert.equal(backEnd.last.path, '/contoso/orders');
});

test('a back end that shows another name is 502 AppCertificateInvalid', async t => {
  const { sidecar, backEnd } = await open(t, { url: 'https://other.example.net/', trust });
  const answer = await ask(sidecar, '/orders/');
  assert.deepEqual([answer.status, answer.reason], [502, 'AppCertificateInvalid']);
  assert.equal(answer.head.includes('example.net'), false);
  assert.equal(backEnd.seen.length, 0);
});

test('a pinned fingerprint is enough, another one is refused', async t => {
  const good = await open(t, { url: 'https://queue.example.net/', fingerprint: `sha256:${server.sha256}` });
  assert.equal((await ask(good.sidecar, '/orders/')).status, 302);
  const bad = await open(t, { url: 'https://queue.example.net/', fingerprint: `sha256:${'00'.repeat(32)}` });
  assert.equal((await ask(bad.sidecar, '/orders/')).reason, 'AppCertificateInvalid');
});

test('link-local and metadata addresses are refused, whoever asks for them', async t => {
  for (const url of [
    'http://169.254.169.254/latest',
    'http://[fe80::1]/',
    'http://0.0.0.0/',
    'http://100.100.100.200/',
  ]) {
    const { sidecar } = await open(t, { url, timeouts: { connect: '60s' } });
    const answer = await ask(sidecar, '/orders/');
    assert.deepEqual([answer.status, answer.reason], [502, 'AppUnavailable'], url);
    assert.equal(answer.body.includes('169.254'), false);
  }
});
