import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign, verify, X509Certificate, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { parseCertificate } from './certificate.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { Asn1Error } from './der.ts';
import { encodePem } from './pem.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
  subjectKeyIdentifier,
  writeCertificate,
  writeCertificateRequest,
  writeName,
  type Signer,
} from './write.ts';

const HOUR = 3_600_000;
const now = Date.UTC(2026, 10, 23, 12, 0, 0);
const spkiOf = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ type: 'spki', format: 'der' }));
const keyId = (spki: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(spki).digest().subarray(0, 20));

const SIGNERS: Readonly<Record<Signer['algorithm'], () => { publicKey: KeyObject; signer: Signer }>> = {
  'ecdsa-sha256': () => make(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ecdsa-sha256', 'sha256'),
  'ecdsa-sha384': () => make(generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'ecdsa-sha384', 'sha384'),
  'rsa-sha256': () => make(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'rsa-sha256', 'sha256'),
  ed25519: () => make(generateKeyPairSync('ed25519'), 'ed25519', null),
};
function make(
  { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
  algorithm: Signer['algorithm'],
  hash: string | null,
) {
  return {
    publicKey,
    signer: { algorithm, sign: (bytes: Uint8Array) => new Uint8Array(sign(hash, bytes, privateKey)) },
  };
}

function makeAuthority(algorithm: Signer['algorithm'] = 'ecdsa-sha256') {
  const { publicKey, signer } = SIGNERS[algorithm]();
  const subject = writeName({ organization: 'sallyport.dev', commonName: 'mesh' });
  const spki = spkiOf(publicKey);
  const der = writeCertificate(
    {
      serial: Uint8Array.of(0x00, 0x80, 1),
      issuer: subject,
      subject,
      notBefore: now,
      notAfter: now + HOUR,
      publicKey: spki,
      extensions: [
        basicConstraints({ pathLength: 0 }),
        keyUsage('keyCertSign', 'cRLSign'),
        subjectKeyIdentifier(keyId(spki)),
      ],
    },
    signer,
  );
  return { der, publicKey, signer, subject, spki };
}

describe('a certificate that is written', () => {
  for (const algorithm of Object.keys(SIGNERS) as Signer['algorithm'][]) {
    test(`is read by OpenSSL and by our strict reader: ${algorithm}`, () => {
      const { der, publicKey } = makeAuthority(algorithm);
      const node = new X509Certificate(der);
      assert.ok(node.verify(publicKey));
      assert.ok(node.ca);
      assert.equal(node.subject, 'O=sallyport.dev\nCN=mesh');
      const own = parseCertificate(der);
      assert.deepEqual(own.extensions.basicConstraints, { ca: true, pathLength: 0 });
      assert.deepEqual([own.notBefore, own.notAfter], [now, now + HOUR]);
    });
  }

  test('of a leaf holds the names and purposes that were asked for, no others', () => {
    const authority = makeAuthority();
    const { publicKey } = SIGNERS['ecdsa-sha256']();
    const uri = 'spiffe://cluster.local/ns/shop/sa/fleet';
    const der = writeCertificate(
      {
        serial: Uint8Array.of(1, 2, 3),
        issuer: authority.subject,
        subject: writeName({}),
        notBefore: now,
        notAfter: Date.UTC(2051, 0, 1),
        publicKey: spkiOf(publicKey),
        extensions: [
          basicConstraints(),
          keyUsage('digitalSignature'),
          extendedKeyUsage('clientAuth'),
          subjectAlternativeName({ uri: [uri], dns: ['a.example'], ip: [Uint8Array.of(10, 0, 0, 1)] }, true),
          authorityKeyIdentifier(keyId(authority.spki)),
        ],
      },
      authority.signer,
    );
    const node = new X509Certificate(der);
    assert.ok(node.checkIssued(new X509Certificate(authority.der)));
    assert.ok(node.verify(authority.publicKey));
    assert.equal(node.ca, false);
    assert.equal(node.subjectAltName, `DNS:a.example, URI:${uri}, IP Address:10.0.0.1`);
    assert.deepEqual(node.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.equal(node.serialNumber, '010203');
    assert.equal(parseCertificate(der).notAfter, Date.UTC(2051, 0, 1));
  });
});

describe('a certificate request', () => {
  for (const algorithm of Object.keys(SIGNERS) as Signer['algorithm'][]) {
    test(`gives back the key that signed it: ${algorithm}`, () => {
      const { publicKey, signer } = SIGNERS[algorithm]();
      const request = parseCertificateRequest(
        writeCertificateRequest(writeName({ commonName: 'x' }), spkiOf(publicKey), signer),
      );
      assert.deepEqual(request.spki, spkiOf(publicKey));
      const hash = 'hash' in request.algorithm ? request.algorithm.hash : null;
      assert.ok(verify(hash, request.info, publicKey, request.signature));
    });
  }

  test('of another shape is refused', () => {
    const { der } = makeAuthority();
    for (const wrong of [der, new Uint8Array(), Uint8Array.of(0x30, 0), new Uint8Array(20_000)]) {
      assert.throws(() => parseCertificateRequest(wrong), Asn1Error);
    }
  });
});

test('PEM that is written is read by OpenSSL', () => {
  assert.equal(new X509Certificate(encodePem('CERTIFICATE', makeAuthority().der)).ca, true);
});
