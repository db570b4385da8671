/** P7 with scope Shared: limits of several pods (each a createLimits of its own) in one real Redis. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test, type TestContext } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import type { ConcurrencyRequest, CountMode, QuotaRequest, RateRequest } from '../../src/decision/evidence.ts';
import { CouldNotDecide } from '../../src/decision/could-not-decide.ts';
import { createLimits, type Limits } from '../../src/limits/limits.ts';
import { nameKey } from '../../src/limits/shared-limits.ts';
import { EMPTY_MATERIAL, type Material } from '../../src/material/material.ts';
import type { Template } from '../../src/policy/expression.ts';
import type { SharedStorePlan } from '../../src/policy/model.ts';
import { SILENT, type LogFields, type Telemetry } from '../../src/telemetry/telemetry.ts';
import { missProgram } from '../support/programs.ts';
import { startRedis, type Redis, type RedisOptions } from '../support/redis.ts';
import { until } from '../support/until.ts';

const skip = missProgram('redis-server');
const NOW = 1_800_000_000_000;
const COUNTER = 'AuthPolicy shop/gold/step';
const KEY: Template = { source: '', place: 'text', literal: '', reads: new Set(), render: () => '' };

interface Parts {
  readonly calls?: number;
  readonly periodMs?: number;
  readonly mode?: CountMode;
}

const rate = (key: string, { calls = 4, periodMs = 60_000, mode = 'admit' }: Parts = {}): RateRequest => {
  const step = { counter: COUNTER, key: KEY, calls, periodMs, maxKeys: 100, headers: false, scope: 'Shared' } as const;
  return { type: 'rate', key, mode, step };
};
const quota = (key: string, { calls = 4, periodMs = 60_000, mode = 'admit' }: Parts = {}): QuotaRequest => {
  const step = { counter: COUNTER, key: KEY, calls, periodMs, maxKeys: 100, scope: 'Shared' } as const;
  return { type: 'quota', key, mode, step };
};
const open = (key: string, max = 2): ConcurrencyRequest => {
  return { type: 'concurrency', key, step: { counter: COUNTER, key: KEY, max, scope: 'Shared' } };
};

interface Pod extends Limits {
  /** `warn: the shared store …` and its code. */
  readonly said: readonly string[];
}

interface PodOptions {
  readonly plan?: Partial<SharedStorePlan>;
  readonly material?: Material;
  readonly resolve?: Readonly<Record<string, number>>;
}

/** Waits until it has tried the store once. */
async function startPod(t: TestContext, redis: Redis, options: PodOptions = {}): Promise<Pod> {
  const said: string[] = [];
  const say = (level: string) => (fields: LogFields, message: string) => {
    const { code } = fields;
    said.push(typeof code === 'string' ? `${level}: ${message} ${code}` : `${level}: ${message}`);
  };
  const log: Telemetry['log'] = { ...SILENT.log, info: say('info'), warn: say('warn'), error: say('error') };
  const limits = createLimits({
    readyPods: () => 1,
    resolve: Object.entries(options.resolve ?? {}).map(([host, toPort]) => ({ host, address: '127.0.0.1', toPort })),
    log,
    metrics: SILENT.metrics,
    monotonic: () => performance.now(),
    random: () => 0.5,
    randomBytes,
  });
  t.after(() => limits.close());
  const url = `redis://127.0.0.1:${redis.port}`;
  limits.prepare(
    { policy: '/limits', url, onUnavailable: 'PerPod', ...options.plan },
    options.material ?? EMPTY_MATERIAL,
  );
  await limits.ready();
  return Object.assign(limits, { said });
}

async function start(t: TestContext, options?: RedisOptions): Promise<Redis> {
  const redis = await startRedis(options);
  t.after(() => redis.close());
  return redis;
}

const connected = (pod: Pod) => until('the store to be connected', () => pod.status()?.connected);
const AWAY = 'warn: the shared store of limits is away';
const BACK = 'info: the shared store of limits answers again';

suite('one limit for all pods', { skip }, () => {
  test('a rate: the burst is shared, and refused calls count nothing', async t => {
    const redis = await start(t);
    const pods = [await startPod(t, redis), await startPod(t, redis)] as const;
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push(await pods[i % 2 === 0 ? 0 : 1].rate(rate('a'), NOW));
    assert.deepEqual(
      answers.map(({ admitted, limit, remaining }) => [admitted, limit, remaining]),
      [
        [true, 4, 3],
        [true, 4, 2],
        [true, 4, 1],
        [true, 4, 0],
        [false, 4, 0],
        [false, 4, 0],
      ],
    );
    const last = answers.at(-1);
    // A call comes back every 15 s; the store's own clock has gone on a little.
    assert.ok(last !== undefined && last.retryAfter > 10 && last.retryAfter <= 15, JSON.stringify(last));
    assert.ok(last.reset > 55 && last.reset <= 60, JSON.stringify(last));
    assert.equal((await pods[0].rate(rate('b'), NOW)).admitted, true);
  });

  test('a rate: calls come back as time goes by, and the key is gone when all are', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    const few = rate('a', { calls: 20, periodMs: 1000 });
    for (let i = 0; i < 20; i++) assert.equal((await pod.rate(few, NOW)).admitted, true, `call ${i}`);
    await until('a call to come back', async () => (await pod.rate(few, NOW)).admitted);
    assert.equal(await redis.ask('DBSIZE'), 1);
    await until('the key to be forgotten', async () => (await redis.ask('DBSIZE')) === 0);
  });

  test('a rate that is looked at counts nothing, and what is counted late counts beyond it', async t => {
    const redis = await start(t);
    const pods = [await startPod(t, redis), await startPod(t, redis)] as const;
    const one = (mode: CountMode) => rate('a', { calls: 1, mode });
    assert.deepEqual([(await pods[0].rate(one('look'), NOW)).admitted, await redis.ask('DBSIZE')], [true, 0]);
    await pods[0].rate(one('count'), NOW);
    await pods[1].rate(one('count'), NOW);
    assert.equal((await pods[1].rate(one('look'), NOW)).admitted, false);
  });

  test('a quota: the window begins with the first call and ends for all pods at once', async t => {
    const redis = await start(t);
    const pods = [await startPod(t, redis), await startPod(t, redis)] as const;
    const few = quota('a', { calls: 2, periodMs: 1000 });
    const first = await pods[0].quota(few, NOW);
    assert.deepEqual([first.admitted, first.remaining, first.reset], [true, 1, 1]);
    assert.equal((await pods[1].quota(few, NOW)).admitted, true);
    const third = await pods[0].quota(few, NOW);
    assert.deepEqual([third.admitted, third.retryAfter > 0 && third.retryAfter <= 1], [false, true]);
    await until('the window to end', async () => (await pods[1].quota(few, NOW)).admitted);
    assert.equal((await pods[0].quota(few, NOW)).remaining, 0);
  });

  test('a quota whose period became shorter does not wait for the old one', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    await pod.quota(quota('a', { calls: 1, periodMs: 86_400_000 }), NOW);
    const after = await pod.quota(quota('a', { calls: 1, periodMs: 2000 }), NOW);
    assert.deepEqual([after.admitted, after.reset], [false, 2]);
  });

  test('concurrency: what one pod holds, another cannot have, until it ends', async t => {
    const redis = await start(t);
    const pods = [await startPod(t, redis), await startPod(t, redis)] as const;
    const leases = [await pods[0].acquire(open('a')), await pods[1].acquire(open('a'))];
    assert.ok(leases.every(lease => lease !== undefined));
    assert.equal(await pods[0].acquire(open('a')), undefined);
    assert.ok((await pods[0].acquire(open('b'))) !== undefined);
    leases[1]?.();
    await until('room', () => pods[0].acquire(open('a')));
    assert.equal(await pods[1].acquire(open('a')), undefined);
  });

  test('leases of a pod that is gone end by themselves', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    const key = nameKey('open', { counter: COUNTER, key: 'a' });
    // As a pod leaves them that was killed 30 s ago, and one that was killed just now.
    const seconds = Math.floor(Date.now() / 1000);
    await redis.ask('ZADD', key, `${(seconds - 1) * 1000}`, 'gone-1', `${(seconds + 30) * 1000}`, 'other-1');
    assert.ok((await pod.acquire(open('a'))) !== undefined);
    assert.equal(await pod.acquire(open('a')), undefined);
    const left = Number(await redis.ask('PTTL', key));
    assert.ok(left > 20_000 && left <= 30_000, `${left}`);
  });

  test('what is told to the store names no caller', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    await pod.rate(rate('alice@example.com'), NOW);
    await pod.acquire(open('alice@example.com'));
    const keys = await redis.ask('KEYS', '*');
    assert.match(JSON.stringify(keys), /^\["sallyport:(rate|open):[\w-]{22}","sallyport:(rate|open):[\w-]{22}"\]$/);
  });
});

suite('while the store is away', { skip }, () => {
  test('PerPod: each pod counts for itself, and together again when it is back, without its scripts', async t => {
    const redis = await start(t);
    const pods = [await startPod(t, redis), await startPod(t, redis)] as const;
    const ask = (pod: 0 | 1) => pods[pod].rate(rate('a', { calls: 1 }), NOW);
    assert.deepEqual([(await ask(0)).admitted, (await ask(1)).admitted], [true, false]);
    await redis.kill();
    await until('it to be missed', () => pods[1].said.some(line => line.startsWith(AWAY)));
    assert.deepEqual([(await ask(1)).admitted, (await ask(1)).admitted], [true, false]);
    assert.deepEqual([(await ask(0)).admitted, (await ask(0)).admitted], [true, false]);
    await redis.start();
    await Promise.all(pods.map(connected));
    // It has forgotten everything, what its scripts are too.
    assert.deepEqual([(await ask(0)).admitted, (await ask(1)).admitted], [true, false]);
    await until('it to be told', () => pods.every(({ said }) => said.includes(BACK)));
    assert.equal(pods[0].said.length, 2, pods[0].said.join('\n'));
  });

  test('Deny: nothing is let in, 503 Overloaded', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis, { plan: { onUnavailable: 'Deny' } });
    assert.equal((await pod.rate(rate('a'), NOW)).admitted, true);
    await redis.kill();
    const overloaded = (error: unknown) => error instanceof CouldNotDecide && error.reason === 'Overloaded';
    await assert.rejects(async () => pod.rate(rate('a'), NOW), overloaded);
    await assert.rejects(async () => pod.quota(quota('a'), NOW), overloaded);
    await assert.rejects(async () => pod.acquire(open('a')), overloaded);
    await redis.start();
    await until('it to be back', async () => {
      try {
        return (await pod.rate(rate('a'), NOW)).admitted;
      } catch {
        return false;
      }
    });
  });

  test('a store that stands still is given up after 250 ms, and then not waited for', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    await pod.rate(rate('a'), NOW);
    redis.signal('SIGSTOP');
    try {
      for (let i = 0; i < 3; i++) assert.equal((await pod.rate(rate('b'), NOW)).admitted, true);
      assert.deepEqual(pod.said, [`${AWAY} TIMEOUT`]);
      // The breaker is open: answered without the store, so at once.
      let answered = false;
      void Promise.resolve(pod.rate(rate('b'), NOW)).then(() => (answered = true));
      await new Promise(setImmediate);
      assert.ok(answered);
    } finally {
      redis.signal('SIGCONT');
    }
    await until('it to answer again', async () => {
      await pod.rate(rate('c'), NOW);
      return pod.said.includes(BACK);
    });
  });

  test('concurrency: what was let in meanwhile is told to the store when it is back', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    const before = await pod.acquire(open('a'));
    await redis.kill();
    const meanwhile = await until('a lease without the store', () => pod.acquire(open('a')));
    assert.equal(await pod.acquire(open('a')), undefined, 'what was open before counts too');
    await redis.start();
    await connected(pod);
    const other = await startPod(t, redis);
    await pod.renew();
    assert.equal(await other.acquire(open('a')), undefined);
    before?.();
    meanwhile();
    await until('room', () => other.acquire(open('a')));
  });

  test('under load through a restart nobody waits, is refused or fails', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    let answered = 0;
    let stopped = false;
    const load = Promise.all(
      Array.from({ length: 16 }, async (_, client) => {
        while (!stopped) {
          const { admitted } = await pod.rate(rate(`k${client}`, { calls: 1_000_000 }), NOW);
          assert.ok(admitted);
          const lease = await pod.acquire(open('all', 16));
          assert.ok(lease !== undefined);
          answered += 1;
          lease();
          // Timers and sockets have their turn.
          await new Promise(setImmediate);
        }
      }),
    );
    const further = (count: number) => {
      const from = answered;
      return until(`${count} answers more`, () => answered >= from + count);
    };
    for (let round = 0; round < 2; round++) {
      await further(200);
      await redis.kill();
      await further(200);
      await redis.start();
      await connected(pod);
    }
    await further(200);
    stopped = true;
    await load;
    const key = nameKey('open', { counter: COUNTER, key: 'all' });
    await until('every lease to have ended', async () => (await redis.ask('ZCARD', key)) === 0);
  });
});

suite('whom it is told', { skip }, () => {
  const authority = createAuthority({ name: { CN: 'Store root' } });
  const HOST = 'limits.example.com';
  const certificate = authority.issue({ subject: HOST, san: { dns: [HOST] }, usages: ['serverAuth'] });
  const ACL = `user sallyport on >right-password ~sallyport:* -@all +ping +select +eval +evalsha +time +get +set +incr +pttl +pexpire +zadd +zcard +zrem +zremrangebyscore`;
  const texts = (password: string, ca = authority.certificatePem, hosts?: readonly string[]): Material => {
    const bytes = (text: string): Uint8Array => Buffer.from(text);
    return {
      ...EMPTY_MATERIAL,
      secret: key =>
        key === 'ops/store' ? new Map([['password', bytes(`${password}\n`)]]) : EMPTY_MATERIAL.secret(key),
      configMap: key => (key === 'ops/ca' ? new Map([['ca.crt', bytes(ca)]]) : EMPTY_MATERIAL.configMap(key)),
      ...(hosts === undefined ? {} : { secretHosts: () => hosts }),
    };
  };
  const LOGIN: Partial<SharedStorePlan> = {
    login: {
      namespace: 'ops',
      username: { value: 'sallyport' },
      password: { secretKeyRef: { name: 'store', key: 'password' } },
    },
  };
  const TLS: Partial<SharedStorePlan> = {
    url: `rediss://${HOST}/3`,
    trust: { configMapKeyRef: { namespace: 'ops', name: 'ca', key: 'ca.crt' } },
    ...LOGIN,
  };

  test('over TLS, by name and password, with no more rights than it needs, in a database of its own', async t => {
    const redis = await start(t, { tls: certificate, lines: ['user default off', ACL] });
    const pod = await startPod(t, redis, {
      plan: TLS,
      material: texts('right-password'),
      resolve: { [HOST]: redis.port },
    });
    assert.deepEqual(pod.status(), { policy: '/limits', connected: true, problem: '' });
    assert.deepEqual((await pod.rate(rate('a', { calls: 1 }), NOW)).admitted, true);
    assert.deepEqual((await pod.rate(rate('a', { calls: 1 }), NOW)).admitted, false);
    assert.deepEqual((await pod.quota(quota('a', { calls: 1 }), NOW)).admitted, true);
    assert.deepEqual((await pod.quota(quota('a', { calls: 1 }), NOW)).admitted, false);
    const lease = await pod.acquire(open('a', 1));
    assert.equal(await pod.acquire(open('a', 1)), undefined);
    await pod.renew();
    lease?.();
    await until('room', () => pod.acquire(open('a', 1)));
    assert.deepEqual(pod.said, []);
  });

  const stranger = createAuthority({ name: { CN: 'Store root' } });
  const WRONG: Readonly<Record<string, readonly [options: PodOptions, code: string]>> = {
    'a wrong password': [{ plan: TLS, material: texts('wrong-password') }, 'WRONGPASS'],
    'a certificate of another authority': [
      { plan: TLS, material: texts('right-password', stranger.certificatePem) },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    'a certificate for another name': [
      { plan: { ...TLS, url: 'rediss://other.example.com' }, material: texts('right-password') },
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
    'no authority': [{ plan: TLS, material: texts('right-password', '') }, 'TRUST_MISSING'],
    'a trust without certificates': [{ plan: TLS, material: texts('right-password', 'text') }, 'BAD_TRUST'],
    'a password that may go to another host only': [
      { plan: TLS, material: texts('right-password', undefined, ['limits.other.example']) },
      'HOST_NOT_ALLOWED',
    ],
    'a Secret that is missing': [
      { plan: TLS, material: { ...texts(''), secret: () => undefined } },
      'CREDENTIAL_MISSING',
    ],
    'an address of cloud metadata': [{ plan: { url: 'redis://169.254.169.254' } }, 'FORBIDDEN_ADDRESS'],
  };
  for (const [what, [options, code]] of Object.entries(WRONG)) {
    test(`${what}: it is away, said once, without a secret`, async t => {
      const redis = await start(t, { tls: certificate, lines: ['user default off', ACL] });
      const resolve = { [HOST]: redis.port, 'other.example.com': redis.port };
      const pod = await startPod(t, redis, { ...options, resolve });
      await until('it to be missed', () => pod.said.length > 0);
      assert.equal((await pod.rate(rate('a', { calls: 1 }), NOW)).admitted, true);
      assert.equal((await pod.rate(rate('a', { calls: 1 }), NOW)).admitted, false);
      assert.deepEqual(pod.status(), { policy: '/limits', connected: false, problem: code });
      assert.equal(pod.said.length, 1, pod.said.join('\n'));
      assert.doesNotMatch(pod.said.join('\n'), /password/);
    });
  }

  test('a password that is changed takes effect without a restart, and leases go on', async t => {
    const redis = await start(t, { tls: certificate, lines: ['user default off', ACL] });
    const resolve = { [HOST]: redis.port };
    const pod = await startPod(t, redis, { plan: TLS, material: texts('wrong-password'), resolve });
    const other = await startPod(t, redis, { plan: TLS, material: texts('right-password'), resolve });
    const lease = await pod.acquire(open('a', 1));
    assert.ok(lease !== undefined);
    const plan = { policy: '/limits', url: '', onUnavailable: 'PerPod', ...TLS } as const;
    pod.prepare(plan, texts('right-password'));
    await connected(pod);
    await pod.renew();
    assert.equal(await other.acquire(open('a', 1)), undefined);
    lease();
    await until('room', () => other.acquire(open('a', 1)));
  });

  test('a generation that changes nothing about it keeps the connection', async t => {
    const redis = await start(t);
    const pod = await startPod(t, redis);
    const connections = async () =>
      /total_connections_received:(\d+)/.exec(String(await redis.ask('INFO', 'stats')))?.[1];
    const before = Number(await connections());
    pod.prepare({ policy: '/limits', url: `redis://127.0.0.1:${redis.port}`, onUnavailable: 'Deny' }, EMPTY_MATERIAL);
    await pod.rate(rate('a'), NOW);
    assert.equal(Number(await connections()), before + 1, 'only the one that asked');
    pod.prepare(undefined, EMPTY_MATERIAL);
    assert.equal(pod.status(), undefined);
  });
});
