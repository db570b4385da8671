/** Policies change while requests are under way: each is judged by one of them as a whole, none is lost. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import { type Connection, openPlain } from '../support/connection.ts';
import { putUnderLoad } from '../support/load.ts';
import * as made from '../support/manifests.ts';
import { answerPlainly, type Behaviour, folded, RecordingApp, type Seen } from '../support/servers.ts';
import { type Sidecar, startSidecar, writeFiles } from '../support/sidecar.ts';

const SCOPES = ['cluster', 'namespace', 'product', 'api', 'operation'] as const;
type ScopeName = (typeof SCOPES)[number];

/** At every scope a policy that says its version, to the app and to the client. */
function describeVersion(version: number): readonly made.Manifest[] {
  const speak = (scope: ScopeName): made.Spec => ({
    request: [
      ...(scope === 'cluster' ? [made.OPEN] : []),
      { name: 'tell', setHeaders: [{ name: `x-${scope}`, value: `v${version}` }] },
    ],
    response: [{ name: 'tell', setHeaders: [{ name: `x-${scope}`, value: `v${version}` }] }],
  });
  return [
    made.clusterAuthPolicy('cluster', speak('cluster')),
    made.authPolicy('namespace', speak('namespace')),
    made.authPolicy('product', {
      targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }],
      ...speak('product'),
    }),
    made.authPolicy('api', { ...made.onApi('fleet'), ...speak('api') }),
    made.authPolicy('operation', { ...made.onApi('fleet', 'report'), ...speak('operation') }),
  ];
}

const API: made.Manifest = {
  ...made.api('fleet', { operations: [{ name: 'report', path: '/report/*' }] }),
  metadata: { name: 'fleet', namespace: made.NAMESPACE, labels: { product: 'gold' } },
};

async function openStage(t: TestContext, behaviour: Behaviour): Promise<[Sidecar, RecordingApp]> {
  const app = await new RecordingApp(behaviour).start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({
    manifests: { 'api.yaml': [API], 'policies.yaml': describeVersion(0) },
    app: app.port,
  });
  t.after(() => sidecar.close());
  return [sidecar, app];
}

const connect = async (t: TestContext, sidecar: Sidecar): Promise<Connection> => {
  const connection = await openPlain(sidecar.port);
  t.after(() => connection.close());
  return connection;
};

const toldApp = ({ lines }: Seen): string[] => SCOPES.flatMap(scope => folded(lines, `x-${scope}`));
const toldClient = ({ headers }: { headers: ReadonlyMap<string, readonly string[]> }): string[] =>
  SCOPES.flatMap(scope => headers.get(`x-${scope}`) ?? []);

/** Waits for the version on a connection that has been open all along. */
async function changeTo(version: number, sidecar: Sidecar, connection: Connection): Promise<void> {
  await writeFiles(sidecar.manifests, { 'policies.yaml': describeVersion(version) });
  for (;;) {
    const answer = await connection.ask({ path: '/report/a' });
    if (toldClient(answer)[0] === `v${version}`) return;
  }
}

test('under load every request is judged by one version of all five scopes, and none fails', async t => {
  const [sidecar, app] = await openStage(t, answerPlainly);
  const connections = await Promise.all(Array.from({ length: 20 }, () => connect(t, sidecar)));
  const load = putUnderLoad(connections, client => ({ path: `/report/${client}` }));
  const watcher = await connect(t, sidecar);
  const versions = 8;
  for (let version = 1; version <= versions; version++) {
    await changeTo(version, sidecar, watcher);
    await load.further(50);
  }
  const answers = await load.stop();
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const seen = new Set<string>();
  for (const told of [...answers.map(toldClient), ...app.seen.map(toldApp)]) {
    assert.equal(told.length, SCOPES.length);
    assert.equal(new Set(told).size, 1, `a mixture: ${told.join(' ')}`);
    seen.add(told[0] ?? '');
  }
  assert.equal(seen.size, versions + 1, 'all versions were in force');
});

test('an answer is finished by the version that its request was judged by', async t => {
  const held: ServerResponse[] = [];
  const [sidecar, app] = await openStage(t, ({ path }, response) => {
    if (path === '/report/slow') held.push(response);
    else response.end('ok');
  });
  const slow = await connect(t, sidecar);
  const answer = slow.ask({ path: '/report/slow' });
  await changeTo(1, sidecar, await connect(t, sidecar));
  assert.deepEqual(
    toldApp(app.seen[0] as Seen),
    SCOPES.map(() => 'v0'),
  );
  held[0]?.end('late');
  assert.deepEqual(
    toldClient(await answer),
    SCOPES.map(() => 'v0'),
  );
  const next = await slow.ask({ path: '/report/a' });
  assert.deepEqual(
    toldClient(next),
    SCOPES.map(() => 'v1'),
    'the next request on the same connection',
  );
});

test('a policy that closes a route takes effect on the next request of open connections, and opens it again', async t => {
  const [sidecar, app] = await openStage(t, answerPlainly);
  const connections = await Promise.all(Array.from({ length: 10 }, () => connect(t, sidecar)));
  const askAll = async (): Promise<string[]> => {
    const answers = await Promise.all(connections.map(connection => connection.ask({ path: '/report/a' })));
    return [...new Set(answers.map(({ status, reason }) => `${status} ${reason}`.trim()))];
  };
  const applyQuietly = async (allowed: boolean): Promise<void> => {
    const rule = { name: 'gate', authorize: { allow: [{ expression: String(allowed) }] } };
    await writeFiles(sidecar.manifests, { 'gate.yaml': [made.authPolicy('gate', { request: [rule] })] });
    const watcher = await connect(t, sidecar);
    for (;;) if (((await watcher.ask({ path: '/report/a' })).status === 200) === allowed) return;
  };
  assert.deepEqual(await askAll(), ['200']);
  for (let round = 0; round < 3; round++) {
    await applyQuietly(false);
    const seen = app.seen.length;
    assert.deepEqual(await askAll(), ['403 AuthorizationDenied']);
    assert.equal(app.seen.length, seen);
    await applyQuietly(true);
    assert.deepEqual(await askAll(), ['200']);
  }
});

test('counters of a rate limit live through changes of other policies', async t => {
  const [sidecar] = await openStage(t, answerPlainly);
  const rate = { name: 'few', rateLimit: { calls: 3, period: '24h' } };
  await sidecar.apply({ 'rate.yaml': [made.authPolicy('rate', { request: [rate] })] });
  const connection = await connect(t, sidecar);
  const statuses: number[] = [];
  for (let n = 0; n < 5; n++) {
    statuses.push((await connection.ask({ path: '/report/a' })).status);
    await sidecar.apply({ 'policies.yaml': describeVersion(n + 1) });
  }
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});
