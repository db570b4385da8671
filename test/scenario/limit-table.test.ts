/** P7: rates, quotas and concurrency, live; explain knows of no other calls and takes each for the first. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openPlain, type Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp, type Behaviour } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';
import { askOnce, BEHIND_HOP, sayAnswer, testTable, type Row } from '../support/table.ts';
import { until } from '../support/until.ts';

const [ANN, BOB, EVE] = ['203.0.113.1', '203.0.113.2', '203.0.113.3'];

/** Answers with the status that the query names. */
const behaviour: Behaviour = ({ path }, response) => {
  const status = Number(/status=(\d+)/.exec(path)?.[1] ?? 200);
  response.writeHead(status, { 'content-type': 'text/plain' }).end('hello\n');
};

const PATHS: Readonly<Record<string, made.Spec>> = {
  rate: { rateLimit: { calls: 2, period: '1h', key: '${source.ip}', headers: true } },
  silent: { rateLimit: { calls: 1, period: '1h' } },
  tenants: { rateLimit: { calls: 1, period: '1h', key: "${request.headers['x-tenant']}" } },
  few: { rateLimit: { calls: 1, period: '24h', key: '${source.ip}', maxKeys: 1 } },
  login: { rateLimit: { calls: 2, period: '1h', key: '${source.ip}', countWhen: 'response.status == 401' } },
  quota: { quota: { calls: 2, period: '1h', key: '${source.ip}' } },
  served: { quota: { calls: 1, period: '1h', countWhen: 'response.status < 400' } },
  open: { concurrency: { max: 1 } },
};

const API = made.api('fleet', {
  ...BEHIND_HOP,
  operations: ['both', 'audited', ...Object.keys(PATHS)].map(name => ({ name, path: `/${name}` })),
});
const on = (name: string, ...steps: readonly made.Spec[]): made.Manifest =>
  made.authPolicy(name, { ...made.onApi('fleet', name), request: steps });

const at = (path: string, headers: NonNullable<Ask['headers']> = []): Ask => ({ path: `/${path}`, headers });
const served: Pick<Row, 'app'> = { app: () => undefined };
const limited = (reason: string): Pick<Row, 'says' | 'offline'> => ({ says: reason, offline: '200' });

testTable('rateLimit, quota and concurrency', {
  behaviour,
  manifests: [
    API,
    made.authPolicy('everybody', { request: [made.OPEN] }),
    ...Object.entries(PATHS).map(([name, step]) => on(name, { name: 's', ...step })),
    on(
      'both',
      { name: 'minute', rateLimit: { calls: 60, period: '1m', headers: true } },
      { name: 'day', rateLimit: { calls: 1000, period: '24h', headers: true } },
    ),
    made.authPolicy('trial', {
      ...made.onApi('fleet', 'audited'),
      mode: 'Audit',
      request: [{ name: 's', rateLimit: { calls: 1, period: '24h', headers: true } }],
    }),
  ],
  rows: {
    'a first call says what is left': {
      ask: at('rate'),
      from: ANN,
      says: '200',
      headers: {
        'RateLimit-Policy': /^"limit-1";q=2;w=3600$/,
        RateLimit: /^"limit-1";r=1;t=1800$/,
        'Retry-After': null,
      },
    },
    'so does the last': { ask: at('rate'), from: ANN, says: '200', headers: { RateLimit: /^"limit-1";r=0;t=3600$/ } },
    'one more is 429, and says when the next is admitted': {
      ask: at('rate'),
      from: ANN,
      ...limited('429 RateLimitExceeded'),
      headers: {
        'Retry-After': /^1800$/,
        'RateLimit-Policy': /^"limit-1";q=2;w=3600$/,
        RateLimit: /^"limit-1";r=0;t=3600$/,
      },
    },
    'another key has calls of its own': { ask: at('rate'), from: BOB, says: '200', headers: { RateLimit: /r=1;/ } },
    'several rates are told by number, never by name': {
      ask: at('both'),
      says: '200',
      headers: {
        'RateLimit-Policy': /^"limit-1";q=60;w=60\n"limit-2";q=1000;w=86400$/,
        RateLimit: /^"limit-1";r=59;t=1\n"limit-2";r=999;t=87$/,
      },
    },
    'without headers: true nothing is told': {
      ask: at('silent'),
      says: '200',
      headers: { RateLimit: null, 'RateLimit-Policy': null },
    },
    'without a key everybody counts together': {
      ask: at('silent'),
      from: BOB,
      ...limited('429 RateLimitExceeded'),
      headers: { 'Retry-After': /^3600$/, RateLimit: null },
    },
    'a key of the request': { ask: at('tenants', [['X-Tenant', 'a']]), says: '200' },
    'another value is another key': { ask: at('tenants', [['X-Tenant', 'b']]), says: '200' },
    'the same value is the same': { ask: at('tenants', [['x-tenant', 'a']]), ...limited('429 RateLimitExceeded') },
    'E8: a key that cannot be rendered is 403': { ask: at('tenants'), says: '403 ExpressionFailed' },
    'a table that is full: the key that has a place': { ask: at('few'), from: ANN, says: '200' },
    'a table that is full: a new key': { ask: at('few'), from: BOB, says: '200' },
    'a table that is full: new keys share a counter': {
      ask: at('few'),
      from: EVE,
      ...limited('429 RateLimitExceeded'),
    },
    'a table that is full: a limited key is not evicted': {
      ask: at('few'),
      from: ANN,
      ...limited('429 RateLimitExceeded'),
    },
    'countWhen: what is not to be counted is not': { ask: at('login'), from: ANN, says: '200' },
    'countWhen: a first failure counts': {
      ask: at('login?status=401'),
      from: ANN,
      says: '401',
      ...served,
      offline: '200',
    },
    'countWhen: what is right does not': { ask: at('login'), from: ANN, says: '200' },
    'countWhen: a second failure counts': {
      ask: at('login?status=401'),
      from: ANN,
      says: '401',
      ...served,
      offline: '200',
    },
    'countWhen: afterwards nothing is let in': { ask: at('login'), from: ANN, ...limited('429 RateLimitExceeded') },
    'countWhen: others are': { ask: at('login'), from: BOB, says: '200' },
    'a quota: first call': { ask: at('quota'), from: ANN, says: '200', headers: { RateLimit: null } },
    'a quota: last call': { ask: at('quota'), from: ANN, says: '200' },
    'a quota: one more is 403, with the time until the window ends': {
      ask: at('quota'),
      from: ANN,
      ...limited('403 QuotaExceeded'),
      headers: { 'Retry-After': /^3[56]\d\d$/ },
    },
    'a quota: another key has a window of its own': { ask: at('quota'), from: BOB, says: '200' },
    'a quota by answers: what failed does not count': {
      ask: at('served?status=404'),
      says: '404',
      ...served,
      offline: '200',
    },
    'a quota by answers: what was served does': { ask: at('served'), says: '200' },
    'a quota by answers: and then it is used up': { ask: at('served'), ...limited('403 QuotaExceeded') },
    'concurrency: one at a time': { ask: at('open'), says: '200' },
    'concurrency: one that has ended leaves room': { ask: at('open'), says: '200' },
    'Audit: a first call would pass': { ask: at('audited'), says: '200', headers: { RateLimit: null } },
    'Audit: a second would be denied, and is not': {
      ask: at('audited'),
      says: '200',
      audit: ['trial/s RateLimitExceeded'],
      offline: '200',
      headers: { RateLimit: null, 'Retry-After': null },
    },
  },
});

describe('P7 concurrency', () => {
  /** Keeps every answer until it is told. */
  class Slow {
    readonly waiting: (() => void)[] = [];
    readonly behaviour: Behaviour = (_, response) => {
      this.waiting.push(() => response.end('late\n'));
    };
    answerAll(): void {
      for (const answer of this.waiting.splice(0)) answer();
    }
  }
  const step = { concurrency: { max: 2, key: '${source.ip}' } };
  const manifests = [
    made.api('fleet', BEHIND_HOP),
    made.authPolicy('fleet', { request: [{ name: 'few', ...step }, made.OPEN] }),
  ];
  const from = (address: string): Ask => ({ path: '/', headers: [['X-Forwarded-For', address]] });

  test('one more than may be open is 429 at once; whoever ends or leaves makes room', async t => {
    const slow = new Slow();
    const app = await new RecordingApp(slow.behaviour).start();
    t.after(() => app.stop());
    const sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port });
    t.after(() => sidecar.close());
    const [first, second, other] = await Promise.all([1, 2, 3].map(() => openPlain(sidecar.port)));
    assert.ok(first !== undefined && second !== undefined && other !== undefined);
    const pending = [first.ask(from(ANN)), second.ask(from(ANN)), other.ask(from(BOB))];
    await until('three to be open', () => slow.waiting.length === 3);
    const refused = await askOnce(sidecar, from(ANN));
    assert.deepEqual([sayAnswer(refused), refused.headers.get('retry-after')], ['429 ConcurrencyExceeded', ['5']]);
    slow.answerAll();
    assert.deepEqual((await Promise.all(pending)).map(sayAnswer), ['200', '200', '200']);

    // One leaves without an answer.
    void first.ask(from(ANN)).catch(() => undefined);
    const last = second.ask(from(ANN));
    await until('two to be open', () => slow.waiting.length === 2);
    first.wire.socket.resetAndDestroy();
    const next = until('room', async () => {
      const connection = await openPlain(sidecar.port);
      const before = slow.waiting.length;
      const answer = connection.ask(from(ANN));
      const isAdmitted = await Promise.race([
        answer.then(() => false),
        until('the app to be asked', () => slow.waiting.length > before).then(() => true),
      ]);
      return isAdmitted ? { answer } : undefined;
    });
    const { answer } = await next;
    slow.answerAll();
    assert.deepEqual([sayAnswer(await last), sayAnswer(await answer)], ['200', '200']);
  });

  test('scope Workload: what the workload may, divided by --ready-pods', async t => {
    const app = await new RecordingApp().start();
    t.after(() => app.stop());
    const limit = { calls: 8, period: '1h', headers: true, scope: 'Workload' };
    const request = [
      { name: 'rate', rateLimit: limit },
      { name: 'day', quota: { calls: 4, period: '24h', scope: 'Workload' } },
      made.OPEN,
    ];
    const sidecar = await startSidecar({
      manifests: { 'all.yaml': [made.api('fleet'), made.authPolicy('fleet', { request })] },
      app: app.port,
      args: ['--ready-pods', '4'],
    });
    t.after(() => sidecar.close());
    const answer = await askOnce(sidecar, { path: '/' });
    assert.deepEqual(answer.headers.get('ratelimit-policy'), ['"limit-1";q=2;w=3600']);
    assert.equal(sayAnswer(await askOnce(sidecar, { path: '/' })), '403 QuotaExceeded');
    assert.equal(sayAnswer(await askOnce(sidecar, { path: '/' })), '429 RateLimitExceeded');
  });
});
