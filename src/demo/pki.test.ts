import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type TLSSocket, connect, createServer } from 'node:tls';
import { type KeyType, createAuthority } from './pki.ts';

const KEY_TYPES: readonly KeyType[] = ['P-256', 'P-384', 'RSA', 'Ed25519'];

for (const keyType of KEY_TYPES) {
  test(`a root, an intermediate and a leaf with ${keyType} keys verify, each by the one above it`, () => {
    const root = createAuthority({ name: 'root', keyType });
    const intermediate = root.createIntermediate({ name: 'issuing', keyType, pathLength: 0 });
    const leaf = intermediate.issue({
      subject: { CN: 'robot-7', O: 'Fleet' },
      san: { uri: ['urn:device:robot-7'] },
      keyType,
    });
    const [rootX, middleX, leafX] = [root, intermediate, leaf].map(({ der }) => new X509Certificate(der));
    assert.ok(rootX && middleX && leafX);
    assert.ok(rootX.verify(rootX.publicKey) && middleX.verify(rootX.publicKey) && leafX.verify(middleX.publicKey));
    assert.ok(middleX.checkIssued(rootX) && leafX.checkIssued(middleX));
    assert.deepEqual([rootX.ca, middleX.ca, leafX.ca], [true, true, false]);
    assert.equal(leafX.subject, 'CN=robot-7\nO=Fleet');
    assert.equal(leafX.subjectAltName, 'URI:urn:device:robot-7');
    assert.equal(leafX.fingerprint.replaceAll(':', ''), leaf.sha1);
    assert.equal(leafX.serialNumber, leaf.serial);
    assert.ok(leafX.checkPrivateKey(leaf.privateKey));
  });
}

test('dates from 2050 on, addresses and doubled attribute types are written as X.509 tools read them', () => {
  const authority = createAuthority({ name: 'root' });
  const leaf = authority.issue({
    subject: [
      ['OU', 'a'],
      ['OU', 'b'],
      ['CN', 'x'],
    ],
    san: { ip: ['127.0.0.1', '2001:db8::7'], dns: ['a.example'], email: ['a@b.example'] },
    notBefore: new Date('1999-12-31T23:59:59Z'),
    notAfter: new Date('2050-01-01T00:00:00Z'),
    usages: ['serverAuth', 'clientAuth'],
  });
  const read = new X509Certificate(leaf.der);
  assert.equal(read.subject, 'OU=a\nOU=b\nCN=x');
  assert.equal(
    read.subjectAltName,
    'email:a@b.example, DNS:a.example, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:7',
  );
  assert.deepEqual(
    [read.validFromDate.toISOString(), read.validToDate.toISOString()],
    ['1999-12-31T23:59:59.000Z', '2050-01-01T00:00:00.000Z'],
  );
  assert.deepEqual(read.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
});

test('OpenSSL accepts the chain in a handshake, and refuses a certificate that the authority’s list names', async () => {
  const root = createAuthority({ name: 'devices' });
  const server = root.issue({ subject: 'localhost', san: { dns: ['localhost'] }, usages: ['serverAuth'] });
  const good = root.issue({ subject: 'robot-7' });
  const bad = root.issue({ subject: 'robot-9' });
  root.revoke(bad);
  assert.equal(await handshake(good), 'accepted');
  assert.equal(await handshake(bad), 'CERT_REVOKED');

  async function handshake(client: { certificatePem: string; keyPem: string }): Promise<string> {
    const listener = createServer({
      cert: server.certificatePem,
      key: server.keyPem,
      ca: root.certificatePem,
      crl: root.crlPem(),
      requestCert: true,
      rejectUnauthorized: false,
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    const socket = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: root.certificatePem,
      cert: client.certificatePem,
      key: client.keyPem,
    });
    const [peer] = await accepted;
    const error = peer.authorizationError as unknown;
    const verdict = peer.authorized ? 'accepted' : String(error instanceof Error ? error.message : error);
    socket.destroy();
    peer.destroy();
    listener.close();
    return verdict;
  }
});
