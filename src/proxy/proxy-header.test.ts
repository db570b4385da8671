/** M3a on real sockets: who must speak the PROXY protocol, who must not, and who is the peer then. */
import assert from 'node:assert/strict';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, test } from 'node:test';
import { SILENT } from '../telemetry/telemetry.ts';
import { step } from '../decision/testing/fakes.ts';
import { createAddressFilter } from '../policy/address-filter.ts';
import { writeBinary, writeLine } from './testing/proxy-headers.ts';
import { issueServer, listenerTls, material, serverAuthority, tlsSecret } from './testing/secure.ts';
import { echoHeads, Wire } from './testing/wire.ts';
import { OPEN, play, startWorld, type WorldParts } from './testing/world.ts';

const REQUIRED: WorldParts = { plan: { proxyProtocol: { from: ['127.0.0.0/30'] } } };
const GET = 'GET /open HTTP/1.1\r\nHost: a\r\n\r\n';
const open = (port: number, localAddress = '127.0.0.1'): Wire =>
  new Wire(connectPlain({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true }));
const send = (port: number, header: Buffer, text = GET): Wire => {
  const wire = open(port);
  wire.socket.write(Buffer.concat([header, Buffer.from(text)]));
  return wire;
};

describe('M3a: on plaintext', () => {
  for (const [version, write] of Object.entries({ 1: writeLine, 2: writeBinary })) {
    for (const source of ['203.0.113.9', '2001:db8::9']) {
      test(`version ${version}: the app is told ${source}, and requests follow as usual`, () =>
        play(echoHeads, REQUIRED, async ({ world }) => {
          const wire = send(world.port, write(source), GET + GET);
          for (let n = 0; n < 2; n++) {
            const { status, body } = await wire.takeAnswer();
            assert.equal(status, 200);
            assert.match(body, new RegExp(`\r\nX-Forwarded-For: ${source}\r\n`));
          }
          wire.socket.destroy();
        }));
    }
  }

  test('byte by byte is read as in one piece', () =>
    play(echoHeads, REQUIRED, async ({ world }) => {
      const wire = open(world.port);
      for (const byte of Buffer.concat([writeBinary('203.0.113.9'), Buffer.from(GET)])) {
        await new Promise<void>(resolve => wire.socket.write(Buffer.from([byte]), () => setImmediate(resolve)));
      }
      assert.match((await wire.takeAnswer()).body, /\r\nX-Forwarded-For: 203\.0\.113\.9\r\n/);
      wire.socket.destroy();
    }));

  for (const [what, header] of Object.entries({
    LOCAL: writeBinary('203.0.113.9', { command: 0x20 }),
    UNKNOWN: Buffer.from('PROXY UNKNOWN\r\n'),
  })) {
    test(`${what}: the sender speaks for itself`, () =>
      play(echoHeads, REQUIRED, async ({ world }) => {
        const wire = send(world.port, header);
        assert.match((await wire.takeAnswer()).body, /\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/);
        wire.socket.destroy();
      }));
  }

  test('P8: its address is the one that ipFilter judges', () => {
    const filter = step({ type: 'ipFilter', ipFilter: createAddressFilter(['203.0.113.0/24'], []) });
    return play(echoHeads, { ...REQUIRED, routes: [['/open', [OPEN, filter]]] }, async ({ world }) => {
      for (const [source, status] of [
        ['203.0.113.9', 200],
        ['192.0.2.1', 403],
      ] as const) {
        const wire = send(world.port, writeBinary(source));
        assert.equal((await wire.takeAnswer()).status, status);
        wire.socket.destroy();
      }
    });
  });

  test('its address is the one that trustedPeers trusts', () => {
    const plan = { ...REQUIRED.plan, trustedPeers: [{ cidr: '203.0.113.0/24' }] };
    return play(echoHeads, { plan }, async ({ world }) => {
      const forged = 'GET /open HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n';
      const trusted = send(world.port, writeBinary('203.0.113.9'), forged);
      assert.match((await trusted.takeAnswer()).body, /\r\nX-Forwarded-For: 10\.9\.9\.9, 203\.0\.113\.9\r\n/);
      const stranger = send(world.port, writeBinary('192.0.2.1'), forged);
      assert.match((await stranger.takeAnswer()).body, /\r\nX-Forwarded-For: 192\.0\.2\.1\r\n/);
      for (const wire of [trusted, stranger]) wire.socket.destroy();
    });
  });

  test('connections are counted for each client, not for the balancer in front', () =>
    play(echoHeads, { ...REQUIRED, limits: { perPeerConnections: 1 } }, async ({ world }) => {
      const first = send(world.port, writeBinary('203.0.113.9'));
      assert.equal((await first.takeAnswer()).status, 200);
      const other = send(world.port, writeBinary('203.0.113.10'));
      assert.equal((await other.takeAnswer()).status, 200);
      const second = send(world.port, writeBinary('203.0.113.9'));
      assert.equal(await second.takeAll(), '');
      first.socket.destroy();
      await first.gone();
      const third = send(world.port, writeBinary('203.0.113.9'));
      assert.equal((await third.takeAnswer()).status, 200);
      for (const wire of [other, third]) wire.socket.destroy();
    }));
});

describe('M3a: whoever must speak it and does not is closed, without an answer', () => {
  const refusals: string[] = [];
  const telemetry = {
    ...SILENT,
    metrics: { ...SILENT.metrics, count: (_: string, labels = {}) => void refusals.push(Object.values(labels).join()) },
  };
  for (const [what, bytes] of Object.entries({
    'plain HTTP': Buffer.from(GET),
    TLS: Buffer.from('16030100', 'hex'),
    'version 1 with a bad address': Buffer.from('PROXY TCP4 a b 1 2\r\n'),
    'version 1 without an end': Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`),
    'version 2 of an unknown family': writeBinary('203.0.113.9', { family: 0x41 }),
    'a header cut short by its end': writeBinary('203.0.113.9').subarray(0, 20),
  })) {
    test(what, async () => {
      refusals.length = 0;
      const world = await startWorld(1, REQUIRED, { telemetry });
      const wire = open(world.port);
      wire.socket.end(bytes);
      assert.equal(await wire.takeAll(), '');
      await wire.gone();
      await world.stop();
      assert.deepEqual(refusals, ['ProxyProtocol']);
    });
  }

  test('but a probe that only opens and closes is no refusal', async () => {
    refusals.length = 0;
    const world = await startWorld(1, REQUIRED, { telemetry });
    const wire = open(world.port);
    wire.socket.end();
    await wire.takeAll();
    await world.stop();
    assert.deepEqual(refusals, []);
  });
});

describe('M3a: from others it is refused', () => {
  for (const [version, write] of Object.entries({ 1: writeLine, 2: writeBinary })) {
    test(`version ${version}: 400, and nobody believes it`, () =>
      play(echoHeads, REQUIRED, async ({ app, world }) => {
        const wire = open(world.port, '127.0.0.9');
        wire.socket.write(Buffer.concat([write('203.0.113.9'), Buffer.from(GET)]));
        assert.match(await wire.takeAll(), /^HTTP\/1\.1 400 /);
        assert.equal(app.wires.length, 0);
        wire.socket.destroy();
      }));
  }

  test('who needs none is served without', () =>
    play(echoHeads, REQUIRED, async ({ world }) => {
      const wire = open(world.port, '127.0.0.9').send(GET);
      assert.match((await wire.takeAnswer()).body, /\r\nX-Forwarded-For: 127\.0\.0\.9\r\n/);
      wire.socket.destroy();
    }));
});

describe('M3a: before TLS', () => {
  const secure: WorldParts = {
    material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
    plan: { ...REQUIRED.plan, tls: listenerTls() },
  };
  const shake = async (port: number, header: Buffer): Promise<Wire> => {
    const socket = connectPlain({ port, host: '127.0.0.1' });
    socket.write(header);
    const tls = connectTls({ socket, servername: 'fleet.example.com', ca: serverAuthority.certificatePem });
    await new Promise<void>((resolve, reject) => {
      tls.once('secureConnect', resolve).once('error', reject);
      tls.once('close', () => reject(new Error('closed')));
    });
    return new Wire(tls);
  };
  const request = GET.replace('Host: a', 'Host: fleet.example.com');

  for (const mode of ['Terminate', 'Permissive'] as const) {
    test(`${mode}: the handshake follows the header, in one piece with it or not`, () =>
      play(echoHeads, { ...secure, plan: { ...secure.plan, tls: listenerTls({ mode }) } }, async ({ world }) => {
        for (const header of [writeLine('203.0.113.9'), writeBinary('2001:db8::9')]) {
          const wire = (await shake(world.port, header)).send(request);
          const { status, body } = await wire.takeAnswer();
          assert.equal(status, 200);
          assert.match(body, /\r\nX-Forwarded-For: (203\.0\.113\.9|2001:db8::9)\r\n/);
          wire.socket.destroy();
        }
      }));
  }

  test('Permissive: plaintext behind the header too', () =>
    play(
      echoHeads,
      { ...secure, plan: { ...secure.plan, tls: listenerTls({ mode: 'Permissive' }) } },
      async ({ world }) => {
        const wire = send(world.port, writeBinary('203.0.113.9'), request);
        assert.match((await wire.takeAnswer()).body, /\r\nX-Forwarded-For: 203\.0\.113\.9\r\n/);
        wire.socket.destroy();
      },
    ));

  test('from others the header is no TLS: closed', () =>
    play(
      echoHeads,
      { ...secure, plan: { proxyProtocol: { from: ['10.0.0.0/8'] }, tls: listenerTls() } },
      async ({ world }) => {
        await assert.rejects(shake(world.port, writeLine('203.0.113.9')));
      },
    ));
});
