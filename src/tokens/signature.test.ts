import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { CompactSign } from 'jose';
import { parseCompact, type CompactToken } from './compact.ts';
import { verifySignature } from './signature.ts';
import { readJwk, readSymmetric, type VerificationKey } from './verification-key.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const curves = new Map(
  ['P-256', 'P-384', 'P-521'].map(c => [c, generateKeyPairSync('ec', { namedCurve: c }).privateKey]),
);
const ed = generateKeyPairSync('ed25519').privateKey;
const secret = Buffer.alloc(64, 7);

function readKey(key: KeyObject): VerificationKey {
  const reading = readJwk(createPublicKey(key).export({ format: 'jwk' }), { symmetric: false });
  assert.ok('key' in reading);
  return reading.key;
}

function symmetric(): VerificationKey {
  const reading = readSymmetric(secret);
  assert.ok('key' in reading);
  return reading.key;
}

function read(text: string): CompactToken {
  const token = parseCompact(text);
  assert.ok('text' in token);
  return token;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = (alg: string): string => `${encode({ alg })}.${encode({ sub: 'a' })}`;
const curve = (name: string): KeyObject => curves.get(name) ?? ed;

for (const [algorithm, key] of Object.entries<KeyObject | Buffer>({
  ...Object.fromEntries(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(name => [name, rsa])),
  ES256: curve('P-256'),
  ES384: curve('P-384'),
  ES512: curve('P-521'),
  EdDSA: ed,
  HS256: secret,
  HS384: secret,
  HS512: secret,
})) {
  test(`${algorithm}: what jose signed is accepted, and nothing that differs by a bit`, async () => {
    const text = await new CompactSign(Buffer.from('{"sub":"a"}')).setProtectedHeader({ alg: algorithm }).sign(key);
    const verification = Buffer.isBuffer(key) ? symmetric() : readKey(key);
    assert.equal(verifySignature(read(text), [verification]), true);
    const [header = '', , signature = ''] = text.split('.');
    assert.equal(verifySignature(read(`${header}.${encode({ sub: 'b' })}.${signature}`), [verification]), false);
    const bytes = Buffer.from(signature, 'base64url');
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    assert.equal(verifySignature(read(`${unsigned(algorithm)}.${bytes.toString('base64url')}`), [verification]), false);
    assert.equal(verifySignature(read(`${unsigned(algorithm)}.${signature.slice(0, 8)}`), [verification]), false);
  });
}

const signWith = (alg: string, make: (signed: Buffer) => Buffer): CompactToken => {
  const signed = unsigned(alg);
  return read(`${signed}.${make(Buffer.from(signed)).toString('base64url')}`);
};

test('a public key is never taken for the secret of HS256 (RFC 8725 section 3.1)', () => {
  const pem = createPublicKey(rsa).export({ format: 'pem', type: 'spki' });
  const token = signWith('HS256', () => Buffer.from(pem));
  assert.equal(verifySignature(token, [readKey(rsa)]), false);
});

test('none, in any spelling, is no algorithm', () => {
  for (const name of ['none', 'None', 'NONE', 'rs256', '']) {
    assert.equal(verifySignature(read(`${unsigned(name)}.AAAA`), [readKey(rsa)]), false);
  }
});

test('a key pinned to another algorithm is not asked', () => {
  const token = signWith('RS256', signed => sign('sha256', signed, rsa));
  assert.equal(verifySignature(token, [readKey(rsa)]), true);
  assert.equal(verifySignature(token, [{ ...readKey(rsa), algorithms: new Set(['PS256']) }]), false);
});

test('PS256 takes a salt as long as its hash and no other (RFC 7518 section 3.5)', () => {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const withSalt = (saltLength: number): CompactToken =>
    signWith('PS256', signed => sign('sha256', signed, { key: rsa, padding, saltLength }));
  const key = readKey(rsa);
  assert.deepEqual(
    [0, 20, 32, 64].map(length => verifySignature(withSalt(length), [key])),
    [false, false, true, false],
  );
});

test('an ECDSA signature in DER is refused: it would be a second spelling of the same', () => {
  const key = curve('P-256');
  const token = signWith('ES256', signed => sign('sha256', signed, key));
  assert.equal(verifySignature(token, [readKey(key)]), false);
});

test('an ECDSA signature of zeros is refused (CVE-2022-21449)', () => {
  const key = curve('P-256');
  assert.equal(
    verifySignature(
      signWith('ES256', () => Buffer.alloc(64)),
      [readKey(key)],
    ),
    false,
  );
});
