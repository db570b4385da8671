import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { createAuthority, type LeafOptions } from '../demo/pki.ts';
import { hashing } from '../trust/hashing.ts';
import { parseCertificate } from './certificate.ts';
import { describeCertificate, type CertificateFacts } from './facts.ts';
import { formatName } from './name.ts';

const root = createAuthority({ name: { CN: 'root', O: 'Fleet, Inc.' } });
const describeLeaf = (options: LeafOptions): CertificateFacts =>
  describeCertificate(parseCertificate(root.issue(options).der), hashing, parseCertificate(root.der));

describe('describeCertificate', () => {
  test('gives the thumbprints, the pin and the serial number that OpenSSL gives', () => {
    const leaf = root.issue({ subject: 'robot-7', serial: Uint8Array.of(0x0a, 0xbc) });
    const facts = describeCertificate(parseCertificate(leaf.der), hashing);
    const spki = new X509Certificate(leaf.der).publicKey.export({ type: 'spki', format: 'der' });
    assert.equal(facts.sha1, leaf.sha1);
    assert.equal(facts.sha256, leaf.sha256);
    assert.equal(facts.publicKeyPin, createHash('sha256').update(spki).digest('base64'));
    assert.equal(facts.serialNumber, 'ABC');
    assert.equal(facts.issuerThumbprints, undefined);
  });

  test('names the certificate of the issuer by both thumbprints', () => {
    assert.deepEqual(describeLeaf({ subject: 'x' }).issuerThumbprints, [root.sha1, root.sha256]);
  });

  test('an attribute type that occurs twice is absent, and no name reaches a prototype (P2)', () => {
    const { subject } = describeLeaf({
      subject: [
        ['OU', 'a'],
        ['OU', 'b'],
        ['CN', 'robot-7'],
      ],
    });
    assert.deepEqual({ ...subject }, { CN: 'robot-7' });
    assert.equal(Object.getPrototypeOf(subject), null);
  });

  test('alternative names are listed by kind, addresses as people write them', () => {
    const { subjectAltName } = describeLeaf({
      subject: 'x',
      san: {
        dns: ['robot-7.example'],
        uri: ['spiffe://a/b'],
        email: ['a@b.example'],
        ip: ['192.0.2.7', '2001:db8::7', '::', '1:0:0:2:0:0:0:3'],
      },
    });
    assert.deepEqual(subjectAltName, {
      dns: ['robot-7.example'],
      uri: ['spiffe://a/b'],
      email: ['a@b.example'],
      ip: ['192.0.2.7', '2001:db8::7', '::', '1:0:0:2::3'],
    });
  });

  test('a device that has nothing but a common name has empty lists of alternative names', () => {
    const { subjectAltName, subjectText, issuerText } = describeLeaf({ subject: 'robot-7' });
    assert.deepEqual(subjectAltName, { uri: [], dns: [], email: [], ip: [] });
    assert.equal(subjectText, 'CN=robot-7');
    assert.equal(issuerText, 'O=Fleet\\, Inc.,CN=root');
  });
});

describe('formatName (RFC 4514)', () => {
  const text = (value: string) => formatName(parseCertificate(root.issue({ subject: { CN: value } }).der).subject);
  const cases: Record<string, [string, string]> = {
    'special characters are escaped': ['a,b+c"d\\e<f>g;h', 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'],
    'a leading # is escaped': ['#a#', 'CN=\\#a#'],
    'spaces at both ends are escaped, those within are not': [' a b ', 'CN=\\ a b\\ '],
    'a single space is escaped once': [' ', 'CN=\\ '],
    'other letters stay as they are': ['Müller', 'CN=Müller'],
  };
  for (const [what, [value, expected]] of Object.entries(cases)) {
    test(what, () => assert.equal(text(value), expected));
  }
});
