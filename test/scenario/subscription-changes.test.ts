/** P9, S6, M7 on a running sidecar: keys are rotated, suspended and lost, and open streams end with them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openPlain } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { startSidecar, type Files } from '../support/sidecar.ts';
import { askOnce, sayAnswer } from '../support/table.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const KEYS = { primary: sha256('first'), secondary: sha256('second') };
const describe = (spec: made.Spec = {}, keys: Readonly<Record<string, string>> = KEYS): Files => ({
  'subscription.yaml': [
    made.subscription('partner-a', {
      primaryKeyHash: made.fromSecret('partner-a', 'primary'),
      secondaryKeyHash: made.fromSecret('partner-a', 'secondary'),
      ...spec,
    }),
    made.secret('partner-a', keys),
  ],
});

test('a key is rotated, suspended, ended and lost, each with the next request; a stream ends with it', async t => {
  const app = await new RecordingApp((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: hello\n\n');
    if (app.seen.at(-1)?.path !== '/events') response.end();
  }).start();
  t.after(() => app.stop());
  const policy = made.authPolicy('fleet', { request: [{ name: 'caller', subscription: { header: 'X-Key' } }] });
  const sidecar = await startSidecar({
    manifests: { 'all.yaml': [made.api('fleet'), policy], ...describe() },
    app: app.port,
  });
  t.after(() => sidecar.close());
  const ask = async (key: string): Promise<string> =>
    sayAnswer(await askOnce(sidecar, { path: '/', headers: [['X-Key', key]] }));
  const listen = async (key: string) => {
    const stream = await openPlain(sidecar.port);
    stream.send(`GET /events HTTP/1.1\r\nHost: fleet.example.com\r\nX-Key: ${key}\r\n\r\n`);
    assert.equal((await stream.readHead()).status, 200);
    await stream.wire.take(/data: hello\n\n/);
    return stream;
  };
  assert.deepEqual(
    [await ask('first'), await ask('second'), await ask('third')],
    ['200', '200', '401 SubscriptionKeyInvalid'],
  );

  // The first key is replaced while the second is in use.
  const [old, kept] = [await listen('first'), await listen('second')];
  await sidecar.apply(describe({}, { ...KEYS, primary: sha256('third') }));
  assert.deepEqual(
    [await ask('first'), await ask('second'), await ask('third')],
    ['401 SubscriptionKeyInvalid', '200', '200'],
  );
  await old.wire.gone();
  assert.equal(kept.wire.closed, false);

  await sidecar.apply(describe({ state: 'Suspended' }));
  assert.equal(await ask('second'), '401 SubscriptionKeyInvalid');
  await kept.wire.gone();
  const line = await sidecar.line('a suspended key', ({ detail }) => detail === 'Subscription partner-a is suspended');
  assert.equal(line['reason'], 'SubscriptionKeyInvalid');

  // A stream outlives no key: it ends at notAfter by itself.
  const soon = new Date(Math.ceil(Date.now() / 1000 + 1) * 1000);
  await sidecar.apply(describe({ notAfter: soon.toISOString().replace(/\.\d+Z$/, 'Z') }));
  const ending = await listen('second');
  await ending.wire.gone();
  assert.ok(Date.now() >= soon.getTime(), 'not before its time');
  assert.equal(await ask('second'), '401 SubscriptionKeyInvalid');

  // S6: the Secret is gone. What nobody has may be the key that cannot be checked.
  await sidecar.apply(describe({}, { primary: KEYS.primary }));
  assert.deepEqual(
    [await ask('first'), await ask('second'), await ask('nobody')],
    ['200', '503 KeysUnavailable', '503 KeysUnavailable'],
  );

  // A bad Subscription keeps its last good content.
  await sidecar.apply(describe({ state: 'Gone' }));
  assert.equal(await ask('first'), '200');
  assert.match(JSON.stringify((await sidecar.status())['kept']), /Subscription shop\/partner-a/);
  assert.doesNotMatch(sidecar.output, new RegExp(`${KEYS.primary}|${KEYS.secondary}|"(first|second|third)"`));
});
