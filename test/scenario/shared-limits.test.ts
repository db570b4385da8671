/** P7 `scope: Shared`: two sidecars count in one Redis, which is killed and started again while requests come in. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openPlain } from '../support/connection.ts';
import { putUnderLoad } from '../support/load.ts';
import * as made from '../support/manifests.ts';
import { missProgram } from '../support/programs.ts';
import { startRedis, type Redis } from '../support/redis.ts';
import { answerPlainly, RecordingApp } from '../support/servers.ts';
import { startSidecar, type Sidecar } from '../support/sidecar.ts';
import { askOnce, sayAnswer } from '../support/table.ts';
import { until } from '../support/until.ts';

const skip = missProgram('redis-server');

const NAMES = ['rate', 'quota', 'few', 'plenty', 'hundred', 'window'];
const STEPS: Readonly<Record<string, made.Spec>> = {
  rate: { rateLimit: { calls: 2, period: '24h', headers: true, scope: 'Shared' } },
  quota: { quota: { calls: 2, period: '24h', scope: 'Shared' } },
  few: { concurrency: { max: 1, scope: 'Shared' } },
  hundred: { rateLimit: { calls: 100, period: '24h', scope: 'Shared' } },
  window: { quota: { calls: 100, period: '24h', scope: 'Shared' } },
  plenty: { rateLimit: { calls: 1_000_000, period: '1s', scope: 'Shared' } },
};

const describeLimits = (redis: Redis, onUnavailable: string): readonly made.Manifest[] => [
  made.clusterAuthPolicy('limits', { sharedStore: { url: `redis://127.0.0.1:${redis.port}`, onUnavailable } }),
  made.api('fleet', { operations: NAMES.map(name => ({ name, path: `/${name}` })) }),
  made.authPolicy('everybody', { request: [made.OPEN] }),
  ...Object.entries(STEPS).map(([name, step]) =>
    made.authPolicy(name, { ...made.onApi('fleet', name), request: [{ name: 's', ...step }] }),
  ),
];

interface Scene {
  readonly redis: Redis;
  /** What is posted is answered when a test says so. */
  readonly held: readonly (() => void)[];
  readonly sidecars: readonly [Sidecar, Sidecar];
}

async function open(t: TestContext, onUnavailable: string): Promise<Scene> {
  const redis = await startRedis();
  t.after(() => redis.close());
  const held: (() => void)[] = [];
  const app = await new RecordingApp((seen, response) => {
    if (seen.method === 'POST') held.push(() => answerPlainly(seen, response));
    else answerPlainly(seen, response);
  }).start();
  t.after(() => app.stop());
  const start = async (): Promise<Sidecar> => {
    const manifests = { 'all.yaml': describeLimits(redis, onUnavailable) };
    const sidecar = await startSidecar({ manifests, app: app.port });
    t.after(() => sidecar.close());
    return sidecar;
  };
  return { redis, held, sidecars: [await start(), await start()] };
}

const ask = async (sidecar: Sidecar, path: string): Promise<string> => sayAnswer(await askOnce(sidecar, { path }));
const stored = async (sidecar: Sidecar): Promise<unknown> => (await sidecar.status())['sharedStore'];
const connected = (sidecar: Sidecar) =>
  until('the store to be connected', async () => (await sidecar.metric('sallyport_shared_store_connected')) === 1);

test(
  'two sidecars let in as many as one; apart while the store is away, and together when it is back',
  { skip },
  async t => {
    const { redis, held, sidecars } = await open(t, 'PerPod');
    const [one, other] = sidecars;
    assert.deepEqual(await stored(one), { policy: 'limits', connected: true, problem: '' });

    assert.deepEqual([await ask(one, '/rate'), await ask(other, '/rate')], ['200', '200']);
    const refused = await askOnce(one, { path: '/rate' });
    assert.equal(sayAnswer(refused), '429 RateLimitExceeded');
    assert.deepEqual(refused.headers.get('ratelimit-policy'), ['"limit-1";q=2;w=86400']);
    assert.deepEqual([await ask(one, '/quota'), await ask(other, '/quota')], ['200', '200']);
    assert.deepEqual(
      [await ask(one, '/quota'), await ask(other, '/quota')],
      ['403 QuotaExceeded', '403 QuotaExceeded'],
    );

    const holder = await openPlain(one.port);
    holder.send('POST /few HTTP/1.1\r\nHost: a\r\n\r\n');
    // A request that asked before the holder is let in would take its place.
    const answer = await until('the app to have it', () => held[0]);
    assert.equal(await ask(other, '/few'), '429 ConcurrencyExceeded');
    answer();
    await until('the other to be let in', async () => (await ask(other, '/few')) === '200');
    holder.close();

    await redis.kill();
    await until('both to miss it', async () => {
      const answers = await Promise.all(sidecars.map(sidecar => ask(sidecar, '/plenty')));
      assert.deepEqual(answers, ['200', '200']);
      return (await Promise.all(sidecars.map(stored))).every(state => !(state as { connected: boolean }).connected);
    });
    for (const sidecar of sidecars) {
      assert.deepEqual(
        [await ask(sidecar, '/quota'), await ask(sidecar, '/quota')],
        ['200', '200'],
        'a window of its own',
      );
      assert.equal(await ask(sidecar, '/quota'), '403 QuotaExceeded');
      await sidecar.line('the store is away', line => line['msg'] === 'the shared store of limits is away');
    }

    await redis.start();
    await Promise.all(sidecars.map(connected));
    assert.deepEqual([await ask(one, '/rate'), await ask(other, '/rate')], ['200', '200'], 'what it held is lost');
    assert.deepEqual(
      [await ask(one, '/rate'), await ask(other, '/rate')],
      ['429 RateLimitExceeded', '429 RateLimitExceeded'],
    );
    await one.line('the store is back', line => line['msg'] === 'the shared store of limits answers again');
    assert.ok((await one.metric('sallyport_shared_store_requests_total', { outcome: 'ok' })) > 0);
    assert.ok((await one.metric('sallyport_shared_store_requests_total', { outcome: 'skipped' })) > 0);
  },
);

/** How many 8 clients get in that ask 40 times each, all at once, half of them at each sidecar. */
async function letIn([one, other]: Scene['sidecars'], path: string): Promise<number> {
  const ports = [one, other, one, other, one, other, one, other].map(({ port }) => port);
  const counts = ports.map(async port => {
    const connection = await openPlain(port);
    let count = 0;
    for (let i = 0; i < 40; i++) if ((await connection.ask({ path })).status === 200) count++;
    connection.close();
    return count;
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test('two sidecars asked at once let in exactly the limit; each as many while the store is away', { skip }, async t => {
  const { redis, sidecars } = await open(t, 'PerPod');
  const together = async (): Promise<readonly number[]> => [
    await letIn(sidecars, '/hundred'),
    await letIn(sidecars, '/window'),
  ];
  assert.deepEqual(await together(), [100, 100], 'one limit for both');

  await redis.kill();
  await until('both to miss it', async () =>
    (await Promise.all(sidecars.map(stored))).every(state => !(state as { connected: boolean }).connected),
  );
  assert.deepEqual(await together(), [200, 200], 'a limit for each, counted from nothing');

  await redis.start();
  await Promise.all(sidecars.map(connected));
  assert.deepEqual(await together(), [100, 100], 'one limit again; what the store held is lost');
});

test('under load, a store that is killed, stands still and comes back costs no request', { skip }, async t => {
  const { redis, sidecars } = await open(t, 'PerPod');
  const connections = await Promise.all(sidecars.flatMap(({ port }) => [1, 2, 3, 4].map(() => openPlain(port))));
  t.after(() => connections.forEach(connection => connection.close()));
  const load = putUnderLoad(connections, () => ({ path: '/plenty' }));
  await load.further(200);
  await redis.kill();
  await load.further(200);
  await redis.start();
  await Promise.all(sidecars.map(connected));
  await load.further(200);
  redis.signal('SIGSTOP');
  await load.further(200);
  redis.signal('SIGCONT');
  await Promise.all(sidecars.map(connected));
  await load.further(200);
  const answers = await load.stop();
  assert.deepEqual([...new Set(answers.map(sayAnswer))].sort(), ['200']);
});

test('onUnavailable: Deny lets nothing in that would have to be counted, and everything else', { skip }, async t => {
  const { redis, sidecars } = await open(t, 'Deny');
  const [one] = sidecars;
  assert.equal(await ask(one, '/rate'), '200');
  await redis.kill();
  for (const name of ['rate', 'quota', 'few']) assert.equal(await ask(one, `/${name}`), '503 Overloaded', name);
  await redis.start();
  await until('it to be back', async () => (await ask(one, '/few')) === '200');
});
