/** What a gRPC library makes of Sallyport's own answers (M8), and of the ends of streams: policy (M7), drain, outages. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test, type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import { collect, GrpcApp, GrpcClient, METHODS, SERVICE, type CallOptions } from '../support/grpc.ts';
import * as made from '../support/manifests.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import { ISSUER, ISSUER_KEY, mint } from '../support/step-subjects.ts';
import { until } from '../support/until.ts';

const operation = (name: string): made.Spec => ({ name: name.toLowerCase(), methods: ['POST'], path: SERVICE + name });
const API = made.api('fleet', {
  operations: [...Object.keys(METHODS), 'Closed', 'Denied', 'Limited'].map(operation),
  limits: { bodyBytes: 1_000_000 },
});
const on = (name: string, ...request: readonly made.Spec[]): made.Manifest =>
  made.authPolicy(name, { ...made.onApi('fleet', name), request });
const DOWN = on('down', made.OPEN);
const OPEN = ['unary', 'up', 'both'].map(name => on(name, made.OPEN));
const MANIFESTS = [
  ...[ISSUER, ISSUER_KEY, API, ...OPEN],
  on('closed', { name: 'caller', jwt: { issuers: ['corp'], audiences: ['api://fleet'] } }),
  on('denied', made.OPEN, { name: 'nobody', authorize: { allow: [{ expression: "request.headers['x-a'] == 'b'" }] } }),
  on('limited', made.OPEN, { name: 'few', rateLimit: { calls: 1, period: '24h', key: '${source.ip}' } }),
];

describe('a gRPC library is told why it is denied', () => {
  const app = new GrpcApp();
  let sidecar: Sidecar;
  let client: GrpcClient;
  before(async () => {
    await app.start();
    sidecar = await startSidecar({ manifests: { 'all.yaml': MANIFESTS, 'down.yaml': [DOWN] }, app: app.port });
    client = new GrpcClient(sidecar.port);
  });
  after(async () => {
    client.close();
    await sidecar.close();
    app.stop();
  });

  const cases: Readonly<
    Record<string, readonly [path: string, code: number, message: string, options?: CallOptions, body?: Buffer]>
  > = {
    'without a token': ['Closed', status.UNAUTHENTICATED, 'TokenNotPresent'],
    'with a token that is none': [
      ...(['Closed', status.UNAUTHENTICATED, 'TokenMalformed'] as const),
      { metadata: { authorization: 'Bearer abc' } },
    ],
    'when nothing allows it': ['Denied', status.PERMISSION_DENIED, 'AuthorizationDenied'],
    'for a method that the Api does not have': ['None', status.UNIMPLEMENTED, 'OperationNotFound'],
    'with a message beyond the bound': [
      ...(['Unary', status.RESOURCE_EXHAUSTED, 'BodyTooLarge', {}, Buffer.alloc(1_100_000)] as const),
    ],
  };
  for (const [sentence, [name, code, message, options, body]] of Object.entries(cases)) {
    test(`${sentence}: ${status[code]}, ${message}`, async () => {
      const asked = app.calls.length;
      const { status: told } = await client.unary(body ?? 'x', options, SERVICE + name);
      assert.deepEqual([told.code, told.details], [code, message]);
      // A body that is too large is known to be so only when its first part is with the app.
      if (body === undefined) assert.equal(app.calls.length, asked);
    });
  }
  test('with the token that was asked for it gets through to the app', async () => {
    const metadata = { authorization: `Bearer ${await mint()}` };
    const { status: told } = await client.unary('x', { metadata }, `${SERVICE}Closed`);
    assert.match(told.details, /does not implement/);
  });
  test('of a stream: UNAUTHENTICATED, before any message', async () => {
    const { status: told, messages } = await collect(client.down('3', {}, `${SERVICE}Closed`));
    assert.deepEqual([told.code, told.details, messages.length], [status.UNAUTHENTICATED, 'TokenNotPresent', 0]);
  });
  test('past the rate limit: RESOURCE_EXHAUSTED', async () => {
    const ask = async (): Promise<readonly [number, string]> => {
      const { status: told } = await client.unary('x', {}, `${SERVICE}Limited`);
      return [told.code, told.details];
    };
    assert.equal((await ask())[0], status.UNIMPLEMENTED);
    assert.deepEqual(await ask(), [status.RESOURCE_EXHAUSTED, 'RateLimitExceeded']);
  });
  test('an open stream that the policy no longer permits ends with the denial: PERMISSION_DENIED (M7); others go on', async () => {
    const [doomed, other] = [client.down('1', { metadata: { 'x-do': 'wait' } }), client.both()];
    const [ended, otherEnded] = [collect(doomed), collect(other)];
    await once(doomed, 'data');
    const atApp = app.last;
    other.write(Buffer.from('a'));
    await once(other, 'data');
    const never = { name: 'nobody', authorize: { allow: [{ expression: 'false' }] } };
    await sidecar.apply({ 'down.yaml': [on('down', made.OPEN, never)] });
    const { status: told, messages } = await ended;
    assert.deepEqual([told.code, told.details], [status.PERMISSION_DENIED, 'AuthorizationDenied']);
    assert.deepEqual(messages.map(String), ['1']);
    await until('the call at the app to be cancelled', () => atApp.cancelled);
    const line = await sidecar.line('the denial', ({ policy }) => policy === 'shop/down');
    assert.deepEqual(
      [line['verdict'], line['reason'], line['step'], line['status']],
      ['Deny', 'AuthorizationDenied', 'nobody', 200],
    );
    other.write(Buffer.from('b'));
    await once(other, 'data');
    other.end();
    assert.equal((await otherEnded).status.code, status.OK);
  });
});

async function openStage(t: TestContext, ...args: readonly string[]) {
  const app = await new GrpcApp().start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({ manifests: { 'all.yaml': [API, DOWN, ...OPEN] }, app: app.port, args });
  t.after(() => sidecar.close());
  const client = new GrpcClient(sidecar.port);
  t.after(() => client.close());
  return { app, sidecar, client };
}

test('an app that is down is UNAVAILABLE, and served again when it is back', async t => {
  const { app, client } = await openStage(t);
  const open = collect(client.down('1', { metadata: { 'x-do': 'wait' } }));
  await until('the stream to be with the app', () => app.calls.length === 1);
  const { port } = app;
  app.stop();
  assert.equal((await open).status.code, status.INTERNAL);
  const { status: told } = await client.unary('x');
  assert.deepEqual([told.code, told.details], [status.UNAVAILABLE, 'AppUnavailable']);
  const back = new GrpcApp();
  t.after(() => back.stop());
  back.port = port;
  await back.start();
  assert.equal((await client.unary('x')).status.code, status.OK);
});

test('SIGTERM: open streams end in their own time, within the drain, and the process ends with 0', async t => {
  const { app, sidecar, client } = await openStage(t, '--drain-timeout', '20s');
  const [down, both] = [client.down('2', { metadata: { 'x-do': 'wait' } }), client.both()];
  const [downEnded, bothEnded] = [collect(down), collect(both)];
  await once(down, 'data');
  both.write(Buffer.from('a'));
  await once(both, 'data');
  sidecar.signal('SIGTERM');
  await sidecar.line('the signal', ({ msg }) => String(msg).startsWith('stopping'));
  for (const text of ['b', 'c']) {
    both.write(Buffer.from(text));
    const [message] = (await once(both, 'data')) as [Buffer];
    assert.equal(message.toString(), text);
  }
  both.end();
  const atApp = app.calls.find(call => call.getPath().endsWith('Down'));
  if (atApp !== undefined && 'end' in atApp) atApp.end();
  for (const ended of [downEnded, bothEnded]) assert.equal((await ended).status.code, status.OK);
  assert.equal(await sidecar.ended(), 0);
});

test('SIGTERM: a stream that outlives the drain is cut off, and is no whole one', async t => {
  const { sidecar, client, app } = await openStage(t, '--drain-timeout', '1s');
  const down = client.down('1', { metadata: { 'x-do': 'wait' } });
  const ended = collect(down);
  await once(down, 'data');
  const atApp = app.last;
  sidecar.signal('SIGTERM');
  const { status: told } = await ended;
  // The reset of the stream, or the end of its connection, whichever the library hears first.
  assert.ok([status.INTERNAL, status.UNAVAILABLE].includes(told.code), told.details);
  await until('the call at the app to be cancelled', () => atApp.cancelled);
  await sidecar.ended();
});
