/** The issuer changes its keys, goes away and comes back; the sidecar runs on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFreePort } from '../../src/demo/listening.ts';
import { DEVICE, type Fleet, openFleet, type FleetOptions, WEB_CLAIMS } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { until } from '../support/until.ts';

/** The issuer of the example, with a cooldown that a test can wait for. */
const issuerWith = (cache: made.Spec): FleetOptions => ({
  files: () => ({
    '20-issuer.yaml': [
      made.tokenIssuer('corp', {
        discovery: {
          url: 'https://login.example.com/.well-known/openid-configuration',
          trust: made.fromConfigMap('corp-ca'),
        },
        cache,
      }),
    ],
  }),
});

const ask = async (fleet: Fleet, kid: string, claims: Readonly<Record<string, unknown>> = {}): Promise<string> => {
  const token = await fleet.issuer.mint({ claims: { ...WEB_CLAIMS, ...claims }, kid });
  const { status, reason } = await fleet.ask({ path: DEVICE, token });
  return reason === '' ? String(status) : `${status} ${reason}`;
};

test('a new key is accepted after one fetch, and its predecessor stays while it is published', async t => {
  const fleet = await openFleet(t, issuerWith({ unknownKidCooldown: '1s' }));
  assert.equal(await ask(fleet, 'key-1'), '200');
  assert.equal(fleet.issuer.fetches, 1);
  fleet.issuer.publish('key-2');
  assert.equal(await ask(fleet, 'key-2'), '200');
  assert.equal(fleet.issuer.fetches, 2);
  assert.equal(await ask(fleet, 'key-1'), '200');
  assert.equal(fleet.issuer.fetches, 2, 'known keys cause no fetch');
});

test('many tokens of a new key at once cause one fetch, and all of them are accepted', async t => {
  const fleet = await openFleet(t, issuerWith({ unknownKidCooldown: '1h' }));
  fleet.issuer.publish('key-2');
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => ask(fleet, 'key-2', { n })));
  assert.deepEqual(new Set(answers), new Set(['200']));
  assert.equal(fleet.issuer.fetches, 2);
});

test('unknown keys cause at most one fetch in the cooldown, and are 401, not 503', async t => {
  const fleet = await openFleet(t, issuerWith({ unknownKidCooldown: '1h' }));
  for (const kid of ['never-1', 'never-2', 'never-3']) {
    fleet.issuer.create(kid);
    assert.equal(await ask(fleet, kid), '401 TokenKeyNotFound');
  }
  assert.equal(fleet.issuer.fetches, 2, 'one at the start, one for the first unknown key');
  fleet.issuer.publish('key-2');
  assert.equal(await ask(fleet, 'key-2'), '401 TokenKeyNotFound', 'still cooling down');
  assert.equal(fleet.issuer.fetches, 2);
});

test('after the cooldown a key that was unknown is found', async t => {
  const fleet = await openFleet(t, issuerWith({ unknownKidCooldown: '1s' }));
  fleet.issuer.create('key-2');
  assert.equal(await ask(fleet, 'key-2'), '401 TokenKeyNotFound');
  fleet.issuer.publish('key-2');
  await until('the new key to be accepted', async () => (await ask(fleet, 'key-2')) === '200');
});

test('a key that the issuer has withdrawn is refused once the keys were fetched again, cached tokens too', async t => {
  const fleet = await openFleet(t, issuerWith({ unknownKidCooldown: '1s' }));
  const token = await fleet.issuer.mint({ claims: WEB_CLAIMS, kid: 'key-1' });
  const connection = await fleet.connect();
  assert.equal((await connection.ask({ path: DEVICE, token })).status, 200);
  assert.equal((await connection.ask({ path: DEVICE, token })).status, 200, 'verified from the cache');
  fleet.issuer.publish('key-2');
  fleet.issuer.withdraw('key-1');
  assert.equal(await ask(fleet, 'key-2'), '200', 'causes the fetch');
  const refused = await connection.ask({ path: DEVICE, token });
  assert.deepEqual([refused.status, refused.reason], [401, 'TokenKeyNotFound']);
});

test('keys that are too old are fetched again without a request', async t => {
  const fleet = await openFleet(t, issuerWith({ maxAge: '1s' }));
  await until('two further fetches', () => fleet.issuer.fetches >= 3);
  assert.equal(await ask(fleet, 'key-1'), '200');
});

test('while the issuer is away known keys go on working, also for tokens never seen before', async t => {
  const fleet = await openFleet(t, issuerWith({ maxAge: '1s', unknownKidCooldown: '1s' }));
  const known = await fleet.issuer.mint({ claims: WEB_CLAIMS });
  assert.equal((await fleet.ask({ path: DEVICE, token: known })).status, 200);
  const from = fleet.sidecar.lines.length;
  await fleet.issuer.stop();
  await fleet.sidecar.line('a failed fetch', line => line['msg'] === 'the issuer’s keys could not be fetched', from);
  assert.equal((await fleet.ask({ path: DEVICE, token: known })).status, 200);
  assert.equal(await ask(fleet, 'key-1', { fresh: true }), '200');
  const issuers = (await fleet.sidecar.status())['issuers'] as { lastError: string; count: number }[];
  assert.equal(issuers[0]?.count, 1);
  assert.notEqual(issuers[0].lastError, '', 'status tells of the outage');
  assert.equal((await fleet.sidecar.readyz()).status, 200, 'an issuer’s outage takes no pod out of service');

  // Nobody can say whether the issuer knows this key: that is our failure, not the client’s.
  fleet.issuer.publish('key-2');
  await until('a key that nobody can ask about', async () => (await ask(fleet, 'key-2')) === '503 KeysUnavailable');

  await fleet.issuer.start();
  await until('the new key to be accepted', async () => (await ask(fleet, 'key-2')) === '200');
  assert.equal(fleet.sidecar.running, true);
});

test('keys past their stale time are 503 with Retry-After, and recover without a restart', async t => {
  const fleet = await openFleet(t, issuerWith({ maxAge: '1s', maxStale: '0s', unknownKidCooldown: '1s' }));
  // On a busy machine the keys of the start may be too old already: the next look fetches them again.
  await until('the keys to be there', async () => (await ask(fleet, 'key-1')) === '200');
  await fleet.issuer.stop();
  await until('the keys to be too old', async () => (await ask(fleet, 'key-1')) === '503 KeysUnavailable');
  const token = await fleet.webToken();
  const answer = await fleet.ask({ path: DEVICE, token });
  assert.deepEqual(answer.headers.get('retry-after'), ['5']);
  assert.deepEqual(answer.headers.get('www-authenticate'), undefined, 'not the client’s fault');
  const device = await fleet.ask({ method: 'POST', path: `${DEVICE}/telemetry`, body: '{}' }, 'robot-7');
  assert.equal(device.status, 200, 'devices need no issuer');
  await fleet.issuer.start();
  await until('the issuer’s keys again', async () => (await ask(fleet, 'key-1')) === '200');
});

test('an issuer that was never seen is 503, does not keep the sidecar from starting, and recovers', async t => {
  const port = await findFreePort();
  const fleet = await openFleet(t, {
    ...issuerWith({ unknownKidCooldown: '1s' }),
    sidecar: { resolve: { 'login.example.com': port } },
  });
  assert.equal(await ask(fleet, 'key-1'), '503 KeysUnavailable');
  const nobody = await fleet.ask({ path: DEVICE });
  assert.equal(nobody.reason, 'TokenNotPresent', 'without a token nothing needs the keys');
  await fleet.issuer.stop();
  fleet.issuer.port = port;
  await fleet.issuer.start();
  await until('the issuer to be found', async () => (await ask(fleet, 'key-1')) === '200');
});

test('a change of policy, and of the issuer’s own settings, does not lose keys while the issuer is away', async t => {
  const fleet = await openFleet(t, issuerWith({ maxStale: '24h' }));
  const token = await fleet.webToken();
  assert.equal((await fleet.ask({ path: DEVICE, token })).status, 200);
  await fleet.issuer.stop();
  await fleet.sidecar.apply({
    'extra.yaml': [made.authPolicy('extra', { request: [{ name: 'a', removeHeaders: ['X-A'] }] })],
  });
  assert.equal(await ask(fleet, 'key-1', { after: 'a policy' }), '200');
  await fleet.sidecar.apply({
    '20-issuer.yaml': [
      made.tokenIssuer('corp', {
        discovery: {
          url: 'https://login.example.com/.well-known/openid-configuration',
          trust: made.fromConfigMap('corp-ca'),
        },
        clockSkew: '60s',
      }),
    ],
  });
  assert.equal((await fleet.ask({ path: DEVICE, token })).status, 200);
  assert.equal(await ask(fleet, 'key-1', { after: 'its settings' }), '200');
});

test('another issuer under the same name does not inherit keys', async t => {
  const fleet = await openFleet(t, issuerWith({}));
  assert.equal(await ask(fleet, 'key-1'), '200');
  await fleet.issuer.stop();
  await fleet.sidecar.apply({
    '20-issuer.yaml': [
      made.tokenIssuer('corp', {
        jwks: { url: 'https://login.example.com/other', trust: made.fromConfigMap('corp-ca') },
        issuer: 'https://login.example.com',
      }),
    ],
  });
  assert.equal(await ask(fleet, 'key-1'), '503 KeysUnavailable');
});
