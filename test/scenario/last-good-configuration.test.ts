/** A bad configuration changes nothing but what is said about it: the last good one stays in force (S6). */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Answer, openPlain, openTls } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { type Files, type Sidecar, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const API = made.api('fleet', {
  operations: [
    { name: 'open', path: '/open' },
    { name: 'closed', path: '/closed' },
  ],
});
const deny: made.Spec = { name: 'gate', authorize: { deny: [{ expression: 'true' }] } };
const GOOD: Files = {
  'api.yaml': [API],
  'open.yaml': [made.authPolicy('open', { ...made.onApi('fleet', 'open'), request: [made.OPEN] })],
  'closed.yaml': [made.authPolicy('closed', { ...made.onApi('fleet', 'closed'), request: [made.OPEN, deny] })],
};

async function open(t: TestContext, manifests: Files, waitFor: 'ready' | 'listening' = 'ready') {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({ manifests, app: app.port, until: waitFor });
  t.after(() => sidecar.close());
  return { app, sidecar };
}

async function ask(sidecar: Sidecar, path: string): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    return await connection.ask({ path });
  } finally {
    connection.close();
  }
}

const outcome = async (sidecar: Sidecar, path: string): Promise<string> => {
  const { status, reason } = await ask(sidecar, path);
  return `${status} ${reason}`.trim();
};

const policyOf = (name: string, ...request: readonly made.Spec[]): readonly made.Manifest[] => [
  made.authPolicy(name, { ...made.onApi('fleet', name), request }),
];

/** What is wrong, and what the log must say of it. */
const BAD: Readonly<Record<string, { readonly files: Files; readonly says: RegExp }>> = {
  'a file is no YAML': { files: { 'closed.yaml': 'kind: AuthPolicy\n  metadata: [\n' }, says: /stands on the line/ },
  'a file is empty bytes and binary': { files: { 'closed.yaml': '\u0000\u0001' }, says: /./ },
  'an object has a field that nobody knows': {
    files: { 'closed.yaml': [made.authPolicy('closed', { ...made.onApi('fleet', 'closed'), reqest: [] })] },
    says: /reqest is not a known field/,
  },
  'an object has a step that nobody knows': {
    files: { 'closed.yaml': policyOf('closed', made.OPEN, { name: 'x', telepathy: {} }) },
    says: /telepathy is not a known field/,
  },
  'an expression has the wrong type': {
    files: {
      'closed.yaml': policyOf('closed', made.OPEN, { name: 'x', authorize: { allow: [{ expression: '1 + 1' }] } }),
    },
    says: /bool/,
  },
  'an expression cannot be parsed': {
    files: {
      'closed.yaml': policyOf('closed', made.OPEN, { name: 'x', authorize: { allow: [{ expression: 'a &&' }] } }),
    },
    says: /./,
  },
  'an object that it names does not exist': {
    files: { 'closed.yaml': policyOf('closed', { name: 'who', jwt: { issuers: ['nobody'], audiences: ['a'] } }) },
    says: /nobody/,
  },
};

for (const [what, { files, says }] of Object.entries(BAD)) {
  test(`${what}: the last good policy stays in force; log, metric and status say so`, async t => {
    const { app, sidecar } = await open(t, GOOD);
    assert.deepEqual(
      [await outcome(sidecar, '/open'), await outcome(sidecar, '/closed')],
      ['200', '403 AuthorizationDenied'],
    );
    const rejected = await sidecar.metric('sallyport_policy_rejected_total');
    const from = sidecar.lines.length;
    await sidecar.apply(files);
    assert.deepEqual(
      [await outcome(sidecar, '/open'), await outcome(sidecar, '/closed')],
      ['200', '403 AuthorizationDenied'],
    );
    assert.equal(app.seen.length, 2);

    const line = await sidecar.line(
      'what is wrong',
      ({ level, problem }) => level === 'error' && problem !== undefined,
      from,
    );
    assert.match(`${String(line['field'])} ${String(line['problem'])}`, says);
    assert.match(String(line['file']), /closed\.yaml$/);
    assert.ok(Number(line['line']) >= 1);
    assert.ok((await sidecar.metric('sallyport_policy_rejected_total')) > rejected);
    const status = JSON.stringify(await sidecar.status());
    assert.ok(status.includes('closed'), `status names it: ${status}`);
    assert.equal((await sidecar.readyz()).status, 200, 'what is in force is good');

    // Mended: another policy, in force at once, and nothing is held against it.
    await sidecar.apply({ 'closed.yaml': policyOf('closed', made.OPEN) });
    assert.equal(await outcome(sidecar, '/closed'), '200');
    assert.equal((await sidecar.command('status', '-o', 'json')).code, 0);
  });
}

test('the generation in force, its age and rejections are metrics', async t => {
  const { sidecar } = await open(t, GOOD);
  const generation = await sidecar.metric('sallyport_policy_generation');
  assert.ok(generation >= 1);
  assert.match(await sidecar.metrics(), /^sallyport_policy_age_seconds \d/m);
  await sidecar.apply({ 'closed.yaml': policyOf('closed', made.OPEN) });
  assert.equal(await sidecar.metric('sallyport_policy_generation'), generation + 1);
});

test('an invalid object without a last good one closes what it would apply to, and nothing else', async t => {
  const { app, sidecar } = await open(t, GOOD);
  await sidecar.apply({
    'new.yaml': [made.authPolicy('new', { ...made.onApi('fleet', 'open'), request: [{ name: 'x', telepathy: {} }] })],
  });
  const closed = await ask(sidecar, '/open');
  assert.deepEqual([closed.status, closed.reason], [503, 'PolicyInvalid']);
  assert.deepEqual(closed.headers.get('retry-after'), ['5']);
  assert.equal(await outcome(sidecar, '/closed'), '403 AuthorizationDenied');
  assert.equal(app.seen.length, 0);
  await sidecar.apply({ 'new.yaml': null });
  assert.equal(await outcome(sidecar, '/open'), '200');
});

test('a policy that is removed is removed: its last good generation does not live on', async t => {
  const { sidecar } = await open(t, GOOD);
  await sidecar.apply({ 'open.yaml': null });
  assert.equal(await outcome(sidecar, '/open'), '403 NoPolicyMatches');
});

test('a folder that is emptied keeps the last good configuration', async t => {
  const { sidecar } = await open(t, GOOD);
  await sidecar.apply({ 'api.yaml': null, 'open.yaml': null, 'closed.yaml': null });
  assert.equal(await outcome(sidecar, '/open'), '200');
  assert.equal((await sidecar.readyz()).status, 200);
});

test('with nothing good at the start: alive, not ready, 503 PolicyNotLoaded; a mended file needs no restart', async t => {
  const { app, sidecar } = await open(t, { ...GOOD, 'open.yaml': 'kind: [' }, 'listening');
  const ready = await sidecar.readyz();
  assert.deepEqual([ready.status, ready.body], [503, 'no policy is loaded\n']);
  const answer = await ask(sidecar, '/open');
  assert.deepEqual([answer.status, answer.reason], [503, 'PolicyNotLoaded']);
  assert.deepEqual(answer.headers.get('retry-after'), ['5']);
  await assert.rejects(openTls(sidecar.port, { ca: '' }), 'without a certificate nothing can be said over TLS');
  const status = await sidecar.command('status');
  assert.equal(status.code, 1);
  assert.match(status.stdout, /no policy is loaded/);
  assert.equal(app.seen.length, 0);
  await sidecar.apply({ 'open.yaml': GOOD['open.yaml'] ?? null });
  await until('the sidecar to be ready', async () => (await sidecar.readyz()).status === 200);
  assert.equal(await outcome(sidecar, '/open'), '200');
});

test('with an empty folder: alive, not ready, and ready as soon as there are manifests', async t => {
  const { sidecar } = await open(t, {}, 'listening');
  assert.equal((await sidecar.readyz()).status, 503);
  assert.equal(await outcome(sidecar, '/open'), '503 PolicyNotLoaded');
  await sidecar.apply(GOOD);
  await until('the sidecar to be ready', async () => (await sidecar.readyz()).status === 200);
  assert.equal(await outcome(sidecar, '/open'), '200');
});
