import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import type { SignedContextSpec } from '../api/kinds/credential.ts';
import { openScene, secret, START, type Scene } from './testing/header-kit.ts';

const SPEC: SignedContextSpec = { audience: 'fleet', lifetime: 60_000, header: 'X-Sallyport-Context' };
const CALLER = { kind: 'Jwt', id: 'alice', issuer: 'https://login.example.com/' };

const keySet = (scene: Scene) =>
  createLocalJWKSet({ keys: scene.credentials.publicKeys() } as unknown as JSONWebKeySet);

/** As an app would, with nothing but what is published. */
async function verify(scene: Scene, line: string | undefined, now = scene.now): Promise<JWTPayload> {
  const [, token = ''] = /^X-Sallyport-Context: (.+)$/.exec(line ?? '') ?? [];
  const { payload } = await jwtVerify(token, keySet(scene), {
    audience: 'fleet',
    issuer: 'urn:sallyport:shop:back-end',
    typ: 'sallyport-context+jwt',
    currentDate: new Date(now),
  });
  return payload;
}

function open(spec: Partial<SignedContextSpec> = {}, secrets: Scene['secrets'] = {}): Scene {
  const scene = openScene(secrets);
  scene.prepare({ signedContext: { ...SPEC, ...spec } });
  return scene;
}

describe('signedContext', () => {
  test('tells the app who the caller is, verified by the published keys', async () => {
    const scene = open();
    const line = await scene.present({ caller: CALLER, api: 'shop/fleet', operation: 'telemetry' });
    assert.deepEqual(await verify(scene, line), {
      iss: 'urn:sallyport:shop:back-end',
      aud: 'fleet',
      kind: 'Jwt',
      sub: 'alice',
      idp: 'https://login.example.com/',
      api: 'shop/fleet',
      operation: 'telemetry',
      iat: START / 1000,
      exp: START / 1000 + 60,
    });
  });

  test('names a certificate by the thumbprint of RFC 8705', async () => {
    const scene = open();
    const certificateSha256 = 'AB'.repeat(32);
    const caller = { kind: 'ClientCertificate', id: 'robot-7', certificateSha256 };
    const payload = await verify(scene, await scene.present({ caller }));
    assert.deepEqual(payload['cnf'], { 'x5t#S256': Buffer.from(certificateSha256, 'hex').toString('base64url') });
  });

  test('names nobody where nobody was verified', async () => {
    const scene = open();
    const payload = await verify(scene, await scene.present());
    assert.deepEqual([payload.sub, payload['kind']], [undefined, 'Anonymous']);
  });

  test('the same caller gets the same token until a quarter of its lifetime is left; another caller never does', async () => {
    const scene = open();
    const first = await scene.present({ caller: CALLER });
    assert.equal(await scene.present({ caller: CALLER }), first);
    const bob = await scene.present({ caller: { ...CALLER, id: 'bob' } });
    assert.equal((await verify(scene, bob)).sub, 'bob');
    const elsewhere = await scene.present({ caller: { ...CALLER, issuer: 'https://other.example/' } });
    assert.notEqual(elsewhere, first);
    scene.now = START + 44_999;
    assert.equal(await scene.present({ caller: CALLER }), first);
    scene.now = START + 45_000;
    assert.notEqual(await scene.present({ caller: CALLER }), first);
    scene.now = START - 60_000;
    assert.equal((await verify(scene, await scene.present({ caller: CALLER }))).exp, START / 1000);
  });

  test('is of no use to another app, later, or with another key', async () => {
    const scene = open();
    const line = await scene.present({ caller: CALLER });
    await assert.rejects(verify(scene, line, START + 61_000), /exp/);
    await assert.rejects(verify(open(), line), /no applicable key/);
    await assert.rejects(
      jwtVerify(line?.split(': ')[1] ?? '', keySet(scene), { audience: 'other', currentDate: new Date(START) }),
      /aud/,
    );
  });

  for (const [name, make, algorithm] of [
    ['P-256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ES256'],
    ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'ES384'],
    ['Ed25519', () => generateKeyPairSync('ed25519'), 'EdDSA'],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 }), 'RS256'],
  ] as const) {
    test(`a given key signs, as PEM and as JWK, and only its public half is published: ${name}`, async () => {
      const { privateKey } = make();
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const jwk = JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'mine' });
      for (const text of [pem, jwk]) {
        const scene = open({ key: secret('sign', 'key') }, { 'sign/key': text });
        assert.equal((await verify(scene, await scene.present({ caller: CALLER }))).sub, 'alice');
        const [published] = scene.credentials.publicKeys();
        assert.equal(published?.['alg'], algorithm);
        assert.equal(published['kid'] === 'mine', text === jwk);
        for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi']) assert.equal(member in published, false);
      }
    });
  }

  for (const [name, text, problem] of [
    ['missing', undefined, 'MISSING'],
    ['no key', 'hello', 'BAD_KEY'],
    [
      'a public key',
      generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      'BAD_KEY',
    ],
    ['a symmetric JWK', '{"kty":"oct","k":"c2VjcmV0"}', 'BAD_KEY'],
    [
      'a short RSA key',
      generateKeyPairSync('rsa', { modulusLength: 1024 })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
      'BAD_KEY',
    ],
  ] as const) {
    test(`nothing is signed with a given key that cannot be used: ${name}`, async () => {
      const scene = open({ key: secret('sign', 'key') }, text === undefined ? {} : { 'sign/key': text });
      assert.equal(await scene.present({ caller: CALLER }), undefined);
      assert.equal(scene.view.status()[0]?.problem, problem);
      assert.deepEqual(scene.credentials.publicKeys(), []);
    });
  }

  test('after a rotation the old key stays published for an hour', async () => {
    const pem = () =>
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const scene = open({ key: secret('sign', 'key') }, { 'sign/key': pem() });
    const old = await scene.present({ caller: CALLER });
    scene.secrets['sign/key'] = pem();
    scene.prepare({ signedContext: { ...SPEC, key: secret('sign', 'key') } });
    assert.equal((await verify(scene, old)).sub, 'alice');
    assert.equal(scene.credentials.publicKeys().length, 2);
    scene.now += 60 * 60_000;
    assert.equal(scene.credentials.publicKeys().length, 1);
  });

  test('the key that a sidecar makes for itself outlives its generations', () => {
    const scene = open();
    const before = scene.credentials.publicKeys();
    scene.prepare({ signedContext: { ...SPEC, lifetime: 30_000 } });
    assert.deepEqual(scene.credentials.publicKeys(), before);
  });
});
