import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import type { PresentedCertificate } from '../trust/trust.ts';
import { deviceAuthority, issueServer, listenerTls, material, openSecureWire, tlsSecret } from './testing/secure.ts';
import { startWorld, type World, type WorldParts } from './testing/world.ts';
import { echoHeads, openWire, startApp, type App } from './testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n';

const fleet = issueServer('fleet.example.com');
const other = issueServer('other.example.com');
const wild = issueServer('*.wild.example.com');
const secrets = {
  'shop/fleet-tls': tlsSecret(fleet),
  'shop/other-tls': tlsSecret(other),
  'shop/wild': tlsSecret(wild),
};

describe('TLS towards clients', () => {
  let app: App;
  let world: World | undefined;
  before(async () => {
    app = await startApp(echoHeads);
  });
  afterEach(async () => {
    await world?.stop();
    world = undefined;
  });
  after(() => app.stop());

  const start = async (tls: Parameters<typeof listenerTls>[0] = {}, parts: WorldParts = {}): Promise<World> => {
    world = await startWorld(app.port, { material: material(secrets), ...parts, plan: { tls: listenerTls(tls) } });
    return world;
  };

  test('a request over TLS reaches the app and says https', async () => {
    const { port } = await start();
    const wire = await openSecureWire(port);
    const { status, body } = await wire.send(GET).takeAnswer();
    assert.equal(status, 200);
    assert.match(body, /X-Forwarded-Proto: https\r\n/);
    wire.socket.destroy();
  });

  for (const [sentence, bytes] of [
    ['before its first byte', ''],
    ['in the middle of its hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
  ] as const) {
    test(`a client that ends its half ${sentence} is closed at once, not after the handshake’s clock`, async () => {
      const { port } = await start();
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      await once(socket, 'connect');
      socket.resume().end(bytes, 'latin1');
      const begin = performance.now();
      await Promise.race([once(socket, 'end'), once(socket, 'error')]);
      assert.ok(performance.now() - begin < 8000); // the clock runs for 10 s
      socket.destroy();
    });
  }

  test('a client that ends its half after a whole request over TLS gets its answer', async () => {
    const { port } = await start();
    const wire = await openSecureWire(port);
    wire.send(GET).socket.end();
    assert.equal((await wire.takeAnswer()).status, 200);
  });

  const NAMES: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ['its own name gets its certificate', 'fleet.example.com', 'fleet.example.com'],
    ['case does not matter', 'FLEET.example.COM', 'fleet.example.com'],
    ['a wildcard matches one label', 'a.wild.example.com', '*.wild.example.com'],
    ['a wildcard does not match two labels', 'a.b.wild.example.com', undefined],
    ['a wildcard does not match the bare domain', 'wild.example.com', undefined],
    ['an unknown name is refused', 'unknown.example.com', undefined],
    ['no name is refused', '', undefined],
  ];
  for (const [sentence, servername, served] of NAMES) {
    test(`without an Api without hosts: ${sentence}`, async () => {
      const certificates = [
        { hosts: ['fleet.example.com'], secret: 'shop/fleet-tls' },
        { hosts: ['*.wild.example.com'], secret: 'shop/wild' },
      ];
      const { port } = await start({ certificates });
      const opened = openSecureWire(port, { servername, checkServerIdentity: () => undefined });
      if (served === undefined) return assert.rejects(opened);
      const wire = await opened;
      const socket = wire.secure;
      assert.equal(socket.getPeerCertificate().subject.CN, served);
      socket.destroy();
    });
  }

  test('a trailing dot does not choose another certificate (CVE-2026-48928)', async () => {
    const { port } = await start({
      certificates: [
        { hosts: [], secret: 'shop/other-tls' },
        { hosts: ['Fleet.Example.com.'], secret: 'shop/fleet-tls' },
      ],
    });
    const wire = await openSecureWire(port, {
      servername: 'fleet.example.com.',
      checkServerIdentity: () => undefined,
    });
    assert.equal(wire.secure.getPeerCertificate().subject.CN, 'fleet.example.com');
    wire.socket.destroy();
  });

  test('an Api without hosts serves its certificate to unknown names and without a name (M5)', async () => {
    const { port } = await start({ certificates: [{ hosts: [], secret: 'shop/other-tls' }] });
    for (const servername of ['unknown.example.com', '']) {
      const wire = await openSecureWire(port, { servername, checkServerIdentity: () => undefined });
      wire.socket.destroy();
    }
  });

  test('TLS 1.2 is refused where 1.3 is the least', async () => {
    const { port } = await start({ minVersion: '1.3' });
    await assert.rejects(openSecureWire(port, { maxVersion: 'TLSv1.2' }));
    (await openSecureWire(port)).socket.destroy();
  });

  test('TLS 1.1 is refused', async () => {
    const { port } = await start();
    const ciphers = 'DEFAULT@SECLEVEL=0';
    await assert.rejects(openSecureWire(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers }));
  });

  test('by ALPN only what the port speaks is agreed on', async () => {
    const { port } = await start({ http: 'HTTP1' });
    await assert.rejects(openSecureWire(port, { ALPNProtocols: ['h2'] }));
    const wire = await openSecureWire(port, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(wire.secure.alpnProtocol, 'http/1.1');
    wire.socket.destroy();
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`no session is resumed with ${version}: a resumed one would stay authorized`, async () => {
      const { port } = await start();
      const bounds = { minVersion: version, maxVersion: version };
      const first = await openSecureWire(port, bounds);
      const socket = first.secure;
      let session = socket.getSession();
      socket.on('session', later => (session = later));
      await first.send(GET).takeAnswer();
      const second = await openSecureWire(port, { ...bounds, ...(session === undefined ? {} : { session }) });
      assert.equal(second.secure.isSessionReused(), false);
      socket.destroy();
      second.socket.destroy();
    });
  }

  test('renegotiation is refused', async () => {
    const { port } = await start();
    const wire = await openSecureWire(port, { maxVersion: 'TLSv1.2' });
    const socket = wire.secure;
    const refused = await new Promise<boolean>(resolve => {
      socket.once('error', () => resolve(true));
      socket.once('close', () => resolve(true));
      socket.renegotiate({ rejectUnauthorized: true }, error => resolve(error !== null));
    });
    assert.equal(refused, true);
    socket.destroy();
  });

  test('a Host that another certificate serves is 421', async () => {
    const { port } = await start({
      certificates: [
        { hosts: ['fleet.example.com'], secret: 'shop/fleet-tls' },
        { hosts: ['other.example.com'], secret: 'shop/other-tls' },
      ],
    });
    const wire = await openSecureWire(port);
    for (const host of ['other.example.com', 'unknown.example.com']) {
      const { status, body } = await wire.send(`GET /open HTTP/1.1\r\nHost: ${host}\r\n\r\n`).takeAnswer();
      assert.equal(status, 421);
      assert.match(body, /MisdirectedRequest/);
    }
    assert.equal((await wire.send(GET.replace('fleet.e', 'FLEET.e')).takeAnswer()).status, 200);
    wire.socket.destroy();
  });

  test('a rotated certificate is served to new connections, and old ones stay', async () => {
    const running = await start();
    const before = await openSecureWire(running.port);
    await before.send(GET).takeAnswer();
    const next = issueServer('fleet.example.com');
    running.publish({ material: material({ 'shop/fleet-tls': tlsSecret(next) }), plan: { tls: listenerTls() } });
    const fresh = await openSecureWire(running.port);
    const serialOf = (wire: typeof fresh): string => wire.secure.getPeerCertificate().serialNumber;
    assert.equal(serialOf(fresh), next.serial);
    assert.equal((await before.send(GET).takeAnswer()).status, 200);
    before.socket.destroy();
    fresh.socket.destroy();
  });

  test('a broken certificate keeps the last good one', async () => {
    const running = await start();
    const broken = new Map([['tls.crt', new Uint8Array([1, 2])]]);
    running.publish({ material: material({ 'shop/fleet-tls': broken }), plan: { tls: listenerTls() } });
    (await openSecureWire(running.port)).socket.destroy();
  });

  test('without any certificate handshakes fail, and nothing is answered in plaintext', async () => {
    const { port } = await start({}, { material: material({}) });
    await assert.rejects(openSecureWire(port));
    assert.equal(/HTTP/.test(await openWire(port).send(GET).takeAll()), false);
  });

  test('a Permissive port serves TLS and plaintext, told apart by the first byte', async () => {
    const { port } = await start({ mode: 'Permissive' });
    const secure = await openSecureWire(port);
    assert.equal((await secure.send(GET).takeAnswer()).status, 200);
    const plain = openWire(port).send(GET);
    const { status, body } = await plain.takeAnswer();
    assert.equal(status, 200);
    assert.match(body, /X-Forwarded-Proto: http\r\n/);
    secure.socket.destroy();
    plain.socket.destroy();
  });

  test('a ClientHello in pieces of one byte still chooses by its name (Traefik GHSA-gv8r-9rw9-9697)', async () => {
    const { port } = await start({ mode: 'Permissive' });
    const relay = createServer(client => {
      const upstream = connect(port, '127.0.0.1').setNoDelay(true);
      upstream.on('error', () => undefined).pipe(client.on('error', () => undefined));
      client.on('data', (chunk: Buffer) => {
        for (const byte of chunk.subarray(0, 300)) upstream.write(Buffer.from([byte]));
        upstream.write(chunk.subarray(300));
      });
    });
    await once(relay.listen(0, '127.0.0.1'), 'listening');
    const wire = await openSecureWire((relay.address() as AddressInfo).port);
    assert.equal((await wire.send(GET).takeAnswer()).status, 200);
    await assert.rejects(openSecureWire((relay.address() as AddressInfo).port, { servername: 'unknown.example.com' }));
    wire.socket.destroy();
    relay.close();
  });

  describe('client certificates', () => {
    const seen: (PresentedCertificate | undefined)[] = [];
    const trusting = (authorities: readonly string[]): WorldParts['trust'] => ({
      anchorsPem: () => authorities,
      judgeRequest: (_, __, peer) => {
        seen.push(peer.own);
        return { state: 'absent' };
      },
    });
    const routes: WorldParts['routes'] = [
      [
        '/',
        [
          {
            name: 'device',
            label: 'policy/device',
            widened: false,
            origin: {
              kind: 'AuthPolicy',
              key: 'shop/policy',
              name: 'policy',
              generation: 1,
              scope: 'Api',
              sealed: true,
              audit: false,
            },
            type: 'clientCertificate',
            clientCertificate: { trust: 'shop/devices' },
          },
        ],
      ],
    ];
    const present = async (
      options: Parameters<typeof openSecureWire>[1],
    ): Promise<PresentedCertificate | undefined> => {
      seen.length = 0;
      const trust = trusting([deviceAuthority.certificatePem]);
      const { port } = await start({ clientTrusts: ['shop/devices'] }, { routes, ...(trust ? { trust } : {}) });
      const wire = await openSecureWire(port, options);
      assert.equal((await wire.send(GET).takeAnswer()).status, 401);
      wire.socket.destroy();
      return seen[0];
    };

    test('a trusted one is presented with its chain as sent', async () => {
      const issuing = deviceAuthority.createIntermediate({ name: 'issuing' });
      const leaf = issuing.issue({ subject: 'robot-7' });
      const presented = await present({ cert: leaf.chainPem, key: leaf.keyPem });
      assert.equal(presented?.handshakeError, undefined);
      assert.deepEqual(
        presented?.chain.slice(0, 2).map(der => Buffer.from(der).toString('hex')),
        leaf.chainDer.map(der => Buffer.from(der).toString('hex')),
      );
    });

    test('an untrusted one completes the handshake and carries what OpenSSL said', async () => {
      const leaf = createAuthority({ name: 'stranger' }).issue({ subject: 'robot-7' });
      const presented = await present({ cert: leaf.chainPem, key: leaf.keyPem });
      assert.equal(typeof presented?.handshakeError, 'string');
      assert.equal(presented?.chain.length, 1);
    });

    test('none is none', async () => {
      assert.equal(await present({}), undefined);
    });

    test('is not asked for when no policy names a ClientTrust', async () => {
      seen.length = 0;
      const { port } = await start({}, { routes, trust: trusting([deviceAuthority.certificatePem]) ?? {} });
      const leaf = deviceAuthority.issue({ subject: 'robot-7' });
      const wire = await openSecureWire(port, { cert: leaf.chainPem, key: leaf.keyPem });
      await wire.send(GET).takeAnswer();
      assert.equal(seen[0], undefined);
      wire.socket.destroy();
    });
  });
});
