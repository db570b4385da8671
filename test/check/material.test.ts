/** What is wrong with what Secrets and ConfigMaps hold. No line quotes any of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAuthority, createKeyPair } from '../../src/demo/pki.ts';
import { BASE, checkFiles, NOW } from './check-manifests.ts';

const DAY = 86_400_000;
const validity = { notBefore: new Date(NOW - 30 * DAY), notAfter: new Date(NOW + 30 * DAY) };
const authority = createAuthority({ name: 'device-ca', ...validity });
const other = createAuthority({ name: 'other-ca', ...validity });
const ended = createAuthority({ name: 'old-ca', notBefore: new Date(NOW - 9 * DAY), notAfter: new Date(NOW - DAY) });
const intermediate = authority.createIntermediate({ name: 'issuing-ca', ...validity });
const server = authority.issue({
  subject: 'fleet',
  san: { dns: ['fleet.example.com'] },
  usages: ['serverAuth'],
  ...validity,
});
const stranger = other.issue({ subject: 'stranger', ...validity });
const late = authority.issue({ subject: 'late', notBefore: new Date(NOW + DAY), notAfter: new Date(NOW + 2 * DAY) });
const rsa = createKeyPair('RSA');
const pemOf = (
  key: { export(options: { format: 'pem'; type: 'spki' | 'pkcs8' }): string | Buffer },
  type: 'spki' | 'pkcs8',
) => key.export({ format: 'pem', type }).toString();

type Data = Readonly<Record<string, string>>;

const configMap = (name: string, data: Data): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop' }, data });
const secret = (name: string, data: Data): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'shop' }, stringData: data });

const object = (kind: string, spec: string): string =>
  `apiVersion: sallyport.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: x, namespace: shop}\nspec:\n  ${spec}\n`;

const TRUST = object('ClientTrust', 'anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}]');
const trustWithList = `${TRUST}  revocation: {crls: [{configMapKeyRef: {name: ca, key: crl.pem}}]}\n`;
const TLS = object('Api', 'podSelector: {matchLabels: {app: x}}\n  port: 8443\n  tls: {certificate: {secretName: s}}');
const MESH = object('BackendCredential', 'meshCertificate: {secretName: s}');
const ISSUER = object('TokenIssuer', 'issuer: x\n  keys: [{secretKeyRef: {name: s, key: k}}]');
const symmetricIssuer = `${ISSUER}  algorithms: [HS256]\n`;
const DECRYPTING = object(
  'TokenIssuer',
  'discovery: {url: "https://a.example/"}\n  decryptionKeys: [{secretKeyRef: {name: s, key: k}}]',
);
const SERVICE = object(
  'DeviceAuthService',
  'url: https://a.example/\n  tls: {trust: {configMapKeyRef: {name: ca, key: ca.crt}}}',
);
const REVOKING = object(
  'DeviceAuthService',
  'url: https://a.example/\n  revoke: {configMapKeyRef: {name: ca, key: list}}',
);

const anchors = (text: string): string => configMap('ca', { 'ca.crt': text });
const pair = (certificate: string, key: string): string => secret('s', { 'tls.crt': certificate, 'tls.key': key });
const key = (text: string): string => secret('s', { k: text });

const good: Readonly<Record<string, readonly [subject: string, material: string]>> = {
  'a trust with a root': [TRUST, anchors(authority.certificatePem)],
  'a trust with a list': [
    trustWithList,
    configMap('ca', {
      'ca.crt': `comment\n${authority.certificatePem}${other.certificatePem}`,
      'crl.pem': authority.crlPem({ thisUpdate: new Date(NOW - DAY), nextUpdate: new Date(NOW + DAY) }),
    }),
  ],
  'a server certificate': [TLS, pair(server.chainPem, server.keyPem)],
  'a mesh certificate': [MESH, pair(server.certificatePem, server.keyPem)],
  'a public key': [ISSUER, key(pemOf(rsa.publicKey, 'spki'))],
  'a certificate as key': [ISSUER, key(server.certificatePem)],
  'a JWK': [ISSUER, key(JSON.stringify(rsa.publicKey.export({ format: 'jwk' })))],
  'a symmetric key': [symmetricIssuer, key('x'.repeat(32))],
  'a decryption key': [DECRYPTING, key(pemOf(rsa.privateKey, 'pkcs8'))],
  'a revocation list of devices': [
    REVOKING,
    configMap('ca', { list: `# stolen\n${server.sha1}\n\n${server.sha256}\n` }),
  ],
};

const bad: Readonly<Record<string, readonly [subject: string, material: string, ...lines: string[]]>> = {
  'a bundle that is empty': [
    TRUST,
    anchors(''),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds no certificate, put CA certificates in PEM there',
  ],
  'a bundle that is no PEM': [
    TRUST,
    anchors('hunter2'),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds no certificate, put CA certificates in PEM there',
  ],
  'a bundle with a broken certificate': [
    TRUST,
    anchors(authority.certificatePem.replace('MII', 'AII')),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds a certificate that cannot be read (tag out of range), put CA certificates in PEM there',
  ],
  'a bundle that was cut off': [
    TRUST,
    anchors(authority.certificatePem.slice(0, 200)),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds a certificate that cannot be read (PEM block does not end), put CA certificates in PEM there',
  ],
  'a bundle of a key': [
    TRUST,
    anchors(authority.keyPem),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds no certificate, put CA certificates in PEM there',
  ],
  'a bundle that has ended': [
    TRUST,
    anchors(ended.certificatePem),
    'file.yaml:5:spec.anchors[0].configMapKeyRef: warning: "ca.crt" of the ConfigMap "ca" holds a certificate that ended on 2026-05-31, renew it',
  ],
  'a bundle of a device’s certificate': [
    TRUST,
    anchors(stranger.certificatePem),
    'file.yaml:5:spec.anchors: warning: no anchor is a root, and an issuing CA counts only with partialChain, add the root, or write partialChain: true',
    'file.yaml:5:spec.anchors[0].configMapKeyRef: warning: "ca.crt" of the ConfigMap "ca" holds a certificate that is no authority’s, put CA certificates there',
  ],
  'an issuing CA as anchor': [
    TRUST,
    anchors(intermediate.certificatePem),
    'file.yaml:5:spec.anchors: warning: no anchor is a root, and an issuing CA counts only with partialChain, add the root, or write partialChain: true',
  ],
  'a revocation list that is none': [
    trustWithList,
    configMap('ca', { 'ca.crt': authority.certificatePem, 'crl.pem': authority.certificatePem }),
    'file.yaml:6:spec.revocation.crls[0].configMapKeyRef: "crl.pem" of the ConfigMap "ca" holds no revocation list that can be read (no revocation list), put X509 CRL blocks in PEM, or one list in DER, there',
  ],
  'a revocation list that is out of date': [
    trustWithList,
    configMap('ca', {
      'ca.crt': authority.certificatePem,
      'crl.pem': authority.crlPem({ thisUpdate: new Date(NOW - 9 * DAY), nextUpdate: new Date(NOW - DAY) }),
    }),
    'file.yaml:6:spec.revocation.crls[0].configMapKeyRef: warning: "crl.pem" of the ConfigMap "ca" holds a revocation list that was to be renewed by 2026-05-31, put the newest one there',
  ],
  'a server certificate with another’s key': [
    TLS,
    pair(server.certificatePem, stranger.keyPem),
    'file.yaml:7:spec.tls.certificate.secretName: the Secret "s" has a private key that does not belong to its certificate, put the key of that certificate there',
  ],
  'a server certificate that cannot be read': [
    TLS,
    pair('hunter2', server.keyPem),
    'file.yaml:7:spec.tls.certificate.secretName: the Secret "s" has no certificate in "tls.crt" that can be read, put a certificate chain in PEM there',
  ],
  'a server key that cannot be read': [
    TLS,
    pair(server.certificatePem, 'hunter2'),
    'file.yaml:7:spec.tls.certificate.secretName: the Secret "s" has no private key in "tls.key" that can be read, put an unencrypted private key in PEM there',
  ],
  'a server certificate without key': [
    TLS,
    secret('s', { 'tls.crt': server.certificatePem }),
    'file.yaml:7:spec.tls.certificate.secretName: warning: names the Secret "s", which does not exist or has no tls.key, create it (type kubernetes.io/tls); until then what needs it fails',
  ],
  'a server certificate for another host': [
    `${TLS}  hosts: [other.example.com]\n`,
    pair(server.certificatePem, server.keyPem),
    'file.yaml:7:spec.tls.certificate.secretName: warning: the certificate of the Secret "s" does not hold the host other.example.com, name one that does, or clients will refuse it',
  ],
  'a mesh certificate that is not valid yet': [
    MESH,
    pair(late.certificatePem, late.keyPem),
    'file.yaml:5:spec.meshCertificate.secretName: warning: the certificate of the Secret "s" begins only on 2026-06-02, look at the clock',
  ],
  'an issuer’s key that is none': [
    ISSUER,
    key('hunter2'),
    'file.yaml:6:spec.keys[0].secretKeyRef: "k" of the Secret "s" holds no key that can be read, put a JWK, or a public key or certificate in PEM, there; for a shared secret write algorithms: [HS256]',
  ],
  'an issuer’s private key': [
    ISSUER,
    key(pemOf(rsa.privateKey, 'pkcs8')),
    'file.yaml:6:spec.keys[0].secretKeyRef: "k" of the Secret "s" holds a private key, and whoever can read it can sign, put the public key there, and make a new pair',
  ],
  'an issuer’s key that is too short': [
    symmetricIssuer,
    key('hunter2'),
    'file.yaml:6:spec.keys[0].secretKeyRef: "k" of the Secret "s" holds a key that is too short, use RSA from 2048 bits, or for HS* as many bytes as the hash has',
  ],
  'a decryption key that is public': [
    DECRYPTING,
    key(pemOf(rsa.publicKey, 'spki')),
    'file.yaml:6:spec.decryptionKeys[0].secretKeyRef: "k" of the Secret "s" holds no key that can decrypt, put a private key (PEM or JWK; RSA from 2048 bits, P-256 to P-521, X25519) or a symmetric JWK there',
  ],
  'trust in a server that is no certificate': [
    SERVICE,
    anchors('hunter2'),
    'file.yaml:6:spec.tls.trust.configMapKeyRef: "ca.crt" of the ConfigMap "ca" holds no certificate, put CA certificates in PEM there',
  ],
  'a revoked device that is none': [
    REVOKING,
    configMap('ca', { list: `${server.sha1}\nrobot-7 hunter2\n` }),
    'file.yaml:6:spec.revoke.configMapKeyRef: "list" of the ConfigMap "ca" holds no thumbprint in line 2, so every device is refused with 503, write one SHA-1 or SHA-256 a line, or # before a comment',
  ],
};

const check = (subject: string, material: string): readonly string[] =>
  checkFiles({ 'base.yaml': BASE, 'file.yaml': subject, 'material.yaml': material });

describe('check takes', () => {
  for (const [name, [subject, material]] of Object.entries(good)) {
    it(name, () => assert.deepEqual(check(subject, material), []));
  }
});

describe('check finds in material', () => {
  for (const [name, [subject, material, ...lines]] of Object.entries(bad)) {
    it(name, () => {
      const found = check(subject, material);
      assert.deepEqual(found, lines);
      assert.ok(!found.join('\n').includes('hunter2'));
    });
  }
});
