/** TLS and plain HTTP on one port, several names on one port, and whoever only knocks. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createAuthority, type IssuedCertificate } from '../../src/demo/pki.ts';
import { type Answer, type Ask, openPlain, openTls, type TlsClient } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp, TestIssuer } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const corp = createAuthority({ name: 'corp' });
const deviceCa = createAuthority({ name: 'devices' });
const device = deviceCa.issue({ subject: { CN: 'robot-7' } });
const serve = (...names: readonly string[]): IssuedCertificate =>
  corp.issue({ subject: names[0] ?? '', san: { dns: [...names] }, usages: ['serverAuth'] });
const certificates = {
  fleet: serve('fleet.example.com'),
  wild: serve('*.shops.example.com'),
  fallback: serve('anything.example.com'),
};

const ends: (() => unknown)[] = [];
let app: RecordingApp;
let issuer: TestIssuer;
before(async () => {
  app = await new RecordingApp().start();
  issuer = await new TestIssuer({ server: serve('login.example.com') }).start();
  ends.unshift(
    () => app.stop(),
    () => issuer.stop(),
  );
});
after(async () => {
  for (const end of ends) await end();
});

const tls = (secretName: string, mode = 'Terminate', minVersion = '1.2'): made.Spec => ({
  tls: { mode, certificate: { secretName }, minVersion },
});
const support: readonly made.Manifest[] = [
  ...Object.entries(certificates).map(([name, pair]) => made.tlsSecret(name, pair)),
  made.configMap('corp-ca', { 'ca.crt': corp.certificatePem }),
  made.configMap('device-ca', { 'ca.crt': deviceCa.certificatePem }),
  made.clientTrust('devices', { anchors: [made.fromConfigMap('device-ca')] }),
  made.tokenIssuer('corp', {
    discovery: {
      url: 'https://login.example.com/.well-known/openid-configuration',
      trust: made.fromConfigMap('corp-ca'),
    },
  }),
];
const BOTH: made.Spec = {
  name: 'caller',
  anyOf: [
    { jwt: { issuers: ['corp'], audiences: ['api://fleet'], claimHeaders: { 'x-subject': 'sub' } } },
    { clientCertificate: { trust: 'devices' } },
  ],
};
const start = async (...objects: readonly made.Manifest[]): Promise<Sidecar> => {
  const sidecar = await startSidecar({
    manifests: { 'all.yaml': [...support, ...objects] },
    app: app.port,
    resolve: { 'login.example.com': issuer.port },
  });
  ends.unshift(() => sidecar.close());
  return sidecar;
};

const trusting = (parts: Partial<TlsClient> = {}): TlsClient => ({ ca: corp.certificatePem, ...parts });
const askTls = async (sidecar: Sidecar, client: TlsClient, ask: Ask): Promise<Answer> => {
  const connection = await openTls(sidecar.port, client);
  try {
    return await connection.ask(ask);
  } finally {
    connection.close();
  }
};
const askPlain = async (sidecar: Sidecar, ask: Ask): Promise<Answer> => {
  const connection = await openPlain(sidecar.port);
  try {
    return await connection.ask(ask);
  } finally {
    connection.close();
  }
};
const outcome = ({ status, reason }: Answer): string => `${status} ${reason}`.trim();
/** What a raw client gets back until the other side ends. */
async function speak(sidecar: Sidecar, bytes: Uint8Array | string): Promise<string> {
  const connection = await openPlain(sidecar.port);
  connection.wire.socket.write(bytes);
  return connection.wire.takeAll().finally(() => connection.close());
}

describe('a permissive port', () => {
  let sidecar: Sidecar;
  before(async () => {
    sidecar = await start(
      made.api('fleet', { hosts: ['fleet.example.com'], ...tls('fleet', 'Permissive') }),
      made.authPolicy('both', {
        request: [BOTH, { name: 'scheme', setHeaders: [{ name: 'x-scheme', value: '${request.scheme}' }] }],
      }),
    );
  });

  test('web clients come over TLS and over plain HTTP, and the app is told which', async () => {
    const token = await issuer.mint();
    assert.equal(outcome(await askTls(sidecar, trusting(), { path: '/', token })), '200');
    assert.deepEqual(folded(app.last.lines, 'x-scheme'), ['https']);
    assert.deepEqual(folded(app.last.lines, 'x-forwarded-proto'), ['https']);
    assert.equal(outcome(await askPlain(sidecar, { path: '/', token })), '200');
    assert.deepEqual(folded(app.last.lines, 'x-scheme'), ['http']);
    assert.deepEqual(folded(app.last.lines, 'x-forwarded-proto'), ['http']);
    assert.deepEqual(folded(app.last.lines, 'x-subject'), ['web']);
  });

  test('devices come over TLS, and plain HTTP cannot claim to be one', async () => {
    assert.equal(outcome(await askTls(sidecar, trusting({ certificate: device }), { path: '/' })), '200');
    const plain = await askPlain(sidecar, { path: '/' });
    assert.equal(outcome(plain), '401 TokenNotPresent');
    const claims = await askPlain(sidecar, {
      path: '/',
      headers: [
        ['X-Forwarded-Proto', 'https'],
        ['Client-Cert', `:${Buffer.from(device.der).toString('base64')}:`],
      ],
    });
    assert.equal(outcome(claims), '401 TokenNotPresent');
  });

  test('both at once, one byte at a time', async () => {
    const token = await issuer.mint();
    const connection = await openPlain(sidecar.port);
    const text = `GET / HTTP/1.1\r\nHost: fleet.example.com\r\nAuthorization: Bearer ${token}\r\n\r\n`;
    for (const byte of text) {
      connection.send(byte);
      await new Promise(resolve => setImmediate(resolve));
    }
    const overTls = await askTls(sidecar, trusting(), { path: '/', token });
    assert.deepEqual([outcome(await connection.readAnswer()), outcome(overTls)], ['200', '200']);
    connection.close();
  });

  test('probes that only connect, and whatever is neither HTTP nor TLS, harm nobody', async () => {
    const seen = app.seen.length;
    for (let n = 0; n < 50; n++) {
      const socket = connect(sidecar.port, '127.0.0.1');
      await new Promise(resolve => socket.once('connect', resolve));
      if (n % 3 === 0) socket.destroy();
      else if (n % 3 === 1) socket.resetAndDestroy();
      else socket.end();
    }
    // A record that is no ClientHello, one of SSL 2, bytes of another protocol.
    assert.match(await speak(sidecar, Buffer.from('16030100050000000000', 'hex')), /^(\x15|$)/);
    assert.match(await speak(sidecar, Buffer.from('802e0100020015000000', 'hex')), /^HTTP\/1\.1 400 /);
    assert.match(await speak(sidecar, 'SSH-2.0-OpenSSH_9.6\r\n\r\n'), /^HTTP\/1\.1 400 /);
    assert.match(await speak(sidecar, 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), /^HTTP\/1\.1 505 /);
    await until('their connections to be forgotten', async () => {
      const [listener] = (await sidecar.status())['listeners'] as { connections: number }[];
      return listener?.connections === 0;
    });
    assert.equal(app.seen.length, seen);
    assert.equal(outcome(await askTls(sidecar, trusting({ certificate: device }), { path: '/' })), '200');
    assert.deepEqual(
      sidecar.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});

describe('a port of several names', () => {
  let sidecar: Sidecar;
  before(async () => {
    const open = (name: string): made.Manifest => made.authPolicy(name, { ...made.onApi(name), request: [made.OPEN] });
    sidecar = await start(
      made.api('fleet', { hosts: ['fleet.example.com'], ...tls('fleet') }),
      made.api('wild', { hosts: ['*.shops.example.com'], ...tls('wild') }),
      open('fleet'),
      open('wild'),
    );
  });

  test('each name is served with its certificate, whatever its case and with a trailing dot', async () => {
    for (const [serverName, certificate] of [
      ['fleet.example.com', certificates.fleet],
      ['FLEET.Example.COM', certificates.fleet],
      ['a.shops.example.com', certificates.wild],
      ['B.Shops.example.com', certificates.wild],
    ] as const) {
      const connection = await openTls(sidecar.port, trusting({ serverName }));
      assert.equal(connection.serverCertificate, certificate.sha256, serverName);
      assert.equal(outcome(await connection.ask({ path: '/', host: serverName })), '200', serverName);
      connection.close();
    }
    const options = { checkServerIdentity: () => undefined };
    const dotted = await openTls(sidecar.port, trusting({ serverName: 'fleet.example.com.', options }));
    assert.equal(dotted.serverCertificate, certificates.fleet.sha256);
    assert.equal(outcome(await dotted.ask({ path: '/', host: 'fleet.example.com.' })), '200');
    dotted.close();
  });

  test('unknown names and clients without a name are refused in the handshake', async () => {
    const options = { checkServerIdentity: () => undefined };
    for (const serverName of ['unknown.example.com', 'a.b.shops.example.com', 'shops.example.com', false] as const) {
      await assert.rejects(openTls(sidecar.port, trusting({ serverName, options })), String(serverName));
    }
  });

  test('a request for another name than the connection’s is 421, unless the same certificate serves both', async () => {
    const connection = await openTls(sidecar.port, trusting());
    for (const host of ['a.shops.example.com', 'unknown.example.com']) {
      assert.equal(outcome(await connection.ask({ path: '/', host })), '421 MisdirectedRequest', host);
    }
    assert.equal(outcome(await connection.ask({ path: '/' })), '200', 'the connection stays');
    connection.close();
    const wild = await openTls(sidecar.port, trusting({ serverName: 'a.shops.example.com' }));
    assert.equal(outcome(await wild.ask({ path: '/', host: 'b.shops.example.com' })), '200');
    assert.equal(outcome(await wild.ask({ path: '/', host: 'b.shops.example.com:8443' })), '200');
    wild.close();
  });

  test('plain HTTP gets no word on a port of TLS', async () => {
    assert.match(await speak(sidecar, 'GET / HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n'), /^(\x15[^H]*)?$/);
  });

  test('TLS 1.1 is refused, sessions are not resumed, HTTP/1.1 is agreed on', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await assert.rejects(openTls(sidecar.port, trusting({ options: old })));
    const connection = await openTls(sidecar.port, trusting({ options: { ALPNProtocols: ['http/1.1'] } }));
    const { socket } = connection.wire;
    assert.ok('alpnProtocol' in socket && 'getSession' in socket);
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.equal(outcome(await connection.ask({ path: '/' })), '200');
    connection.close();
    const tls12 = await openTls(sidecar.port, trusting({ options: { maxVersion: 'TLSv1.2' } }));
    assert.equal(outcome(await tls12.ask({ path: '/' })), '200');
    const session = (tls12.wire.socket as unknown as { getSession(): Buffer }).getSession();
    tls12.close();
    const again = await openTls(sidecar.port, trusting({ options: { maxVersion: 'TLSv1.2', session } }));
    const resumed = (again.wire.socket as unknown as { isSessionReused(): boolean }).isSessionReused();
    assert.equal(resumed, false);
    again.close();
  });
});

describe('a port with an Api for any name', () => {
  test('it serves unknown names, clients without a name, and requests for each of them', async () => {
    const sidecar = await start(
      made.api('fleet', { hosts: ['fleet.example.com'], ...tls('fleet') }),
      made.api('rest', tls('fallback')),
      made.authPolicy('open', { request: [made.OPEN] }),
    );
    const options = { checkServerIdentity: () => undefined };
    for (const serverName of ['unknown.example.com', false] as const) {
      const connection = await openTls(sidecar.port, trusting({ serverName, options }));
      assert.equal(connection.serverCertificate, certificates.fallback.sha256);
      assert.equal(outcome(await connection.ask({ path: '/', host: 'other.example.com' })), '200');
      const misdirected = await connection.ask({ path: '/', host: 'fleet.example.com' });
      assert.equal(outcome(misdirected), '421 MisdirectedRequest');
      connection.close();
    }
  });
});

describe('a port without TLS', () => {
  test('a TLS handshake gets a 400 that no TLS client mistakes for an answer', async () => {
    const sidecar = await start(made.api('fleet'), made.authPolicy('open', { request: [made.OPEN] }));
    await assert.rejects(openTls(sidecar.port, trusting()));
    assert.equal(outcome(await askPlain(sidecar, { path: '/' })), '200');
  });
});
