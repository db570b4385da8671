import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CertificateIdentity } from '../api/kinds/steps.ts';
import { equalNames } from './distinguished-name.ts';
import { certificate, facts, judgeNow, route, SHA1, step, summary, verifiedCertificate } from './testing/fakes.ts';
import { matchesIdentity } from './identity.ts';

const NAMES = {
  uri: ['urn:device:robot-7', 'spiffe://fleet/robot-7'],
  dns: ['Robot-7.fleet.example.com'],
  email: ['Robot@Fleet.Example.com'],
  ip: ['2001:db8::7', '10.0.0.7'],
};
const device = facts({ subjectAltName: NAMES, issuerThumbprints: ['CD'.repeat(20), 'EF'.repeat(32)] });
const san = (names: NonNullable<CertificateIdentity['subjectAltName']>): CertificateIdentity => ({
  subjectAltName: names,
});

const matching: Record<string, CertificateIdentity> = {
  'thumbprint, SHA-1, lower case with colons': { thumbprint: SHA1.toLowerCase().replace(/..(?=.)/g, '$&:') },
  'thumbprint, SHA-256, with spaces': { thumbprint: 'AB '.repeat(32) },
  'a pin': { publicKeyPin: `${'A'.repeat(43)}=` },
  'a pin with its algorithm': { publicKeyPin: `sha256/${'A'.repeat(43)}=` },
  'a serial number with leading zeros, colons and lower case': { serialNumber: '00:1f:2e' },
  'a common name': { commonName: 'robot-7' },
  'a subject, spaced and quoted': { subject: 'cn=robot-7, O="Contoso, Inc."' },
  'an issuer': { issuerSubject: 'CN=Device CA' },
  'an issuer’s thumbprint': { issuerThumbprint: 'cd'.repeat(20) },
  'URI exact': san({ uri: { exact: 'spiffe://fleet/robot-7' } }),
  'URI prefix': san({ uri: { prefix: 'urn:device:' } }),
  'DNS exact in any case': san({ dns: { exact: 'robot-7.FLEET.example.com' } }),
  'DNS suffix with its dot': san({ dns: { suffix: '.fleet.example.com' } }),
  'DNS suffix at a label': san({ dns: { suffix: 'fleet.example.com' } }),
  'e-mail with the domain in any case': san({ email: { exact: 'Robot@fleet.example.COM' } }),
  'e-mail suffix': san({ email: { suffix: '@fleet.example.com' } }),
  'e-mail suffix without @': san({ email: { suffix: 'example.com' } }),
  'an IPv6 address in another spelling': san({ ip: { exact: '2001:0DB8:0:0::0007' } }),
  'an IPv4 address': san({ ip: { exact: '10.0.0.7' } }),
  'an address by prefix': san({ ip: { prefix: '10.0.' } }),
  'all fields of an entry': {
    commonName: 'robot-7',
    serialNumber: '1F2E',
    subjectAltName: { uri: { prefix: 'urn:' }, dns: { suffix: 'com' } },
  },
};
const other: Record<string, CertificateIdentity> = {
  'another thumbprint': { thumbprint: '0'.repeat(40) },
  'a part of the thumbprint': { thumbprint: SHA1.slice(0, 38) },
  'an empty thumbprint': { thumbprint: ': ' },
  'another serial number': { serialNumber: '1F2E00' },
  'a common name in another case': { commonName: 'Robot-7' },
  'another order of the subject': { subject: 'O=Contoso\\, Inc.,CN=robot-7' },
  'a part of the subject': { subject: 'CN=robot-7' },
  'a URI in another case': san({ uri: { exact: 'URN:device:robot-7' } }),
  'a DNS suffix within a label': san({ dns: { suffix: 'eet.example.com' } }),
  'an e-mail suffix within a label': san({ email: { suffix: 'xample.com' } }),
  'an e-mail whose local part differs in case': san({ email: { exact: 'robot@fleet.example.com' } }),
  'another address': san({ ip: { exact: '10.0.0.70' } }),
  'a text that is no address': san({ ip: { exact: '10.0.0.007' } }),
  'one field of an entry that does not hold': { commonName: 'robot-7', serialNumber: 'FF' },
  'one sort of names that does not hold': san({ uri: { prefix: 'urn:' }, dns: { exact: 'x' } }),
};

suite('P2: identities', () => {
  for (const [name, identity] of Object.entries(matching)) {
    test(`${name} matches`, () => assert.equal(matchesIdentity(device, identity), true));
  }
  for (const [name, identity] of Object.entries(other)) {
    test(`${name} does not match`, () => assert.equal(matchesIdentity(device, identity), false));
  }
  test('an attribute that occurs twice is absent from the subject, so no common name matches', () =>
    assert.equal(matchesIdentity(facts({ subject: {} }), { commonName: 'robot-7' }), false));
  test('a common name is never read from Object.prototype', () =>
    assert.equal(matchesIdentity(facts({ subject: {} }), { commonName: '[object Object]' }), false));
  test('an issuer that is not known has no thumbprint', () =>
    assert.equal(matchesIdentity(facts(), { issuerThumbprint: 'cd'.repeat(20) }), false));

  const outcome = (identities: readonly CertificateIdentity[] | undefined) => {
    const at = route([
      step({
        type: 'clientCertificate',
        clientCertificate: certificate(identities === undefined ? {} : { identities }),
      }),
    ]);
    return summary(judgeNow(at, { source: { certificate: () => verifiedCertificate() } }));
  };
  test('any one entry will do', () =>
    assert.equal(outcome([{ commonName: 'x' }, { commonName: 'robot-7' }]), 'Permit'));
  test('none of them: trusted, but not the one', () =>
    assert.equal(outcome([{ commonName: 'x' }]), 'ClientCertificateIdentityNotAllowed policy/clientcertificate'));
  test('no entries: any certificate of that trust', () => assert.equal(outcome(undefined), 'Permit'));
});

suite('distinguished names', () => {
  const table: [string, string, boolean][] = [
    ['CN=a,O=b', 'CN=a, O=b', true],
    ['CN=a,O=b', 'cn = a;o=b', true],
    ['CN=a\\,b', 'CN="a,b"', true],
    ['CN=\\C3\\A9', 'CN=é', true],
    ['CN=a\\\\2Cb', 'CN=a\\,b', false],
    ['CN=a+OU=b', 'OU=b+CN=a', true],
    ['CN=a,O=b', 'CN=a,O=B', false],
    ['CN=a,CN=b', 'CN=b,CN=a', false],
    ['CN=a\\,O=b', 'CN=a,O=b', false],
    ['CN=a', 'CN=a,', false],
  ];
  for (const [a, b, equal] of table) {
    test(`${a} ${equal ? '=' : '≠'} ${b}`, () =>
      assert.deepEqual([equalNames(a, b), equalNames(b, a)], [equal, equal]));
  }
});
