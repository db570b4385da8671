/** The second scenario: a queue behind a Shared Access Signature, protected by signature, address, rate and subscription. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE, openOrders, PARTNER, QUEUE_KEY, readOrders, signHook, type Webhook } from '../support/orders.ts';
import { authorizationOf } from '../support/sas-queue.ts';
import { folded } from '../support/servers.ts';

test('a partner’s signed webhook reaches the queue with our token, and with nothing that it showed to us', async t => {
  const orders = await openOrders(t);
  const { queue } = orders;
  const answer = await orders.send({ headers: [['Authorization', 'Basic Y2xpZW50OmNsaWVudA==']] });
  assert.equal(answer.status, 201, answer.body);
  assert.deepEqual(queue.messages, [MESSAGE]);
  const { path, lines, method } = queue.last;
  assert.deepEqual([method, path], ['POST', '/orders/messages']);
  assert.deepEqual(folded(lines, 'host'), ['contoso.servicebus.windows.net']);
  assert.match(
    authorizationOf(queue.last),
    /^SharedAccessSignature sr=https%3A%2F%2Fcontoso\.servicebus\.windows\.net%2Forders%2Fmessages&sig=[A-Za-z0-9%]+&se=[0-9]{10}&skn=SendPolicy$/,
  );
  for (const name of ['ocp-apim-subscription-key', 'x-forwarded-for', 'x-forwarded-host']) {
    assert.deepEqual(folded(lines, name), [], name);
  }
  assert.ok((answer.headers.get('ratelimit') ?? answer.headers.get('ratelimit-policy')) !== undefined, answer.head);
});

test('who is refused, and why; nothing of it reaches the queue', async t => {
  const orders = await openOrders(t);
  const ROWS: Readonly<Record<string, readonly [what: Webhook, status: number, reason: string]>> = {
    'an address that nobody knows': [{ from: '198.51.100.21' }, 403, 'AddressNotAllowed'],
    'an address that is shut out': [{ from: '203.0.113.66' }, 403, 'AddressBlocked'],
    'a forged address, behind the real one': [{ from: `${PARTNER}, 192.0.2.1` }, 403, 'AddressNotAllowed'],
    'no signature': [{ signature: null }, 401, 'SignatureNotPresent'],
    'a signature by another key': [{ signature: signHook(MESSAGE, 'another') }, 401, 'SignatureInvalid'],
    'a signature of another message': [{ signature: signHook('{"order": 8}') }, 401, 'SignatureInvalid'],
    'a body that is too large': [{ body: 'x'.repeat(1024 * 1024 + 1) }, 413, 'BodyTooLarge'],
    'no subscription key': [{ key: null }, 401, 'SubscriptionKeyNotFound'],
    'another subscription key': [{ key: 'guess' }, 401, 'SubscriptionKeyInvalid'],
    'another method': [{ method: 'PUT' }, 404, 'OperationNotFound'],
    'another path': [{ path: '/hooks/other' }, 404, 'OperationNotFound'],
  };
  for (const [name, [what, status, reason]] of Object.entries(ROWS)) {
    const answer = await orders.send(what);
    assert.deepEqual([answer.status, answer.reason], [status, reason], name);
  }
  assert.equal(orders.queue.seen.length, 0);
});

test('the address’s rate ends in 429, others are not touched by it', async t => {
  const { '51-api-policy.yaml': policy = '' } = await readOrders();
  const orders = await openOrders(t, { files: { '51-api-policy.yaml': policy.replace('calls: 100', 'calls: 3') } });
  for (let call = 0; call < 3; call++) assert.equal((await orders.send()).status, 201);
  const limited = await orders.send();
  assert.deepEqual([limited.status, limited.reason], [429, 'RateLimitExceeded']);
  assert.ok(limited.headers.has('retry-after'));
  assert.equal((await orders.send({ from: '203.0.113.10' })).status, 201);
  assert.equal(orders.queue.messages.length, 4);
});

test('the queue’s key is rotated, a partner is suspended, a webhook key is replaced: each at once, without a restart', async t => {
  const files = await readOrders();
  const {
    '10-named-values.yaml': values = '',
    '30-credential.yaml': credential = '',
    '41-subscription.yaml': partner = '',
  } = files;
  const keys = [QUEUE_KEY, 'second'];
  const orders = await openOrders(t, { keys });
  const { sidecar, queue } = orders;
  assert.equal((await orders.send()).status, 201);
  await sidecar.apply({
    '10-named-values.yaml': values.replace(/(sbQueueKeyValue: .*)/, '$1\n  sbQueueSecondary: second'),
    '30-credential.yaml': credential.replace(
      'ttl: 60s',
      'secondaryKey: { secretKeyRef: { name: sb-queue, key: sbQueueSecondary } }\n    activeKey: Secondary\n    ttl: 60s',
    ),
  });
  keys.splice(0, 1);
  assert.equal((await orders.send()).status, 201);
  assert.deepEqual(queue.refused, []);

  await sidecar.apply({ '41-subscription.yaml': partner.replace('state: Active', 'state: Suspended') });
  assert.equal((await orders.send()).reason, 'SubscriptionKeyInvalid');
  await sidecar.apply({ '41-subscription.yaml': partner });
  await sidecar.apply({
    '10-named-values.yaml': values
      .replace("It's a secret", 'rotated')
      .replace(/(sbQueueKeyValue: .*)/, '$1\n  sbQueueSecondary: second'),
  });
  assert.equal((await orders.send()).reason, 'SignatureInvalid');
  assert.equal((await orders.send({ signature: signHook(MESSAGE, 'rotated') })).status, 201);

  const status = await sidecar.command('status', '-o', 'json');
  for (const text of [sidecar.output, await sidecar.metrics(), status.stdout]) {
    for (const secret of [QUEUE_KEY, 'rotated', "It's a secret", authorizationOf(queue.last).slice(22)]) {
      assert.equal(text.includes(secret), false, secret);
    }
  }
});
