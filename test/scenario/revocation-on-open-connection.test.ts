/** What was permitted is judged again: the next request on an open connection, and streams while they run (M7). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import type { DemoMaterial } from '../../src/demo/material.ts';
import type { IssuedCertificate } from '../../src/demo/pki.ts';
import type { Connection } from '../support/connection.ts';
import {
  describeMaterial,
  DEVICE,
  type Fleet,
  MATERIAL_FILE,
  openFleet,
  TELEMETRY,
  WEB_CLAIMS,
} from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import type { Behaviour } from '../support/servers.ts';
import type { Files } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

/** Answers whoever asks for events with one event, and never ends. */
const streamEvents: Behaviour = ({ lines }, response) => {
  if (lines.some(([name, value]) => name === 'Accept' && value === 'text/event-stream')) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: hello\n\n');
  } else response.end('ok');
};

const trust = made.fromConfigMap('corp-ca');
const devicesWith = (parts: made.Spec): readonly made.Manifest[] => [
  made.clientTrust('devices', {
    anchors: [made.fromConfigMap('device-ca')],
    revocation: { mode: 'Strict', crls: [made.fromConfigMap('device-ca', 'crl.pem')] },
  }),
  made.deviceAuthService('devices', {
    url: 'https://device-auth.fleet.svc:8443/check',
    tls: { trust, credential: 'mesh' },
    timeout: '20s',
    ...parts,
  }),
];
const stolen = (...thumbprints: readonly string[]): Files => ({
  '60-stolen.yaml': [made.configMap('stolen', { list: `# stolen\n${thumbprints.join('\n')}\n` })],
});
const files = (): Files => ({
  ...stolen(),
  '20-issuer.yaml': [
    made.tokenIssuer('corp', {
      discovery: { url: 'https://login.example.com/.well-known/openid-configuration', trust },
      clockSkew: '0s',
    }),
  ],
  '21-devices.yaml': devicesWith({ revoke: made.fromConfigMap('stolen', 'list') }),
});

/** The device CA puts the certificate on its list, and the new list is published. */
const revoke = (fleet: Fleet, certificate: IssuedCertificate): Promise<void> => {
  fleet.material.devicesCa.revoke(certificate);
  return fleet.sidecar.apply({ [MATERIAL_FILE]: describeMaterial(fleet.material) });
};

const REVOCATIONS: Readonly<
  Record<string, readonly [reason: string, revoke: (fleet: Fleet, certificate: IssuedCertificate) => Promise<void>]>
> = {
  'its CA puts it on the revocation list': ['ClientCertificateRevoked', revoke],
  'it is put on the list of stolen devices, by SHA-1': [
    'DeviceRevoked',
    (fleet, { sha1 }) => fleet.sidecar.apply(stolen(sha1.replaceAll(/(..)(?=.)/g, '$1:').toLowerCase())),
  ],
  'it is put on the list of stolen devices, by SHA-256': [
    'DeviceRevoked',
    (fleet, { sha256 }) => fleet.sidecar.apply(stolen(sha256)),
  ],
  'its CA is trusted no longer': [
    'ClientCertificateUntrusted',
    fleet => {
      const { material } = fleet;
      const others: DemoMaterial = { ...material, devicesCa: material.mesh };
      return fleet.sidecar.apply({ [MATERIAL_FILE]: describeMaterial(others) });
    },
  ],
};

const open = (t: TestContext): Promise<Fleet> => openFleet(t, { files, behaviour: streamEvents });
const post = { method: 'POST', path: TELEMETRY, body: '{}' } as const;

for (const [what, [reason, doRevoke]] of Object.entries(REVOCATIONS)) {
  test(`a device is refused at its very next request when ${what}`, async t => {
    const fleet = await open(t);
    const connection = await fleet.connect(fleet.tls('robot-7'));
    assert.equal((await connection.ask(post)).status, 200);
    assert.equal((await connection.ask(post)).status, 200, 'from the cache of look-ups');
    await doRevoke(fleet, fleet.material.devices['robot-7']);
    const refused = await connection.ask(post);
    assert.deepEqual([refused.status, refused.reason], [403, reason]);
    assert.equal((await connection.ask(post)).reason, reason, 'on the same connection, which stays open');
    const again = await fleet.ask(post, 'robot-7');
    assert.equal(again.reason, reason, 'and on a new one');
    const web = await fleet.ask({ path: DEVICE, token: await fleet.webToken() });
    assert.equal(web.status, 200, 'nobody else is concerned');
    assert.equal(fleet.app.seen.length, 3);
  });
}

test('a device is let in again when it was taken off the list of stolen ones', async t => {
  const fleet = await open(t);
  const connection = await fleet.connect(fleet.tls('robot-7'));
  await fleet.sidecar.apply(stolen(fleet.material.devices['robot-7'].sha1));
  assert.equal((await connection.ask(post)).reason, 'DeviceRevoked');
  await fleet.sidecar.apply(stolen());
  assert.equal((await connection.ask(post)).status, 200);
});

test('a certificate that expires while its connection is open is refused from then on', async t => {
  const fleet = await open(t);
  const notAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
  const certificate = fleet.material.devicesCa.issue({ subject: { CN: 'robot-7' }, notAfter });
  fleet.deviceAuth.devices.set('robot-7', certificate.sha1);
  const connection = await fleet.connect({ ...fleet.tls(), certificate });
  assert.equal((await connection.ask(post)).status, 200);
  const stream = await openEvents(fleet, { ...fleet.tls(), certificate });
  await stream.wire.gone();
  assert.ok(Date.now() > notAfter.getTime(), 'the stream lived until then');
  const refused = await connection.ask(post);
  assert.deepEqual([refused.status, refused.reason], [403, 'ClientCertificateExpired']);
});

test('a revocation list that goes past its nextUpdate is 503, not a permit, until a newer one comes', async t => {
  const fleet = await open(t);
  const { devicesCa } = fleet.material;
  const connection = await fleet.connect(fleet.tls('robot-7'));
  const nextUpdate = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
  const publish = (crl: string): Promise<void> =>
    fleet.sidecar.apply({
      [MATERIAL_FILE]: describeMaterial(fleet.material).map(manifest =>
        (manifest['metadata'] as { name: string }).name === 'device-ca'
          ? made.configMap('device-ca', { 'ca.crt': devicesCa.certificatePem, 'crl.pem': crl })
          : manifest,
      ),
    });
  await publish(devicesCa.crlPem({ nextUpdate, number: 2 }));
  assert.equal((await connection.ask(post)).status, 200);
  const late = await until('the list to be too old', async () => {
    const answer = await connection.ask(post);
    return answer.status !== 200 && answer;
  });
  assert.deepEqual([late.status, late.reason, late.headers.get('retry-after')], [503, 'RevocationUnavailable', ['5']]);
  await publish(devicesCa.crlPem({ number: 3 }));
  assert.equal((await connection.ask(post)).status, 200);
  // A list that cannot be read takes nothing away from the good one.
  await publish('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n');
  const unread = await connection.ask(post);
  assert.ok(unread.status === 200 || unread.reason === 'RevocationUnavailable', unread.reason);
});

/** An open stream of server-sent events, of which the first has come. */
async function openEvents(fleet: Fleet, client = fleet.tls('robot-7'), token?: string): Promise<Connection> {
  const connection = await fleet.connect(client);
  const bearer = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
  connection.send(`GET ${DEVICE} HTTP/1.1\r\nHost: fleet.example.com\r\nAccept: text/event-stream\r\n${bearer}\r\n`);
  assert.equal((await connection.readHead()).status, 200);
  await connection.wire.take(/data: hello\n\n/);
  return connection;
}

/** An open WebSocket on which a word has gone there and come back; and the app’s end of it. */
async function openWebSocket(fleet: Fleet, client = fleet.tls('robot-7')): Promise<[Connection, Duplex]> {
  const { promise, resolve } = Promise.withResolvers<Duplex>();
  fleet.app.onUpgrade((_, socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
    resolve(socket);
  });
  const connection = await fleet.connect(client);
  connection.send(
    `GET ${DEVICE} HTTP/1.1\r\nHost: fleet.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  assert.equal((await connection.readHead()).status, 101);
  await connection.send('hello').wire.take(/hello/);
  return [connection, await promise];
}

for (const [what, [, doRevoke]] of Object.entries(REVOCATIONS)) {
  test(`the open WebSocket and the open events of a device end when ${what}`, async t => {
    const fleet = await open(t);
    const [socket, atApp] = await openWebSocket(fleet);
    const events = await openEvents(fleet);
    const webEvents = await openEvents(fleet, fleet.tls(), await fleet.webToken());
    const closedAtApp = once(atApp, 'close');
    await doRevoke(fleet, fleet.material.devices['robot-7']);
    await Promise.all([socket.wire.gone(), events.wire.gone(), closedAtApp]);
    assert.equal(events.wire.received.includes('0\r\n\r\n'), false, 'the end does not look like a whole answer');
    assert.equal(webEvents.wire.closed, false, 'other streams go on');
  });
}

test('an open stream ends when its token expires', async t => {
  const fleet = await open(t);
  const expires = Math.floor(Date.now() / 1000) + 3;
  const token = await fleet.issuer.mint({ claims: { ...WEB_CLAIMS, exp: expires }, expiresIn: null });
  const stream = await openEvents(fleet, fleet.tls(), token);
  const lasting = await openEvents(fleet, fleet.tls(), await fleet.webToken());
  await stream.wire.gone();
  assert.ok(Date.now() >= expires * 1000);
  assert.equal(lasting.wire.closed, false);
});

test('an open stream ends when the policy no longer permits it, and stays when another policy changes', async t => {
  const fleet = await open(t);
  const [socket] = await openWebSocket(fleet);
  const events = await openEvents(fleet, fleet.tls(), await fleet.webToken());
  await fleet.sidecar.apply({
    '41b.yaml': [made.authPolicy('extra', { request: [{ name: 'a', removeHeaders: ['X-A'] }] })],
  });
  await socket.send('still here').wire.take(/still here/);
  assert.equal(events.wire.closed, false);
  const onlyDevices = { name: 'devices', authorize: { allow: [{ expression: 'has(cert.sha1)' }] } };
  await fleet.sidecar.apply({
    '41b.yaml': [made.authPolicy('extra', { ...made.onApi('fleet', 'device'), request: [onlyDevices] })],
  });
  await events.wire.gone();
  await socket.send('and still here').wire.take(/and still here/);
});
