import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKeyPair } from '../demo/pki.ts';
import { EMPTY_MATERIAL } from '../material/material.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { KeySource } from './key-fetch.ts';
import { makeKeyList } from './key-list.ts';
import { restoreKeys, saveKeys } from './saved-keys.ts';
import {
  claimsOf,
  createBench,
  createSigningKey,
  jwksPlan,
  NOW,
  outcomeOf,
  plansOf,
  settle,
  signToken,
} from './testing/token-kit.ts';
import { readJwk } from './verification-key.ts';

const SOURCE: KeySource = {
  kind: 'jwks',
  url: 'https://issuer.test/keys',
  trust: 'systemRoots',
  issuer: 'https://issuer.test',
};
const jwk = (type: 'P-256' | 'RSA' | 'Ed25519', more: object) => ({
  ...createKeyPair(type).publicKey.export({ format: 'jwk' }),
  ...more,
});
const list = makeKeyList(
  [
    jwk('P-256', { kid: 'a' }),
    jwk('RSA', { kid: 'b', alg: 'RS256' }),
    jwk('RSA', { kid: 'c' }),
    jwk('Ed25519', {}),
  ].map(key => readJwk(key, { symmetric: false })),
);
const saved = JSON.parse(
  JSON.stringify(saveKeys(SOURCE, { issuer: 'https://issuer.test', list, fetchedAt: 1000 })),
) as object;

test('keys come back as they were: ids, algorithms, age', () => {
  const restored = restoreKeys(SOURCE, saved, 2000);
  const describe = (keys: typeof list.keys) => keys.map(k => [k.keyId, [...k.algorithms], k.fingerprint]);
  assert.equal(list.keys.length, 4);
  assert.deepEqual(describe(restored?.list.keys ?? []), describe(list.keys));
  assert.deepEqual([restored?.issuer, restored?.fetchedAt], ['https://issuer.test', 1000]);
  assert.equal(JSON.stringify(saved).includes('"d"'), false);
});

for (const [sentence, source, value] of [
  ['of another address', { ...SOURCE, url: 'https://other.test/keys' }, saved],
  ['of another issuer', { ...SOURCE, issuer: 'https://other.test' }, saved],
  ['from the future', SOURCE, { ...saved, fetchedAt: 3000 }],
  ['without a key', SOURCE, { ...saved, keys: [] }],
  ['of another form', SOURCE, { ...saved, keys: 'x' }],
  ['that is none', SOURCE, undefined],
] as const) {
  test(`a saved set ${sentence} is not used`, () => {
    assert.equal(restoreKeys(source, value, 2000), undefined);
  });
}

test('a secret that somebody wrote into the file is not taken for a key', () => {
  const forged = { ...saved, keys: [{ kty: 'oct', k: 'c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0', alg: 'HS256' }] };
  assert.equal(restoreKeys(SOURCE, forged, 2000), undefined);
});

test('after a restart while the issuer is away, its tokens are verified, nobody waits, and the keys grow stale as they would have', async () => {
  const key = createSigningKey('ES256', 'k');
  const kept = new Map<string, unknown>();
  const keyStore = {
    find: (issuer: string) => kept.get(issuer),
    keep: (issuer: string, keys: object) => void kept.set(issuer, keys),
  };
  const plan = jwksPlan({ cache: { maxAge: 600_000, unknownKidCooldown: 30_000, maxStale: 3_600_000 } });
  const before = createBench(() => ({ keys: [key.jwk] }), { keyStore });
  before.tokens.prepare(plansOf(plan), EMPTY_MATERIAL);
  await settle();
  kept.set('shop/corp', JSON.parse(JSON.stringify(kept.get('shop/corp'))));
  const down = (): never => {
    throw new FetchError('CONNECT', 'issuer.test:443', 'ECONNREFUSED');
  };
  const after = createBench(down, { keyStore });
  await after.clock.pass(1);
  const view = after.tokens.prepare(plansOf(plan), EMPTY_MATERIAL);
  await view.ready(60_000_000);
  const token = signToken(key, claimsOf({ exp: NOW / 1000 + 1e6 }));
  assert.equal(await outcomeOf(view, token, after.clock.now), 'verified');
  assert.deepEqual(
    view.status().map(({ count, fetchedAt }) => [count, fetchedAt]),
    [[1, NOW]],
  );
  await after.clock.pass(4_300_000);
  assert.equal(await outcomeOf(view, token, after.clock.now), 'KeysUnavailable?');
});
