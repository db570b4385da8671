import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  encodeTagged,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  time,
  boolean,
  setOf,
  utf8String,
  bitString,
} from '../demo/der.ts';
import { createAuthority } from '../demo/pki.ts';
import { parseCertificate } from './certificate.ts';
import { coversCertificate, maySignCrl, parseCrl } from './crl.ts';
import { Asn1Error } from './der.ts';

const root = createAuthority({ name: 'root' });
const stolen = root.issue({ subject: 'robot-8' });
const kept = root.issue({ subject: 'robot-7' });
root.revoke(stolen);

const point = (...fields: Uint8Array[]) => ({ oid: '2.5.29.28', critical: true, value: sequence(...fields) });
const flag = (tag: number) => encodeTagged(tag, Uint8Array.of(0xff));
const uriPoint = (uri: string) =>
  encodeTagged(0xa0, encodeTagged(0xa0, encodeTagged(0x86, new TextEncoder().encode(uri))));

/** A list of a made-up issuer with the entries given; its signature is nonsense. */
function encodeList(entries: readonly Uint8Array[], ...extensions: readonly Uint8Array[]): Uint8Array {
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
  const issuer = sequence(setOf(sequence(objectIdentifier('2.5.4.3'), utf8String('root'))));
  const dates = [time(new Date('2026-01-01T00:00:00Z')), time(new Date('2026-02-01T00:00:00Z'))];
  const list = new Uint8Array(Buffer.concat(entries));
  const tbs = sequence(integer(1), algorithm, issuer, ...dates, encodeTagged(0x30, list), ...extensions);
  return sequence(tbs, algorithm, bitString(new Uint8Array(8)));
}
const revokedAt = time(new Date('2026-01-01T00:00:00Z'));
const entry = (serial: Uint8Array | number, ...extensions: Uint8Array[]) =>
  sequence(integer(serial), revokedAt, ...extensions);

describe('parseCrl', () => {
  test('names the serial numbers as certificates have them', () => {
    const { revoked, thisUpdate, nextUpdate } = parseCrl(root.crlDer());
    assert.deepEqual([...revoked], [parseCertificate(stolen.der).serial]);
    assert.ok(!revoked.has(parseCertificate(kept.der).serial));
    assert.ok(thisUpdate < nextUpdate);
  });

  test('throws Asn1Error and nothing else for a list that ends at any byte', () => {
    const der = root.crlDer();
    for (let length = 0; length < der.length; length++) {
      assert.throws(() => parseCrl(der.subarray(0, length)), Asn1Error, String(length));
    }
  });

  test('a list without entries revokes nothing', () => {
    assert.equal(parseCrl(createAuthority({ name: 'new' }).crlDer()).revoked.size, 0);
  });

  test('100,000 entries are read', () => {
    const entries = Array.from({ length: 100_000 }, (_, at) => entry(at + 1));
    assert.equal(parseCrl(encodeList(entries)).revoked.size, 100_000);
  });

  const extension = (oid: string, critical: boolean) =>
    sequence(
      sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), octetString(Uint8Array.of(0x0a, 1, 1))),
    );
  const refused: Record<string, () => Uint8Array> = {
    'without nextUpdate, since nothing would say when it is stale': () => root.crlDer({ nextUpdate: null }),
    'that is a delta': () => root.crlDer({ extensions: [{ oid: '2.5.29.27', critical: true, value: integer(1) }] }),
    'with an unknown critical extension': () =>
      root.crlDer({ extensions: [{ oid: '1.2.3.4', critical: true, value: integer(1) }] }),
    'that is indirect': () => root.crlDer({ extensions: [point(flag(0x84))] }),
    'for some reasons only': () => root.crlDer({ extensions: [point(encodeTagged(0x83, Uint8Array.of(6, 0x40)))] }),
    'for attribute certificates': () => root.crlDer({ extensions: [point(flag(0x85))] }),
    'whose entry names another issuer': () => encodeList([entry(1, extension('2.5.29.29', true))]),
    'with bytes behind it': () => Uint8Array.from([...root.crlDer(), 0]),
    'that is a certificate': () => root.der,
  };
  for (const [what, make] of Object.entries(refused)) {
    test(`refuses a list ${what}`, () => {
      assert.throws(() => parseCrl(make()), Asn1Error);
    });
  }

  test('a reason code in an entry is passed over', () => {
    assert.equal(parseCrl(encodeList([entry(7, extension('2.5.29.21', false))])).revoked.size, 1);
  });
});

describe('coversCertificate', () => {
  const leaf = parseCertificate(kept.der);
  const authority = parseCertificate(root.createIntermediate({ name: 'issuing' }).der);
  const covers = (extensions: Parameters<typeof root.crlDer>[0], certificate = leaf) =>
    coversCertificate(parseCrl(root.crlDer(extensions)), certificate);

  test('a list of another issuer does not', () => {
    assert.equal(coversCertificate(parseCrl(createAuthority({ name: 'other' }).crlDer()), leaf), false);
  });
  test('a list for leaves only does not speak of authorities, and the other way round', () => {
    assert.deepEqual(
      [covers({ extensions: [point(flag(0x81))] }), covers({ extensions: [point(flag(0x81))] }, authority)],
      [true, false],
    );
    assert.deepEqual(
      [covers({ extensions: [point(flag(0x82))] }), covers({ extensions: [point(flag(0x82))] }, authority)],
      [false, true],
    );
  });
  test('a list of one distribution point speaks of certificates that name it', () => {
    const uri = 'http://crl.example/1.crl';
    const value = sequence(sequence(uriPoint(uri)));
    const named = parseCertificate(root.issue({ subject: 'x', extensions: [{ oid: '2.5.29.31', value }] }).der);
    const list = { extensions: [point(uriPoint(uri))] };
    assert.deepEqual([covers(list, named), covers(list)], [true, false]);
    assert.equal(covers({ extensions: [point(uriPoint('http://crl.example/2.crl'))] }, named), false);
  });
});

describe('maySignCrl', () => {
  const list = (name: string) => parseCrl(createAuthority({ name }).crlDer());
  test('takes a CA of that name whose key usage allows it or says nothing', () => {
    assert.equal(maySignCrl(parseCertificate(root.der), list('root')), true);
    assert.equal(maySignCrl(parseCertificate(createAuthority({ name: 'a', keyUsage: [] }).der), list('a')), true);
  });
  test('refuses another name, and a key usage without cRLSign', () => {
    assert.equal(maySignCrl(parseCertificate(root.der), list('other')), false);
    const signer = createAuthority({ name: 'a', keyUsage: ['keyCertSign'] });
    assert.equal(maySignCrl(parseCertificate(signer.der), list('a')), false);
  });
});
