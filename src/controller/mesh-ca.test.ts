import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { encodePem, parsePem } from '../x509/pem.ts';
import { writeCertificateRequest, writeName } from '../x509/write.ts';
import {
  bundleOf,
  createMeshCa,
  nextRotation,
  readGivenCa,
  readMeshCa,
  rotateMeshCa,
  writeMeshCa,
  type MeshCa,
} from './mesh-ca.ts';
import { issueMeshCertificate } from './mesh-certificate.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 10, 23);
const timings = { lifetimeMs: 300 * HOUR, overlapMs: 10 * HOUR };
const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
const at = (hours: number) => ({ now: START + hours * HOUR, random, timings });

function makeRequest(namedCurve = 'P-256'): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const signer = {
    algorithm: 'ecdsa-sha256' as const,
    sign: (bytes: Uint8Array) => new Uint8Array(sign('sha256', bytes, privateKey)),
  };
  return encodePem('CERTIFICATE REQUEST', writeCertificateRequest(writeName({ commonName: 'admin' }), spki, signer));
}

function issue(ca: MeshCa, csr = makeRequest(), hours = 1, lifetimeMs = 72 * HOUR) {
  const about = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'fleet' };
  return issueMeshCertificate(csr, { ca, ...about, lifetimeMs, now: START + hours * HOUR, random });
}

const countCertificates = (pem: string): number => parsePem(pem, 65_536).length;

describe('a mesh certificate', () => {
  const ca = createMeshCa(at(0));

  test('carries the identity of the pod’s service account, whatever the request asks for, and is for clients only', () => {
    const issued = issue(ca);
    assert.ok('certificate' in issued);
    const leaf = new X509Certificate(issued.certificate);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/fleet');
    assert.equal(issued.spiffeId, 'spiffe://cluster.local/ns/shop/sa/fleet');
    assert.equal(leaf.subject, undefined);
    assert.equal(leaf.ca, false);
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.ok(leaf.verify(new X509Certificate(issued.ca).publicKey));
    assert.ok(leaf.checkIssued(new X509Certificate(issued.ca)));
  });

  test('begins five minutes ago and lasts as long as it was asked to, and no longer than its authority', () => {
    const issued = issue(ca);
    assert.ok('certificate' in issued);
    const { validFromDate, validToDate } = new X509Certificate(issued.certificate);
    assert.equal(validFromDate.getTime(), START + HOUR - 300_000);
    assert.equal(validToDate.getTime(), START + 73 * HOUR);
    assert.equal(issued.notAfter, START + 73 * HOUR);
    const late = issue(ca, makeRequest(), 290);
    assert.ok('certificate' in late);
    assert.equal(late.notAfter, START + 300 * HOUR);
  });

  test('has a serial number of its own each time', () => {
    const serials = [issue(ca), issue(ca)].map(issued =>
      'certificate' in issued ? new X509Certificate(issued.certificate).serialNumber : '',
    );
    assert.notEqual(serials[0], serials[1]);
  });

  const refused: Readonly<Record<string, readonly [csr: string, problem: RegExp]>> = {
    'no PEM': ['hello', /not one CERTIFICATE REQUEST/],
    'a certificate instead': [ca.signing.certificate, /not one CERTIFICATE REQUEST/],
    'two requests': [makeRequest() + makeRequest(), /not one CERTIFICATE REQUEST/],
    'bytes that are no request': [encodePem('CERTIFICATE REQUEST', Uint8Array.of(0x30, 0)), /cannot be read/],
    'another key than that which signed': [swapKey(), /not signed by its own key/],
  };
  for (const [name, [csr, problem]] of Object.entries(refused)) {
    test(`is refused for ${name}`, () => {
      const issued = issue(ca, csr);
      assert.ok('problem' in issued);
      assert.match(issued.problem, problem);
    });
  }
});

/** The request of one key with the key of another in it. */
function swapKey(): string {
  const own = parsePem(makeRequest(), 65_536)[0]?.der ?? new Uint8Array();
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-64);
  const at = Buffer.from(own).indexOf(Buffer.from('034200', 'hex')) + 4;
  const swapped = Uint8Array.from(own);
  swapped.set(point, at);
  return encodePem('CERTIFICATE REQUEST', swapped);
}

describe('the mesh CA', () => {
  test('is written to a Secret and read back', () => {
    const ca = createMeshCa(at(0));
    assert.deepEqual(readMeshCa(writeMeshCa(ca)), ca);
    const rotating = rotateMeshCa(ca, at(190));
    assert.ok(rotating?.next);
    assert.deepEqual(readMeshCa(writeMeshCa(rotating)), rotating);
  });

  test('rotates with overlap: the next one is published before it signs, the last one trusted until it ends', () => {
    const first = createMeshCa(at(0));
    assert.equal(rotateMeshCa(first, at(189)), undefined);
    assert.equal(nextRotation(first, timings), START + 190 * HOUR);
    const published = rotateMeshCa(first, at(190));
    assert.ok(published?.next);
    assert.equal(published.signing, first.signing);
    assert.equal(countCertificates(bundleOf(published)), 2);
    assert.equal(rotateMeshCa(published, at(199)), undefined);
    assert.equal(nextRotation(published, timings), START + 200 * HOUR);
    const promoted = rotateMeshCa(published, at(200));
    assert.ok(promoted);
    assert.equal(promoted.signing, published.next);
    assert.equal(promoted.next, undefined);
    assert.equal(countCertificates(bundleOf(promoted)), 2, 'certificates of the first are still in use');
    assert.equal(rotateMeshCa(promoted, at(299)), undefined);
    const cleaned = rotateMeshCa(promoted, at(301));
    assert.ok(cleaned);
    assert.equal(countCertificates(bundleOf(cleaned)), 1);
  });

  test('whose rotation was missed publishes first all the same, and signs with the next one only after the overlap', () => {
    const first = createMeshCa(at(0));
    const published = rotateMeshCa(first, at(280));
    assert.equal(published?.signing, first.signing);
    assert.equal(rotateMeshCa(published, at(285)), undefined);
    assert.notEqual(rotateMeshCa(published, at(290))?.signing, first.signing);
  });

  test('that ended without a successor gets one that signs at once', () => {
    const published = rotateMeshCa(createMeshCa(at(0)), at(400));
    assert.ok(published?.next);
    assert.equal(rotateMeshCa(published, at(400))?.signing, published.next);
  });

  test('certificates of either CA verify by the bundle all through a rotation', () => {
    let ca = createMeshCa(at(0));
    for (let hour = 0; hour < 600; hour += 5) {
      const issued = issue(ca, makeRequest(), hour);
      ca = rotateMeshCa(ca, at(hour)) ?? ca;
      assert.ok('certificate' in issued);
      const leaf = new X509Certificate(issued.certificate);
      const trusted = parsePem(bundleOf(ca), 65_536).map(({ der }) => new X509Certificate(der));
      assert.ok(trusted.some(authority => leaf.checkIssued(authority) && leaf.verify(authority.publicKey)));
    }
  });

  const wrong: Readonly<Record<string, readonly [data: Record<string, string>, problem: RegExp]>> = {
    'it is empty': [{}, /no ca\.crt and ca\.key/],
    'the key is missing': [{ 'ca.crt': createMeshCa(at(0)).signing.certificate }, /private key cannot be read/],
    'the key is another’s': [
      { 'ca.crt': createMeshCa(at(0)).signing.certificate, 'ca.key': createMeshCa(at(0)).signing.key },
      /does not belong/,
    ],
  };
  for (const [name, [data, problem]] of Object.entries(wrong)) {
    test(`is not read when ${name}, and the problem holds nothing of a key`, () => {
      assert.throws(
        () => readMeshCa(data),
        (error: Error) => problem.test(error.message) && !error.message.includes('PRIVATE'),
      );
    });
  }
});

describe('an intermediate of the user’s', () => {
  const root = createAuthority({
    name: 'root',
    notBefore: new Date(START - HOUR),
    notAfter: new Date(START + 900 * HOUR),
  });
  const intermediate = root.createIntermediate({
    name: 'mesh',
    notBefore: new Date(START - HOUR),
    notAfter: new Date(START + 900 * HOUR),
  });

  test('signs, and comes with the leaf, while apps trust the root alone', () => {
    const ca = readGivenCa({
      'tls.crt': intermediate.certificatePem,
      'tls.key': intermediate.keyPem,
      'ca.crt': root.certificatePem,
    });
    const issued = issue(ca);
    assert.ok('certificate' in issued);
    assert.equal(issued.ca, root.certificatePem);
    const [leaf, above] = parsePem(issued.certificate, 65_536).map(({ der }) => new X509Certificate(der));
    assert.ok(leaf?.checkIssued(new X509Certificate(intermediate.certificatePem)));
    assert.ok(above?.checkIssued(new X509Certificate(root.certificatePem)));
  });

  test('without ca.crt the last certificate of the chain is trusted', () => {
    const chain = intermediate.certificatePem + root.certificatePem;
    const ca = readGivenCa({ 'tls.crt': chain, 'tls.key': intermediate.keyPem });
    assert.equal(countCertificates(bundleOf(ca)), 1);
    assert.equal(new X509Certificate(bundleOf(ca)).subject, 'CN=root');
  });

  test('that is no authority is refused', () => {
    const leaf = root.issue({ subject: 'leaf' });
    assert.throws(() => readGivenCa({ 'tls.crt': leaf.certificatePem, 'tls.key': leaf.keyPem }), /no authority’s/);
  });
});
