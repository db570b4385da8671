import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { connect, createSecureContext, createServer, type TLSSocket } from 'node:tls';
import { createAuthority, type IssuedCertificate } from '../demo/pki.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createTrust, type TrustView } from './trust.ts';

const DAY = 24 * 60 * 60 * 1000;
const at = (days: number) => new Date(Date.now() + days * DAY);

const root = createAuthority({ name: 'root' });
const issuing = root.createIntermediate({ name: 'issuing' });
const server = root.issue({ subject: 'localhost', usages: ['serverAuth'], san: { dns: ['localhost'] } });

function createView(anchor: string, partialChain: boolean): TrustView {
  const data = new Map([['ca.crt', new TextEncoder().encode(anchor)]]);
  const trust = createTrust({ log: SILENT.log, metrics: SILENT.metrics, clock: Date.now });
  const spec = {
    anchors: [{ secretKeyRef: { name: 'ca', key: 'ca.crt' } }],
    partialChain,
    maxDepth: 5,
    validity: { notBefore: true, notAfter: true },
    sources: [{ tls: {} }],
  };
  const plan = { key: 't', namespace: 'ns', generation: 1, spec };
  return trust.prepare(new Map([['t', plan]]), { secret: () => data, configMap: () => undefined });
}

interface Verdicts {
  readonly openssl: string;
  readonly ours: string;
}

/** What OpenSSL says in a handshake with the view's own anchors, and what the view then says. */
async function shakeHands(view: TrustView, client: IssuedCertificate, by?: 'SNI'): Promise<Verdicts> {
  const ca = view.anchorsPem(['t']);
  assert.ok(ca);
  const context = {
    cert: server.certificatePem,
    key: server.keyPem,
    ca: [...ca],
    allowPartialTrustChain: view.allowsPartialChain(['t']),
  };
  const chosen = createSecureContext(context);
  const listener = createServer({
    ...context,
    requestCert: true,
    rejectUnauthorized: false,
    SNICallback: (_, callback) => callback(null, chosen),
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: by === undefined ? '' : 'localhost',
    checkServerIdentity: () => undefined,
    ca: root.certificatePem,
    cert: client.chainPem,
    key: client.keyPem,
  });
  const [accepted] = (await once(listener, 'secureConnection')) as [TLSSocket];
  const problem: unknown = accepted.authorizationError;
  const error = accepted.authorized ? {} : { handshakeError: String(problem) };
  const evidence = view.judge('t', { chain: client.chainDer, from: 'tls', memo: {}, ...error }, Date.now());
  socket.destroy();
  accepted.destroy();
  listener.close();
  return {
    openssl: accepted.authorized ? 'accepted' : String(problem),
    ours: 'reason' in evidence ? evidence.reason : evidence.state,
  };
}

describe('a handshake by OpenSSL, then our own verdict', () => {
  const view = createView(root.certificatePem, false);
  const unknown = { oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) };
  const narrow = root.createIntermediate({
    name: 'narrow',
    nameConstraints: { permitted: { dns: ['fleet.example'] } },
  });
  const cases: Record<string, [IssuedCertificate, Verdicts]> = {
    'a device': [issuing.issue({ subject: 'x' }), { openssl: 'accepted', ours: 'verified' }],
    'an RSA device': [issuing.issue({ subject: 'x', keyType: 'RSA' }), { openssl: 'accepted', ours: 'verified' }],
    'an Ed25519 device': [
      issuing.issue({ subject: 'x', keyType: 'Ed25519' }),
      { openssl: 'accepted', ours: 'verified' },
    ],
    'an expired device': [
      issuing.issue({ subject: 'x', notBefore: at(-2), notAfter: at(-1) }),
      { openssl: 'CERT_HAS_EXPIRED', ours: 'ClientCertificateExpired' },
    ],
    'a device of tomorrow': [
      issuing.issue({ subject: 'x', notBefore: at(1) }),
      { openssl: 'CERT_NOT_YET_VALID', ours: 'ClientCertificateNotYetValid' },
    ],
    'a server’s certificate': [
      issuing.issue({ subject: 'x', usages: ['serverAuth'] }),
      { openssl: 'INVALID_PURPOSE', ours: 'ClientCertificatePurpose' },
    ],
    'no purpose at all, which OpenSSL accepts and we do not': [
      issuing.issue({ subject: 'x', usages: [] }),
      { openssl: 'accepted', ours: 'ClientCertificatePurpose' },
    ],
    'an unknown critical extension': [
      issuing.issue({ subject: 'x', extensions: [unknown] }),
      { openssl: 'UNSPECIFIED', ours: 'ClientCertificateUntrusted' },
    ],
    'a name that the issuing CA may not give': [
      narrow.issue({ subject: 'x', san: { dns: ['evil.example'] } }),
      { openssl: 'UNSPECIFIED', ours: 'ClientCertificateUntrusted' },
    ],
  };
  for (const [what, [client, expected]] of Object.entries(cases)) {
    test(`${what}: OpenSSL ${expected.openssl}, together ${expected.ours}`, async () => {
      assert.deepEqual(await shakeHands(view, client), expected);
    });
  }

  test('an issuing CA as anchor: refused by both without partialChain, accepted by both with it', async () => {
    const client = issuing.issue({ subject: 'x' });
    const without = await shakeHands(createView(issuing.certificatePem, false), client, 'SNI');
    assert.deepEqual(without, { openssl: 'UNABLE_TO_GET_ISSUER_CERT', ours: 'ClientCertificateUntrusted' });
    const partial = await shakeHands(createView(issuing.certificatePem, true), client, 'SNI');
    assert.deepEqual(partial, { openssl: 'accepted', ours: 'verified' });
  });

  test('without SNI, where Node allows no partial chain, that one code is passed over', async () => {
    const partial = createView(issuing.certificatePem, true);
    assert.deepEqual(await shakeHands(partial, issuing.issue({ subject: 'x' })), {
      openssl: 'UNABLE_TO_GET_ISSUER_CERT',
      ours: 'verified',
    });
    const expired = issuing.issue({ subject: 'x', notBefore: at(-2), notAfter: at(-1) });
    assert.equal((await shakeHands(partial, expired)).ours, 'ClientCertificateExpired');
    const stranger = createAuthority({ name: 'issuing' }).issue({ subject: 'x' });
    assert.equal((await shakeHands(partial, stranger)).ours, 'ClientCertificateUntrusted');
  });
});
