import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodeTagged, ia5String, objectIdentifier, octetString, sequence, setOf, utf8String } from '../demo/der.ts';
import { createAuthority, type LeafOptions } from '../demo/pki.ts';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from './certificate.ts';
import { Asn1Error } from './der.ts';
import { equalBytes } from './primitives.ts';

const root = createAuthority({ name: 'root' });
const device = root.issue({ subject: { CN: 'robot-7', O: 'Fleet' }, san: { uri: ['urn:device:robot-7'] } });

const issue = (options: Partial<LeafOptions>): Uint8Array => root.issue({ subject: 'x', ...options }).der;
const subjectAltName = (value: Uint8Array) => [{ oid: '2.5.29.17', value }];

describe('parseCertificate', () => {
  test('reads names, serial number, key and extensions', () => {
    const certificate = parseCertificate(device.der);
    assert.equal(certificate.version, 3);
    assert.deepEqual(certificate.key, { kind: 'ec', curve: 'P-256' });
    assert.deepEqual(certificate.algorithm, { kind: 'ecdsa', hash: 'sha256' });
    assert.deepEqual(certificate.extensions.subjectAltName, [{ type: 'uri', text: 'urn:device:robot-7' }]);
    assert.equal(certificate.notAfter, Math.floor(device.notAfter.getTime() / 1000) * 1000);
  });

  test('reads a certificate that is a view into a larger buffer, and a Buffer', () => {
    const larger = new Uint8Array(device.der.length + 20).fill(0x30);
    larger.set(device.der, 7);
    const view = larger.subarray(7, 7 + device.der.length);
    assert.equal(parseCertificate(view).serial, parseCertificate(device.der).serial);
    assert.equal(parseCertificate(Buffer.from(device.der)).serial, parseCertificate(device.der).serial);
  });

  test('throws Asn1Error and nothing else for a certificate that ends at any byte', () => {
    for (let length = 0; length < device.der.length; length++) {
      assert.throws(() => parseCertificate(device.der.subarray(0, length)), Asn1Error, String(length));
    }
  });

  test('throws Asn1Error and nothing else for bytes that are changed anywhere', () => {
    const position = fc.integer({ min: 0, max: device.der.length - 1 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(position, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        edits => {
          const bytes = device.der.slice();
          for (const [at, value] of edits) bytes[at] = value;
          try {
            parseCertificate(bytes);
          } catch (error) {
            assert.ok(error instanceof Asn1Error, String(error));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('throws Asn1Error and nothing else for arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        assert.throws(() => parseCertificate(bytes), Asn1Error);
      }),
      { numRuns: 300 },
    );
  });

  test('the signed part is never another one than that of the bytes', () => {
    const { tbs } = parseCertificate(device.der);
    for (let at = 0; at < tbs.length; at++) {
      const bytes = device.der.slice();
      bytes[at + 4] = (bytes[at + 4] ?? 0) ^ 0x01;
      try {
        assert.ok(!equalBytes(parseCertificate(bytes).tbs, tbs), String(at));
      } catch (error) {
        assert.ok(error instanceof Asn1Error);
      }
    }
  });

  const malformed: Record<string, () => Uint8Array> = {
    'bytes behind it': () => Uint8Array.from([...device.der, 0]),
    'more than 64 KiB': () => issue({ san: { uri: [`urn:${'a'.repeat(MAX_CERTIFICATE_BYTES)}`] } }),
    'an extension twice': () => issue({ extensions: [1, 2].map(() => ({ oid: '1.2.3.4', value: sequence() })) }),
    'an empty list of alternative names': () => issue({ extensions: subjectAltName(sequence()) }),
    'an address of five octets': () =>
      issue({ extensions: subjectAltName(sequence(encodeTagged(0x87, new Uint8Array(5)))) }),
    'a NUL in a DNS name': () => issue({ san: { dns: ['bank.example\0.evil.example'] } }),
    'a line break in a URI': () => issue({ san: { uri: ['urn:a\r\nx-header: b'] } }),
    'a DNS name that is not ASCII': () =>
      issue({ extensions: subjectAltName(sequence(encodeTagged(0x82, Uint8Array.of(0xe4)))) }),
    'a NUL in the common name': () => issue({ subject: { CN: 'robot-7\0' } }),
    'a line break in the common name': () => issue({ subject: { CN: 'robot-7\nrobot-8' } }),
    'an empty subject without alternative names': () => issue({ subject: {} }),
    'an empty subject whose alternative names are not critical': () =>
      issue({
        subject: {},
        extensions: subjectAltName(sequence(encodeTagged(0x86, new TextEncoder().encode('urn:a')))),
      }),
    'an empty extended key usage': () => issue({ usages: [], extensions: [{ oid: '2.5.29.37', value: sequence() }] }),
    'an extension that is not DER': () =>
      issue({ extensions: [{ oid: '2.5.29.14', value: Uint8Array.of(0x04, 0x81, 0x01, 0x00) }] }),
    'indefinite lengths in an extension': () =>
      issue({ extensions: [{ oid: '2.5.29.35', value: Uint8Array.of(0x30, 0x80, 0, 0) }] }),
    'elements nested without end': () =>
      issue({
        extensions: subjectAltName(Array.from({ length: 60 }).reduce<Uint8Array>(inner => sequence(inner), sequence())),
      }),
    'alternative names without end': () => issue({ san: { dns: Array.from({ length: 3000 }, (_, at) => `a${at}`) } }),
  };
  for (const [what, make] of Object.entries(malformed)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => parseCertificate(make()), Asn1Error);
    });
  }

  test('refuses unequal inner and outer algorithms, which an attacker could otherwise choose', () => {
    const bytes = device.der.slice();
    const ecdsaSha256 = Buffer.from('06082a8648ce3d040302', 'hex');
    const outer = Buffer.from(bytes).lastIndexOf(ecdsaSha256);
    bytes[outer + ecdsaSha256.length - 1] = 0x03;
    assert.throws(() => parseCertificate(bytes), /algorithms differ/);
  });

  test('names nothing of the input in its errors', () => {
    const bytes = issue({ subject: { CN: 'secret-device\0' } });
    assert.throws(
      () => parseCertificate(bytes),
      (error: Error) => !error.message.includes('secret'),
    );
  });

  test('knows other names by their kind and reads over what they hold', () => {
    const other = encodeTagged(0xa0, objectIdentifier('1.3.6.1.4.1.311.20.2.3'), encodeTagged(0xa0, utf8String('a@b')));
    const { extensions } = parseCertificate(issue({ extensions: subjectAltName(sequence(other)) }));
    assert.deepEqual(extensions.subjectAltName, [{ type: 'other', tag: 0xa0 }]);
  });

  test('says that a critical extension is unknown, and passes over one that is not critical', () => {
    const extension = { oid: '1.2.3.4', value: octetString(new Uint8Array(3)) };
    assert.equal(parseCertificate(issue({ extensions: [extension] })).extensions.unknownCritical, false);
    assert.equal(
      parseCertificate(issue({ extensions: [{ ...extension, critical: true }] })).extensions.unknownCritical,
      true,
    );
  });

  test('an attribute of two values in one set is two attributes', () => {
    const name = sequence(
      setOf(
        sequence(objectIdentifier('2.5.4.3'), utf8String('a')),
        sequence(objectIdentifier('0.9.2342.19200300.100.1.25'), ia5String('b')),
      ),
    );
    const directory = encodeTagged(0xa4, name);
    const [found] =
      parseCertificate(issue({ extensions: subjectAltName(sequence(directory)) })).extensions.subjectAltName ?? [];
    assert.equal(found?.type === 'directory' && found.name.relative[0]?.length, 2);
  });
});
