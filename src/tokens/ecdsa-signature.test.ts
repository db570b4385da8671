import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { encodeSignature } from './ecdsa-signature.ts';

const FORMS: Record<string, [string, string]> = {
  'small numbers lose their leading zeros': ['0000000100000002', '3006020101020102'],
  'zero stays one zero byte': ['0000000000000000', '3006020100020100'],
  'a first bit that is set gets a zero before it': ['80000000ffffffff', '300e0205008000000002050' + '0ffffffff'],
  'a first bit after leading zeros, too': ['00000080000000ff', '30080202008002' + '0200ff'],
};

for (const [name, [given, expected]] of Object.entries(FORMS)) {
  test(name, () => {
    assert.equal(encodeSignature(Buffer.from(given, 'hex')).toString('hex'), expected);
  });
}

for (const [curve, hash] of [
  ['P-256', 'sha256'],
  ['P-384', 'sha384'],
  ['P-521', 'sha512'],
] as const) {
  test(`100 signatures of ${curve} are good in the form that was made from theirs`, () => {
    const pair = generateKeyPairSync('ec', { namedCurve: curve });
    const key = createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    for (let index = 0; index < 100; index += 1) {
      const data = Buffer.from(`message ${index}`);
      const signature = sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
      assert.ok(verify(hash, data, pair.publicKey, encodeSignature(signature)));
    }
  });
}

test('a signature of another length than the curve’s is encoded all the same, and is not good', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.equal(verify('sha256', Buffer.from('x'), publicKey, encodeSignature(Buffer.alloc(64))), false);
});
