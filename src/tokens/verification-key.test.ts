import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { findCandidates, hasSameKeys, makeKeyList, MAX_KEYS } from './key-list.ts';
import { hasRocaFingerprint } from './roca.ts';
import { createSigningKey, publicPem } from './testing/token-kit.ts';
import { readJwk, readPem, readSymmetric } from './verification-key.ts';

const rsa = createSigningKey('RS256', 'r');
const ec = createSigningKey('ES256', 'e');
const ed = createSigningKey('EdDSA', 'd');
const fetched = { symmetric: false };
const problemOf = (jwk: unknown, options = fetched): string | undefined => {
  const reading = readJwk(jwk, options);
  return 'problem' in reading ? reading.problem : undefined;
};
const algorithmsOf = (jwk: unknown): string[] => {
  const reading = readJwk(jwk, fetched);
  assert.ok('key' in reading);
  return [...reading.key.algorithms];
};

test('a key verifies the algorithms of its type, and only the one it names itself', () => {
  assert.deepEqual(algorithmsOf(rsa.jwk), ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']);
  assert.deepEqual(algorithmsOf({ ...rsa.jwk, alg: 'PS256' }), ['PS256']);
  assert.deepEqual(algorithmsOf(ec.jwk), ['ES256']);
  assert.deepEqual(algorithmsOf(ed.jwk), ['EdDSA']);
  assert.deepEqual(algorithmsOf({ ...ed.jwk, alg: 'Ed25519' }), ['EdDSA']);
  assert.deepEqual(algorithmsOf({ ...ec.jwk, use: 'sig', key_ops: ['sign', 'verify'] }), ['ES256']);
});

const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
const curve = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' });

for (const [sentence, [jwk, problem]] of Object.entries<[unknown, string]>({
  'it is no object': [['kty'], 'NOT_A_KEY'],
  'it has no type': [{}, 'NOT_A_KEY'],
  'it is private': [rsa.privateKey.export({ format: 'jwk' }), 'PRIVATE_KEY'],
  'it has a private member beside others': [{ ...ec.jwk, d: '' }, 'PRIVATE_KEY'],
  'it is symmetric and was fetched': [{ kty: 'oct', k: 'A'.repeat(64) }, 'SYMMETRIC_KEY'],
  'it has a symmetric member beside others': [{ ...ec.jwk, k: 'AAAA' }, 'SYMMETRIC_KEY'],
  'it is for encryption': [{ ...rsa.jwk, use: 'enc' }, 'WRONG_USE'],
  'its operations are others': [{ ...rsa.jwk, key_ops: ['encrypt'] }, 'WRONG_USE'],
  'its operations are no list': [{ ...rsa.jwk, key_ops: 'verify' }, 'WRONG_USE'],
  'its algorithm belongs to another type': [{ ...ec.jwk, alg: 'RS256' }, 'WRONG_ALGORITHM'],
  'its algorithm belongs to another curve': [{ ...ec.jwk, alg: 'ES384' }, 'WRONG_ALGORITHM'],
  'its algorithm is no text': [{ ...ec.jwk, alg: 7 }, 'WRONG_ALGORITHM'],
  'its modulus has 1024 bits': [weak, 'WEAK_KEY'],
  'its exponent is 1': [{ ...rsa.jwk, e: 'AQ' }, 'WEAK_KEY'],
  'its exponent is even': [{ ...rsa.jwk, e: 'BA' }, 'WEAK_KEY'],
  'its modulus has 16,384 bits': [{ ...rsa.jwk, n: `${'_'.repeat(2730)}w` }, 'WEAK_KEY'],
  'its curve is none of ours': [curve, 'UNSUPPORTED_KEY'],
  'its point is not on the curve': [{ ...ec.jwk, x: ec.jwk['y'] }, 'NOT_A_KEY'],
  'its text is not base64url': [{ ...rsa.jwk, e: 'AQ+B' }, 'NOT_A_KEY'],
})) {
  test(`a key is left out when ${sentence}`, () => {
    assert.equal(problemOf(jwk), problem);
  });
}

test('a modulus with the fingerprint of CVE-2017-15361 is found', () => {
  assert.equal(hasRocaFingerprint(65537n ** 129n), true);
  assert.equal(
    hasRocaFingerprint(BigInt(`0x${Buffer.from(String(rsa.jwk['n']), 'base64url').toString('hex')}`)),
    false,
  );
});

test('PEM is read as public key or certificate, never as private key', () => {
  assert.ok('key' in readPem(publicPem(rsa)));
  assert.ok('key' in readPem(createAuthority({ name: 'issuer' }).certificatePem));
  assert.deepEqual(readPem(rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()), {
    problem: 'PRIVATE_KEY',
  });
  assert.deepEqual(readPem('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'), { problem: 'NOT_A_KEY' });
});

test('a symmetric key verifies only what it is long enough for', () => {
  const algorithms = (length: number): string[] => {
    const reading = readSymmetric(Buffer.alloc(length, 1));
    return 'key' in reading ? [...reading.key.algorithms] : [reading.problem];
  };
  assert.deepEqual([0, 31, 32, 48, 64].map(algorithms), [
    ['WEAK_KEY'],
    ['WEAK_KEY'],
    ['HS256'],
    ['HS256', 'HS384'],
    ['HS256', 'HS384', 'HS512'],
  ]);
});

const listOf = (...jwks: unknown[]): ReturnType<typeof makeKeyList> =>
  makeKeyList(jwks.map(jwk => readJwk(jwk, { symmetric: true })));
const other = createSigningKey('ES256', 'e');

test('two different keys under one key id are both left out, one key given twice is one', () => {
  const list = listOf(ec.jwk, other.jwk, rsa.jwk, rsa.jwk);
  assert.deepEqual([list.keys.length, list.problems], [1, ['DUPLICATE_KEY_ID', 'DUPLICATE_KEY_ID']]);
});

test('keys of different types may share a key id', () => {
  const list = listOf({ ...rsa.jwk, kid: 'x' }, { ...ec.jwk, kid: 'x' });
  assert.equal(findCandidates(list, 'x', 'ES256').keys.length, 1);
  assert.equal(findCandidates(list, 'x', 'RS256').keys.length, 1);
});

test('symmetric keys beside public ones are left out', () => {
  const list = listOf({ kty: 'oct', k: 'A'.repeat(64) }, ec.jwk);
  assert.deepEqual([list.keys.length, list.problems], [1, ['MIXED_KEYS']]);
});

test('one token is tried with at most eight keys, and one issuer has at most a hundred', () => {
  const jwks = Array.from({ length: 12 }, () => ({ ...createSigningKey('ES256').jwk }));
  assert.equal(findCandidates(listOf(...jwks), undefined, 'ES256').keys.length, 8);
  const many = Array.from({ length: MAX_KEYS + 5 }, (_, i) => ({ ...ec.jwk, kid: String(i) }));
  assert.equal(listOf(...many).keys.length, MAX_KEYS);
});

test('the order of keys does not matter, their ids and algorithms do', () => {
  assert.equal(hasSameKeys(listOf(ec.jwk, rsa.jwk), listOf(rsa.jwk, ec.jwk)), true);
  assert.equal(hasSameKeys(listOf(ec.jwk), listOf({ ...ec.jwk, kid: 'f' })), false);
  assert.equal(hasSameKeys(listOf(rsa.jwk), listOf({ ...rsa.jwk, alg: 'RS256' })), false);
});
