import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { CompactEncrypt } from 'jose/jwe/compact/encrypt';
import { EMPTY_MATERIAL } from '../material/material.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import {
  claimsOf,
  createBench,
  createSigningKey,
  encode,
  ISSUER,
  jwksPlan,
  macToken,
  NOW,
  outcomeOf,
  planOf,
  plansOf,
  publicPem,
  requestOf,
  secretsOf,
  signToken,
  type Bench,
  type SigningKey,
} from './testing/token-kit.ts';
import type { TokenView } from './tokens.ts';

const rsa = createSigningKey('RS256', 'r1');
const ec = createSigningKey('ES256', 'e1');
const keySet = (...keys: SigningKey[]): object => ({ keys: keys.map(key => key.jwk) });

function openView(bench: Bench = createBench(() => keySet(rsa, ec))): TokenView {
  return bench.tokens.prepare(plansOf(jwksPlan()), EMPTY_MATERIAL);
}

for (const algorithm of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']) {
  test(`a token signed with ${algorithm} by its issuer’s key is verified`, async () => {
    const key = createSigningKey(algorithm, 'k');
    const view = openView(createBench(() => keySet(key)));
    assert.equal(await outcomeOf(view, signToken(key, claimsOf())), 'verified');
  });
}

test('a verified token brings its claims, its times and its issuer’s tolerances', async () => {
  const claims = { ...claimsOf({ nbf: 1, iat: 2, scope: 'a b' }), __proto__: null };
  const evidence = await openView().verify(requestOf(signToken(rsa, claims)), NOW);
  assert.ok(evidence.state === 'verified');
  const { token } = evidence;
  assert.equal(Object.getPrototypeOf(token.claims), null);
  assert.equal(token.claims['scope'], 'a b');
  const { issuerKey, issuer, expiresAt, notBefore, issuedAt, clockSkewMs, requireExpiration } = token;
  assert.deepEqual(
    { issuerKey, issuer, expiresAt, notBefore, issuedAt, clockSkewMs, requireExpiration },
    {
      issuerKey: 'shop/corp',
      issuer: ISSUER,
      expiresAt: NOW + 3_600_000,
      notBefore: 1000,
      issuedAt: 2000,
      clockSkewMs: 30_000,
      requireExpiration: true,
    },
  );
});

const forged = (header: object, claims: object = claimsOf()): string => `${encode(header)}.${encode(claims)}.c2ln`;
const tamper = (token: string): string => {
  const [header, , signature] = token.split('.');
  return `${header ?? ''}.${encode(claimsOf({ sub: 'admin' }))}.${signature ?? ''}`;
};

const REFUSALS: Record<string, [string, () => string]> = {
  'alg none': ['TokenAlgorithmNotAllowed', () => forged({ alg: 'none' })],
  'alg nOnE': ['TokenAlgorithmNotAllowed', () => forged({ alg: 'nOnE' })],
  'the public key as an HMAC secret (CVE-2015-9235)': [
    'TokenAlgorithmNotAllowed',
    () => macToken('HS256', publicPem(rsa), claimsOf()),
  ],
  'a key that the token brings itself (CVE-2018-0114)': [
    'TokenKeyNotFound',
    () => {
      const own = createSigningKey('RS256', 'own');
      return signToken(own, claimsOf(), { jwk: own.jwk, jku: 'https://evil.test/', x5u: 'https://evil.test/' });
    },
  ],
  'a key that the token brings under a known key id': [
    'TokenSignatureInvalid',
    () => {
      const own = createSigningKey('RS256', 'r1');
      return signToken(own, claimsOf(), { jwk: own.jwk });
    },
  ],
  'an empty signature (CVE-2020-28042)': ['TokenMalformed', () => signToken(rsa, claimsOf()).replace(/[^.]+$/, '')],
  'other claims under a sound signature': ['TokenSignatureInvalid', () => tamper(signToken(rsa, claimsOf()))],
  'an ECDSA signature of zeros (CVE-2022-21449)': [
    'TokenSignatureInvalid',
    () => signToken(ec, claimsOf()).replace(/[^.]+$/, Buffer.alloc(64).toString('base64url')),
  ],
  'an ECDSA signature in DER': [
    'TokenSignatureInvalid',
    () => signToken(ec, claimsOf()).replace(/[^.]+$/, Buffer.alloc(70, 0x30).toString('base64url')),
  ],
  'an algorithm of another key type than the key id’s': [
    'TokenAlgorithmNotAllowed',
    () => signToken({ ...ec, keyId: 'r1' }, claimsOf()),
  ],
  'a crit': ['TokenAlgorithmNotAllowed', () => signToken(rsa, claimsOf(), { crit: ['x'], x: 1 })],
  'no iss': ['TokenIssuerNotAllowed', () => signToken(rsa, claimsOf({ iss: undefined }))],
  'another iss': ['TokenIssuerNotAllowed', () => signToken(rsa, claimsOf({ iss: 'https://evil.test/' }))],
  'an iss without its slash': ['TokenIssuerNotAllowed', () => signToken(rsa, claimsOf({ iss: ISSUER.slice(0, -1) }))],
  'an iss in other letters': ['TokenIssuerNotAllowed', () => signToken(rsa, claimsOf({ iss: ISSUER.toUpperCase() }))],
  'a list as iss': ['TokenIssuerNotAllowed', () => signToken(rsa, claimsOf({ iss: [ISSUER] }))],
  'an unknown key id': ['TokenKeyNotFound', () => signToken({ ...rsa, keyId: 'r2' }, claimsOf())],
  'claims that are a list': ['TokenMalformed', () => signToken(rsa, [])],
  'claims that are text': ['TokenMalformed', () => signToken(rsa, 'text')],
  'exp as text': ['TokenMalformed', () => signToken(rsa, claimsOf({ exp: '9999999999' }))],
  'exp that is null': ['TokenMalformed', () => signToken(rsa, claimsOf({ exp: null }))],
  'exp beyond every number': [
    'TokenMalformed',
    () =>
      forged({ alg: 'RS256', kid: 'r1' }).replace(
        encode(claimsOf()),
        Buffer.from(`{"iss":"${ISSUER}","exp":1e309}`).toString('base64url'),
      ),
  ],
  'nbf as a list': ['TokenMalformed', () => signToken(rsa, claimsOf({ nbf: [1] }))],
  'iat as an object': ['TokenMalformed', () => signToken(rsa, claimsOf({ iat: {} }))],
  'five parts where nothing can be decrypted': [
    'TokenMalformed',
    () => `${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.YWJj.YWJj.YWJj.YWJj`,
  ],
};

for (const [sentence, [reason, make]] of Object.entries(REFUSALS)) {
  test(`a token is refused: ${sentence}`, async () => {
    assert.equal(await outcomeOf(openView(), make()), reason);
  });
}

test('a token without a key id is tried with every fitting key', async () => {
  const view = openView();
  assert.equal(await outcomeOf(view, signToken({ ...ec, keyId: undefined }, claimsOf())), 'verified');
  const stranger = createSigningKey('ES256');
  assert.equal(await outcomeOf(view, signToken(stranger, claimsOf())), 'TokenSignatureInvalid');
});

test('algorithms that the issuer does not name are refused', async () => {
  const bench = createBench(() => keySet(rsa, ec));
  const view = bench.tokens.prepare(plansOf(jwksPlan({ algorithms: ['ES256'] })), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, signToken(ec, claimsOf())), 'verified');
  assert.equal(await outcomeOf(view, signToken(rsa, claimsOf())), 'TokenAlgorithmNotAllowed');
});

test('a token counts only for the issuers that the step names', async () => {
  const bench = createBench(url => keySet(url.includes('other') ? ec : rsa));
  const other = jwksPlan({ jwks: { url: 'https://other.test/jwks' }, issuer: 'https://other.test/' }, 'other');
  const view = bench.tokens.prepare(plansOf(jwksPlan(), other), EMPTY_MATERIAL);
  const token = signToken(rsa, claimsOf());
  assert.equal(await outcomeOf(view, token, NOW, ['shop/other']), 'TokenIssuerNotAllowed');
  assert.equal(await outcomeOf(view, token, NOW, ['shop/other', 'shop/corp']), 'verified');
  // Now it is in the cache, and still counts for nobody else.
  assert.equal(await outcomeOf(view, token, NOW, ['shop/other']), 'TokenIssuerNotAllowed');
  // The key of one issuer says nothing for another.
  assert.equal(
    await outcomeOf(view, signToken(rsa, claimsOf({ iss: 'https://other.test/' })), NOW, ['shop/other', 'shop/corp']),
    'TokenKeyNotFound',
  );
});

test('a token is verified once, and handed out at once from then on', async () => {
  const bench = createBench(() => keySet(rsa));
  const view = openView(bench);
  const request = requestOf(signToken(rsa, claimsOf()));
  const first = await view.verify(request, NOW);
  const second = view.verify(request, NOW);
  assert.equal(second, first);
  assert.equal(bench.counts.get('sallyport_token_cache_misses'), 1);
  assert.equal(bench.counts.get('sallyport_token_cache_hits'), 1);
});

test('a token in the cache is verified again', async t => {
  const spend = async (change: (bench: Bench, view: TokenView) => Promise<TokenView>, exp = 3600): Promise<number> => {
    const bench = createBench(() => keySet(rsa));
    const view = openView(bench);
    const token = signToken(rsa, claimsOf({ exp: NOW / 1000 + exp }));
    await outcomeOf(view, token);
    await outcomeOf(await change(bench, view), token, bench.clock.now);
    return bench.counts.get('sallyport_token_cache_misses') ?? 0;
  };
  await t.test('after five minutes', async () => {
    const pass =
      (milliseconds: number) =>
      async (bench: Bench, view: TokenView): Promise<TokenView> => {
        await bench.clock.pass(milliseconds);
        return view;
      };
    assert.equal(await spend(pass(299_999)), 1);
    assert.equal(await spend(pass(300_000)), 2);
    assert.equal(await spend(pass(10_000), 10), 2);
  });
  await t.test('when its issuer’s spec or generation changed, not when nothing did', async () => {
    const prepare =
      (plan: ReturnType<typeof jwksPlan>) =>
      (bench: Bench): Promise<TokenView> =>
        Promise.resolve(bench.tokens.prepare(plansOf(plan), EMPTY_MATERIAL));
    assert.equal(await spend(prepare(jwksPlan())), 1);
    assert.equal(await spend(prepare(jwksPlan({ clockSkew: 1 }))), 2);
    assert.equal(await spend(prepare({ ...jwksPlan(), generation: 2 })), 2);
  });
});

test('an expired token is not kept, and nothing that is refused is', async () => {
  const bench = createBench(() => keySet(rsa));
  const view = openView(bench);
  for (const token of [signToken(rsa, claimsOf({ exp: 1 })), tamper(signToken(rsa, claimsOf()))]) {
    await outcomeOf(view, token);
    await outcomeOf(view, token);
  }
  assert.equal(bench.counts.get('sallyport_token_cache_misses'), 4);
});

test('explicit keys verify: JWK, PEM and certificate-less public keys, by the key id that the issuer gives them', async () => {
  const material = secretsOf({ pem: publicPem(rsa), jwk: JSON.stringify(ec.jwk) });
  const keys = [
    { kid: 'named', secretKeyRef: { name: 'keys', key: 'pem' } },
    { secretKeyRef: { name: 'keys', key: 'jwk' } },
  ];
  const bench = createBench(() => assert.fail('nothing is fetched'));
  const view = bench.tokens.prepare(plansOf(planOf({ keys, issuer: ISSUER })), material);
  assert.equal(await outcomeOf(view, signToken({ ...rsa, keyId: 'named' }, claimsOf())), 'verified');
  assert.equal(await outcomeOf(view, signToken(ec, claimsOf())), 'verified');
  assert.equal(await outcomeOf(view, signToken(rsa, claimsOf())), 'TokenKeyNotFound');
});

test('symmetric keys verify only from a Secret, only with HS* written out, only when long enough', async () => {
  const secret = Buffer.alloc(32, 7);
  const pem = publicPem(rsa);
  const material = {
    ...secretsOf({
      secret,
      short: secret.subarray(1),
      pem: ` \n${pem}`,
      json: '{"kty":"oct"',
      own: JSON.stringify(rsa.jwk),
    }),
    configMap: (): Map<string, Buffer> => new Map([['secret', secret]]),
  };
  const outcome = async (
    key: object,
    algorithms: readonly ('HS256' | 'RS256')[] | undefined,
    token: string,
  ): Promise<string> => {
    const plan = planOf({ keys: [key], issuer: ISSUER, ...(algorithms && { algorithms }) });
    return outcomeOf(createBench(() => null).tokens.prepare(plansOf(plan), material), token);
  };
  const ref = (key: string): object => ({ secretKeyRef: { name: 'keys', key } });
  const mac = macToken('HS256', secret, claimsOf());
  assert.equal(await outcome(ref('secret'), ['HS256'], mac), 'verified');
  assert.equal(await outcome(ref('secret'), undefined, mac), 'TokenAlgorithmNotAllowed');
  assert.equal(await outcome({ configMapKeyRef: { name: 'keys', key: 'secret' } }, ['HS256'], mac), 'KeysUnavailable?');
  assert.equal(
    await outcome(ref('short'), ['HS256'], macToken('HS256', secret.subarray(1), claimsOf())),
    'KeysUnavailable?',
  );
  // What looks like a public key is never taken for a secret (CVE-2026-34950).
  const withPem = macToken('HS256', ` \n${pem}`, claimsOf());
  assert.equal(await outcome(ref('pem'), ['HS256', 'RS256'], withPem), 'TokenKeyNotFound');
  assert.equal(
    await outcome(ref('json'), ['HS256'], macToken('HS256', '{"kty":"oct"', claimsOf())),
    'KeysUnavailable?',
  );
  assert.equal(
    await outcome(ref('own'), ['HS256', 'RS256'], macToken('HS256', JSON.stringify(rsa.jwk), claimsOf())),
    'TokenKeyNotFound',
  );
});

test('a key that is missing from the cluster is undecided, one that cannot be read leaves the last good one in force', async () => {
  const bench = createBench(() => null);
  const plan = planOf({ keys: [{ secretKeyRef: { name: 'keys', key: 'pem' } }], issuer: ISSUER });
  const token = signToken(rsa, claimsOf());
  const prepare = (data: Record<string, string>): TokenView => bench.tokens.prepare(plansOf(plan), secretsOf(data));
  assert.equal(await outcomeOf(prepare({}), token), 'KeysUnavailable?');
  assert.equal(await outcomeOf(prepare({ pem: publicPem(rsa) }), token), 'verified');
  const broken = prepare({ pem: publicPem(rsa).slice(0, 100) });
  assert.equal(await outcomeOf(broken, token), 'verified');
  assert.equal(await outcomeOf(prepare({}), token), 'KeysUnavailable?');
});

const material = (key: string): ReturnType<typeof secretsOf> => secretsOf({ decryption: key });

test('an encrypted token is opened with a decryption key and its signature verified', async t => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const plan = jwksPlan({ decryptionKeys: [{ secretKeyRef: { name: 'keys', key: 'decryption' } }] });
  const encrypt = (text: string, header: { alg: string; enc: string }, key = pair.publicKey): Promise<string> =>
    new CompactEncrypt(Buffer.from(text)).setProtectedHeader(header).encrypt(key);
  const OAEP = { alg: 'RSA-OAEP-256', enc: 'A256GCM' };
  const view = createBench(() => keySet(rsa)).tokens.prepare(plansOf(plan), material(pem));
  const signed = signToken(rsa, claimsOf());

  await t.test('also when it is in the cache', async () => {
    const token = await encrypt(signed, OAEP);
    assert.equal(await outcomeOf(view, token), 'verified');
    assert.equal(await outcomeOf(view, token), 'verified');
    assert.equal(await outcomeOf(view, await encrypt(signed, { alg: 'RSA-OAEP', enc: 'A128CBC-HS256' })), 'verified');
  });
  await t.test('a token that is only signed still counts', async () => {
    assert.equal(await outcomeOf(view, signed), 'verified');
  });
  await t.test('one for another key, or tampered with, is refused', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    assert.equal(await outcomeOf(view, await encrypt(signed, OAEP, stranger)), 'TokenSignatureInvalid');
    const token = await encrypt(signed, OAEP);
    assert.equal(await outcomeOf(view, token.replace(/[^.]+$/, 'AAAAAAAAAAAAAAAAAAAAAA')), 'TokenSignatureInvalid');
  });
  await t.test('claims that are encrypted but not signed are refused', async () => {
    assert.equal(await outcomeOf(view, await encrypt(JSON.stringify(claimsOf()), OAEP)), 'TokenMalformed');
  });
  await t.test('a token inside a token inside a token is refused', async () => {
    assert.equal(await outcomeOf(view, await encrypt(await encrypt(signed, OAEP), OAEP)), 'TokenMalformed');
  });
  await t.test('a false signature inside is refused', async () => {
    assert.equal(await outcomeOf(view, await encrypt(tamper(signed), OAEP)), 'TokenSignatureInvalid');
  });
  await t.test('PBES2 and compression are refused (CVE-2022-36083, CVE-2024-28176)', async () => {
    const parts = 'YWJj.YWJj.YWJj.YWJj';
    const pbes2 = encode({ alg: 'PBES2-HS256+A128KW', enc: 'A256GCM', p2c: 1e9, p2s: 'YWJj' });
    assert.equal(await outcomeOf(view, `${pbes2}.${parts}`), 'TokenSignatureInvalid');
    assert.equal(await outcomeOf(view, `${encode({ ...OAEP, zip: 'DEF' })}.${parts}`), 'TokenAlgorithmNotAllowed');
  });
  await t.test('a decryption key that is missing is undecided', async () => {
    const bare = createBench(() => keySet(rsa)).tokens.prepare(plansOf(plan), EMPTY_MATERIAL);
    assert.equal(await outcomeOf(bare, await encrypt(signed, OAEP)), 'KeysUnavailable?');
    assert.equal(await outcomeOf(bare, signed), 'verified');
  });
});

test('neither a token nor a key nor a claim reaches the log', async () => {
  let down = false;
  const bench = createBench(() => {
    if (down) throw new FetchError('CONNECT', 'issuer.test:443', 'ECONNREFUSED');
    return { keys: [rsa.jwk, { kty: 'oct', k: 'Y2FuYXJ5LWtleQ', kid: 'canary-kid' }] };
  });
  const view = openView(bench);
  const token = signToken(rsa, claimsOf({ sub: 'canary-subject' }));
  await outcomeOf(view, token);
  await outcomeOf(view, tamper(token));
  down = true;
  await bench.clock.pass(600_000);
  await outcomeOf(view, signToken({ ...rsa, keyId: 'canary-unknown' }, claimsOf()));
  const told = bench.lines.join('\n') + JSON.stringify(view.status());
  assert.ok(bench.lines.length >= 2);
  for (const canary of ['canary', 'Y2FuYXJ5', token, String(rsa.jwk['n'])]) assert.ok(!told.includes(canary), canary);
});

test('a step that names an issuer which is not there is undecided', async () => {
  const view = createBench(() => null).tokens.prepare(new Map(), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, signToken(rsa, claimsOf())), 'KeysUnavailable?');
});
