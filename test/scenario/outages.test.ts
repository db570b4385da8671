/** Device-auth and the app go away and come back: 503 and 502, never a permit, nothing told of who failed, no restart. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Answer } from '../support/connection.ts';
import { DEVICE, type Fleet, type FleetOptions, openFleet, TELEMETRY } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { until } from '../support/until.ts';

const post = { method: 'POST', path: TELEMETRY, body: '{}' } as const;

function openWith(t: TestContext, service: made.Spec = {}, options: FleetOptions = {}): Promise<Fleet> {
  return openFleet(t, {
    ...options,
    files: () => ({
      '21-devices.yaml': [
        made.clientTrust('devices', { anchors: [made.fromConfigMap('device-ca')] }),
        made.deviceAuthService('devices', {
          url: 'https://device-auth.fleet.svc:8443/check',
          tls: { trust: made.fromConfigMap('corp-ca'), credential: 'mesh' },
          cache: { ttl: '0s', negativeTtl: '0s' },
          timeout: '20s',
          ...service,
        }),
      ],
    }),
  });
}

const outcome = ({ status, reason }: Answer): string => `${status} ${reason}`.trim();
const askAs = async (fleet: Fleet): Promise<string> => outcome(await fleet.ask(post, 'robot-7'));

function assertTellsNothing({ head, body }: Answer): void {
  for (const word of [
    'device-auth',
    '127.0.0.1',
    'ECONNREFUSED',
    'fleet.shop.svc',
    'svc',
    ':8443',
    'robot',
    'registry',
  ]) {
    assert.equal(`${head}\n${body}`.includes(word), false, `tells ${word}: ${head}\n${body}`);
  }
}

const FAILURES: Readonly<Record<string, (fleet: Fleet) => unknown>> = {
  'is away': fleet => fleet.deviceAuth.stop(),
  'answers 500 with a stack trace': fleet =>
    fleet.deviceAuth.answerAll({ status: 500, body: { error: 'registry at 10.0.0.5 failed' } }),
  'answers 200 without a JSON object': fleet => fleet.deviceAuth.answerAll({ status: 200, body: 'yes' }),
  'answers 200 without what the rule reads': fleet => fleet.deviceAuth.answerAll({ status: 200, body: {} }),
  redirects: fleet =>
    fleet.deviceAuth.answerAll({ status: 302, headers: { location: 'https://device-auth.fleet.svc:8443/elsewhere' } }),
  'answers 202, which nobody has spoken of': fleet =>
    fleet.deviceAuth.answerAll({ status: 202, body: { deviceId: 'robot-7' } }),
  'shows a certificate of somebody else': fleet =>
    fleet.deviceAuth.secure({ server: fleet.material.servers.app, clients: fleet.material.mesh.certificatePem }),
};

for (const [what, fail] of Object.entries(FAILURES)) {
  test(`device-auth ${what}: 503 with Retry-After, nobody gets in, web clients are not concerned`, async t => {
    const fleet = await openWith(t, { timeout: '5s' });
    await fail(fleet);
    const answer = await fleet.ask(post, 'robot-7');
    assert.equal(outcome(answer), '503 DeviceAuthUnavailable');
    assert.deepEqual(answer.headers.get('retry-after'), ['5']);
    assert.equal(answer.headers.has('www-authenticate'), false);
    assertTellsNothing(answer);
    assert.equal(fleet.app.seen.length, 0);
    assert.equal((await fleet.ask({ path: DEVICE, token: await fleet.webToken() })).status, 200);
    assert.equal((await fleet.sidecar.readyz()).status, 200);
  });
}

test('a device-auth service that is slow is 503 after its timeout', async t => {
  const fleet = await openWith(t, { timeout: '100ms' });
  t.after(fleet.deviceAuth.hold());
  assert.equal(await askAs(fleet), '503 DeviceAuthUnavailable');
});

test('the breaker opens, asks nothing while it is open, and closes when the service is back', async t => {
  const fleet = await openWith(t, { breaker: { consecutiveErrors: 3, openFor: '1s' } });
  const { deviceAuth, sidecar } = fleet;
  const breaker = async (): Promise<unknown> => {
    const services = (await sidecar.status())['deviceServices'] as { breaker: string }[];
    return services[0]?.breaker;
  };
  deviceAuth.answerAll({ status: 500 });
  for (let n = 0; n < 3; n++) assert.equal(await askAs(fleet), '503 DeviceAuthUnavailable');
  assert.equal(await breaker(), 'open');
  const asked = deviceAuth.asked.length;
  assert.equal(asked, 3);
  assert.equal(await askAs(fleet), '503 DeviceAuthUnavailable');
  assert.equal(deviceAuth.asked.length, asked, 'an open breaker asks nothing');
  deviceAuth.answerAll(undefined);
  await until('the service to be asked again', async () => (await askAs(fleet)) === '200');
  assert.equal(await breaker(), 'closed');
  assert.equal(await sidecar.metric('sallyport_device_auth_breaker_state'), 0);
});

test('known devices go on for the time of the cache, unknown ones do not', async t => {
  const fleet = await openWith(t, { cache: { ttl: '1h', negativeTtl: '1h' } });
  const { deviceAuth } = fleet;
  assert.equal(await askAs(fleet), '200');
  await deviceAuth.stop();
  assert.equal(await askAs(fleet), '200');
  const other = await fleet.ask({ ...post, path: '/v1/devices/robot-8/telemetry' }, 'robot-8');
  assert.equal(outcome(other), '503 DeviceAuthUnavailable');
  await deviceAuth.start();
  const unknown = await until('device-auth to be back', async () => {
    const answer = await fleet.ask({ ...post, path: '/v1/devices/robot-8/telemetry' }, 'robot-8');
    return answer.status !== 503 && answer;
  });
  assert.equal(outcome(unknown), '403 DeviceNotRecognized');
  assert.ok((await fleet.sidecar.metric('sallyport_device_auth_cache_hits_total')) >= 1);
});

test('a change of policy does not forget which devices are known', async t => {
  const fleet = await openWith(t, { cache: { ttl: '1h' } });
  assert.equal(await askAs(fleet), '200');
  await fleet.deviceAuth.stop();
  await fleet.sidecar.apply({
    'extra.yaml': [made.authPolicy('extra', { request: [{ name: 'a', removeHeaders: ['X-A'] }] })],
  });
  assert.equal(await askAs(fleet), '200');
});

test('a cached yes counts no longer than ttl', async t => {
  const fleet = await openWith(t, { cache: { ttl: '1s' } });
  assert.equal(await askAs(fleet), '200');
  await fleet.deviceAuth.stop();
  await until('the answer to be too old', async () => (await askAs(fleet)) === '503 DeviceAuthUnavailable');
});

test('staleIfError lets a known device through an outage', async t => {
  const fleet = await openWith(t, { cache: { ttl: '0s', staleIfError: '1h' } });
  assert.equal(await askAs(fleet), '200');
  await fleet.deviceAuth.stop();
  assert.equal(await askAs(fleet), '200');
});

test('Cache-Control of the service shortens the time of its answer', async t => {
  const fleet = await openWith(t, { cache: { ttl: '1h' } });
  fleet.deviceAuth.answerAll({
    status: 200,
    body: { deviceId: 'robot-7' },
    headers: { 'cache-control': 'no-store' },
  });
  assert.equal(await askAs(fleet), '200');
  assert.equal(await askAs(fleet), '200');
  assert.equal(fleet.deviceAuth.asked.length, 2);
});

test('many requests of one device at once cause one call', async t => {
  const fleet = await openWith(t, { cache: { ttl: '1h' } });
  const letGo = fleet.deviceAuth.hold();
  t.after(letGo);
  const connections = await Promise.all(Array.from({ length: 25 }, () => fleet.connect(fleet.tls('robot-7'))));
  const answers = connections.map(connection => connection.ask(post));
  await until('the call', () => fleet.deviceAuth.asked.length > 0);
  letGo();
  assert.deepEqual(new Set((await Promise.all(answers)).map(outcome)), new Set(['200']));
  assert.equal(fleet.deviceAuth.asked.length, 1);
});

test('more devices at once than may be asked about are 503, and nothing is left hanging', async t => {
  const fleet = await openWith(t, { concurrency: 1 });
  const letGo = fleet.deviceAuth.hold();
  t.after(letGo);
  const first = fleet.ask(post, 'robot-7');
  await until('the call', () => fleet.deviceAuth.asked.length === 1);
  const second = await fleet.ask({ ...post, path: '/v1/devices/robot-8/telemetry' }, 'robot-8');
  assert.equal(outcome(second), '503 DeviceAuthUnavailable');
  letGo();
  assert.equal(outcome(await first), '200');
});

test('a client that leaves while its device is looked up harms nobody', async t => {
  const fleet = await openWith(t);
  const letGo = fleet.deviceAuth.hold();
  t.after(letGo);
  const leaving = await fleet.connect(fleet.tls('robot-7'));
  leaving.send(`POST ${TELEMETRY} HTTP/1.1\r\nHost: fleet.example.com\r\nContent-Length: 2\r\n\r\n{}`);
  await until('the call', () => fleet.deviceAuth.asked.length === 1);
  leaving.close();
  letGo();
  assert.equal(await askAs(fleet), '200');
  assert.equal(fleet.app.seen.length, 1, 'what nobody waits for is not forwarded');
});

test('the app is away: 502 that tells nothing of it, and 200 as soon as it is back', async t => {
  const fleet = await openWith(t);
  const connection = await fleet.connect(fleet.tls('robot-7'));
  assert.equal(outcome(await connection.ask(post)), '200');
  await fleet.app.stop();
  const down = await connection.ask(post);
  assert.equal(outcome(down), '502 AppUnavailable');
  assertTellsNothing(down);
  assert.equal((await fleet.sidecar.livez()).status, 200);
  assert.equal((await fleet.sidecar.readyz()).status, 200, 'readiness is not the app’s');
  await fleet.app.start();
  assert.equal(outcome(await connection.ask(post)), '200', 'on the same connection');
});

test('the app turns the sidecar away: 502 that tells nothing of it', async t => {
  const fleet = await openWith(t);
  // From now on the app trusts another authority than the mesh’s.
  fleet.app.secure({ server: fleet.material.servers.app, clients: fleet.material.corp.certificatePem });
  const answer = await fleet.ask(post, 'robot-7');
  assert.equal(answer.status, 502);
  assertTellsNothing(answer);
});

test('the app breaks off: a whole answer is never made of half of one', async t => {
  const fleet = await openWith(
    t,
    {},
    {
      behaviour: (_, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' });
        response.write('half of it');
        setImmediate(() => response.socket?.destroy());
      },
    },
  );
  const connection = await fleet.connect(fleet.tls('robot-7'));
  connection.send(`POST ${TELEMETRY} HTTP/1.1\r\nHost: fleet.example.com\r\nContent-Length: 2\r\n\r\n{}`);
  await connection.wire.gone();
  assert.equal(connection.wire.received.includes('\r\n0\r\n\r\n'), false, connection.wire.received);
});
