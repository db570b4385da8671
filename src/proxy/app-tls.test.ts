import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { createServer, type Server } from 'node:tls';
import { createAuthority } from '../demo/pki.ts';
import type { AppCertificate, CredentialAnswers } from './generation.ts';
import { issueServer, material, serverAuthority } from './testing/secure.ts';
import { startWorld, type World, type WorldParts } from './testing/world.ts';
import { Wire, echoHeads, openWire } from './testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n';

const mesh = createAuthority({ name: 'mesh-ca' });
const issued = mesh.issue({ subject: 'sidecar' });
const credential: AppCertificate = { certificate: issued.chainPem, key: issued.keyPem, sha256: issued.sha256 };
const credentials = (given: AppCertificate | undefined): Partial<CredentialAnswers> => ({
  clientCertificate: () => given,
});
const appCertificate = issueServer('fleet.shop.svc');

const trusted: WorldParts = {
  app: {
    scheme: 'https',
    serverName: 'fleet.shop.svc',
    trust: { configMapKeyRef: { name: 'app-ca', key: 'ca.crt' } },
  },
  pipeline: { certificateCredential: 'shop/mesh' },
  credentials: credentials(credential),
  material: material({}, { 'shop/app-ca': { 'ca.crt': serverAuthority.certificatePem } }),
};

describe('mutual TLS to the app', () => {
  let server: Server;
  let port = 0;
  let peers: string[] = [];
  let world: World | undefined;
  before(async () => {
    server = createServer(
      {
        cert: appCertificate.chainPem,
        key: appCertificate.keyPem,
        ca: mesh.certificatePem,
        requestCert: true,
        rejectUnauthorized: true,
      },
      socket => {
        peers.push(socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '') ?? '');
        echoHeads(new Wire(socket));
      },
    );
    server.on('tlsClientError', () => undefined);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    await world?.stop();
    peers = [];
  });
  after(() => server.close());

  const ask = async (parts: WorldParts): Promise<{ status: number; body: string }> => {
    world = await startWorld(port, parts);
    const wire = openWire(world.port).send(GET);
    const answer = await wire.takeAnswer();
    wire.socket.destroy();
    return answer;
  };

  test('presents the mesh certificate and verifies the app by CA and name', async () => {
    assert.equal((await ask(trusted)).status, 200);
    assert.deepEqual(peers, [issued.sha256]);
  });

  const REFUSED: readonly (readonly [string, WorldParts, number, string])[] = [
    [
      'an app of another CA',
      {
        ...trusted,
        material: material({}, { 'shop/app-ca': { 'ca.crt': createAuthority({ name: 'x' }).certificatePem } }),
      },
      502,
      'AppCertificateInvalid',
    ],
    [
      'an app of another name',
      { ...trusted, app: { ...trusted.app, serverName: 'other.shop.svc' } },
      502,
      'AppCertificateInvalid',
    ],
    [
      'no name given and the address is not in the certificate',
      { ...trusted, app: { scheme: 'https', trust: { configMapKeyRef: { name: 'app-ca', key: 'ca.crt' } } } },
      502,
      'AppCertificateInvalid',
    ],
    ['no CA bundle', { ...trusted, material: material({}) }, 503, 'CredentialUnavailable'],
    [
      'an empty CA bundle, which would mean the public roots',
      { ...trusted, material: material({}, { 'shop/app-ca': { 'ca.crt': '' } }) },
      503,
      'CredentialUnavailable',
    ],
    ['no mesh certificate', { ...trusted, credentials: credentials(undefined) }, 503, 'CredentialUnavailable'],
    [
      'https with neither trust nor fingerprint',
      { ...trusted, app: { scheme: 'https' } },
      503,
      'CredentialUnavailable',
    ],
    [
      'another fingerprint',
      { ...trusted, app: { scheme: 'https', fingerprint: `sha256:${'ab'.repeat(32)}` } },
      502,
      'AppCertificateInvalid',
    ],
  ];
  for (const [sentence, parts, status, reason] of REFUSED) {
    test(`${sentence}: ${reason}, and the app gets no request`, async () => {
      const answer = await ask(parts);
      assert.equal(answer.status, status);
      assert.match(answer.body, new RegExp(reason));
    });
  }

  test('a pinned fingerprint is enough', async () => {
    const fingerprint = `sha256:${(appCertificate.sha256.match(/../g) ?? []).join(':')}`;
    assert.equal((await ask({ ...trusted, app: { scheme: 'https', fingerprint } })).status, 200);
  });

  test('a rotated credential makes new connections; the old one is not used again', async () => {
    world = await startWorld(port, trusted);
    const wire = openWire(world.port).send(GET);
    await wire.takeAnswer();
    const next = mesh.issue({ subject: 'sidecar' });
    const rotated = { certificate: next.chainPem, key: next.keyPem, sha256: next.sha256 };
    world.publish({ ...trusted, credentials: credentials(rotated) });
    assert.equal((await wire.send(GET).takeAnswer()).status, 200);
    assert.deepEqual(peers, [issued.sha256, next.sha256]);
    wire.socket.destroy();
  });

  test('an app that demands a certificate refuses a sidecar without one: nothing but 502 is told', async () => {
    const { status, body } = await ask({ ...trusted, pipeline: {} });
    assert.equal(status, 502);
    assert.doesNotMatch(body, /alert|certificate required|SSL/i);
  });
});
