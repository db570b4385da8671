/** An issuer's keys over time: discovery, rotation, outages, floods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_MATERIAL, type Material } from '../material/material.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { FetchAnswer } from '../outbound/fetcher.ts';
import {
  claimsOf,
  createBench,
  createSigningKey,
  ISSUER,
  jwksPlan,
  NOW,
  outcomeOf,
  planOf,
  plansOf,
  settle,
  signToken,
  type Bench,
  type SigningKey,
} from './testing/token-kit.ts';
import { createTokens, type TokenView } from './tokens.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const oldKey = createSigningKey('ES256', 'old');
const newKey = createSigningKey('ES256', 'new');
const keySet = (...keys: SigningKey[]): object => ({ keys: keys.map(key => key.jwk) });
const token = (key: SigningKey, number = 0): string => signToken(key, claimsOf({ jti: number, exp: NOW / 1000 + 1e6 }));
const down = (): never => {
  throw new FetchError('CONNECT', 'issuer.test:443', 'ECONNREFUSED');
};

interface Scene extends Bench {
  /** What the issuer answers from now on. */
  answer: () => unknown;
  readonly view: TokenView;
  outcome(text: string): Promise<string>;
}

async function open(answer: () => unknown, plan = jwksPlan()): Promise<Scene> {
  const bench = createBench(() => scene.answer());
  const scene: Scene = {
    ...bench,
    answer,
    view: undefined as unknown as TokenView,
    outcome: text => outcomeOf(scene.view, text, scene.clock.now),
  };
  Object.assign(scene, { view: bench.tokens.prepare(plansOf(plan), EMPTY_MATERIAL) });
  await settle();
  return scene;
}

const discovery = (spec: object = {}): ReturnType<typeof planOf> =>
  planOf({ discovery: { url: 'https://issuer.test/.well-known/openid-configuration' }, ...spec });

test('discovery says where the keys are and what the issuer is called', async () => {
  const bench = createBench(url =>
    url.endsWith('configuration') ? { issuer: ISSUER, jwks_uri: 'https://keys.test/set' } : keySet(oldKey),
  );
  const view = bench.tokens.prepare(plansOf(discovery()), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, token(oldKey)), 'verified');
  assert.deepEqual(bench.fetcher.calls, [
    'https://issuer.test/.well-known/openid-configuration',
    'https://keys.test/set',
  ]);
});

for (const [sentence, [document, code]] of Object.entries<[unknown, string]>({
  'names another issuer than TokenIssuer.issuer': [
    { issuer: 'https://evil.test/', jwks_uri: 'https://k.test/' },
    'ISSUER_MISMATCH',
  ],
  'names no issuer': [{ jwks_uri: 'https://k.test/' }, 'NO_ISSUER'],
  'names no key set': [{ issuer: ISSUER }, 'NO_JWKS_URI'],
  'came by https but names a key set by http': [{ issuer: ISSUER, jwks_uri: 'http://k.test/' }, 'NO_JWKS_URI'],
  'names a key set in a file': [{ issuer: ISSUER, jwks_uri: 'file:///etc/passwd' }, 'NO_JWKS_URI'],
  'is a list': [[], 'NOT_JSON'],
})) {
  test(`a discovery document is refused when it ${sentence}`, async () => {
    const scene = await open(() => document, discovery({ issuer: ISSUER }));
    assert.equal(await scene.outcome(token(oldKey)), 'KeysUnavailable?');
    assert.equal(scene.view.status()[0]?.lastError, code);
  });
}

for (const [sentence, [answer, code]] of Object.entries<[() => unknown, string]>({
  'is down': [down, 'CONNECT'],
  'answers no JSON': [() => Buffer.from('<html>'), 'NOT_JSON'],
  'answers text that is not UTF-8': [() => Buffer.from([0x7b, 0xff, 0x7d]), 'NOT_JSON'],
  'answers an object without keys': [() => ({ keys: {} }), 'NOT_A_KEY_SET'],
  'answers an empty set': [() => keySet(), 'NO_USABLE_KEYS'],
  'answers keys for encryption only': [() => ({ keys: [{ ...oldKey.jwk, use: 'enc' }] }), 'NO_USABLE_KEYS'],
  'answers symmetric keys': [() => ({ keys: [{ kty: 'oct', k: 'A'.repeat(43), alg: 'HS256' }] }), 'NO_USABLE_KEYS'],
  'publishes its private key': [() => ({ keys: [oldKey.privateKey.export({ format: 'jwk' })] }), 'NO_USABLE_KEYS'],
})) {
  test(`without a good key set every token is undecided: the issuer ${sentence}`, async () => {
    const scene = await open(answer);
    assert.equal(await scene.outcome(token(oldKey)), 'KeysUnavailable?');
    assert.deepEqual(scene.view.status(), [
      { key: 'shop/corp', count: 0, fetchedAt: undefined, stale: true, lastError: code },
    ]);
  });
}

test('an issuer that was down at the start serves as soon as it is back', async () => {
  const scene = await open(down);
  assert.equal(await scene.outcome(token(oldKey)), 'KeysUnavailable?');
  scene.answer = () => keySet(oldKey);
  await scene.clock.pass(1000);
  assert.equal(await scene.outcome(token(oldKey)), 'verified');
});

test('failures are retried with growing pauses, never more than 30 s', async () => {
  const scene = await open(down);
  const counts: number[] = [];
  for (let i = 0; i < 6; i++) {
    await scene.clock.pass(10_000);
    counts.push(scene.fetcher.calls.length);
  }
  assert.deepEqual(counts, [2, 3, 4, 5, 5, 6]);
});

test('keys are fetched again before cache.maxAge in the background, and a removed key no longer counts', async () => {
  const scene = await open(() => keySet(oldKey, newKey));
  assert.equal(await scene.outcome(token(oldKey)), 'verified');
  scene.answer = () => keySet(newKey);
  await scene.clock.pass(10 * MINUTE);
  assert.equal(scene.fetcher.calls.length, 2);
  assert.equal(await scene.outcome(token(oldKey)), 'TokenKeyNotFound');
  assert.equal(await scene.outcome(token(newKey)), 'verified');
});

test('a fetch that brings the same keys leaves verified tokens in the cache', async () => {
  const scene = await open(() => keySet(oldKey, newKey));
  const text = signToken(oldKey, claimsOf({ exp: NOW / 1000 + 1e6 }));
  await scene.clock.pass(9 * MINUTE);
  await scene.outcome(text);
  scene.answer = () => keySet(newKey, oldKey);
  await scene.clock.pass(MINUTE);
  assert.equal(scene.fetcher.calls.length, 2);
  await scene.outcome(text);
  assert.equal(scene.counts.get('sallyport_token_cache_hits'), 1);
});

test('a key that appears after a rotation is fetched when the first token names it', async () => {
  const scene = await open(() => keySet(oldKey));
  scene.answer = () => keySet(oldKey, newKey);
  assert.equal(await scene.outcome(token(newKey)), 'verified');
  assert.equal(await scene.outcome(token(oldKey)), 'verified');
  assert.equal(scene.fetcher.calls.length, 2);
});

test('an issuer without key ids gets the same chance', async () => {
  const plain = { ...oldKey, keyId: undefined, jwk: { ...oldKey.jwk, kid: undefined } };
  const next = { ...newKey, keyId: undefined, jwk: { ...newKey.jwk, kid: undefined } };
  const scene = await open(() => keySet(plain));
  scene.answer = () => keySet(next);
  assert.equal(await scene.outcome(token(next)), 'verified');
  assert.equal(await scene.outcome(token(plain)), 'TokenSignatureInvalid');
});

test('ten thousand made-up key ids cause one fetch, and good tokens do not wait for it', async () => {
  const scene = await open(() => keySet(oldKey));
  const good = token(oldKey);
  await scene.outcome(good);
  const slow = Promise.withResolvers<object>();
  scene.answer = () => slow.promise;
  const forged = (i: number): string => {
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: `made-up-${i}` })).toString('base64url');
    return good.replace(/^[^.]+/, header);
  };
  const flood = Array.from({ length: 10_000 }, (_, i) => scene.outcome(forged(i)));
  await settle();
  assert.equal(await scene.outcome(token(oldKey, 1)), 'verified');
  slow.resolve(keySet(oldKey));
  assert.deepEqual(new Set(await Promise.all(flood)), new Set(['TokenKeyNotFound']));
  assert.equal(scene.fetcher.calls.length, 2);
  await scene.clock.pass(29_999);
  assert.equal(await scene.outcome(forged(-1)), 'TokenKeyNotFound');
  assert.equal(scene.fetcher.calls.length, 2);
  await scene.clock.pass(1);
  assert.equal(await scene.outcome(forged(-2)), 'TokenKeyNotFound');
  assert.equal(scene.fetcher.calls.length, 3);
});

test('an unknown key id during an outage is undecided, since the key may exist', async () => {
  const scene = await open(() => keySet(oldKey));
  scene.answer = down;
  assert.equal(await scene.outcome(token(newKey)), 'KeysUnavailable?');
  assert.equal(await scene.outcome(token(newKey, 1)), 'KeysUnavailable?');
  assert.equal(await scene.outcome(token(oldKey)), 'verified');
});

test('the last good keys serve for cache.maxStale after cache.maxAge, then tokens are undecided, then the issuer is back', async () => {
  const scene = await open(() => keySet(oldKey));
  scene.answer = down;
  const text = token(oldKey);
  for (let hour = 0; hour < 24; hour++) {
    await scene.clock.pass(HOUR);
    assert.equal(await scene.outcome(text), 'verified');
  }
  const status = scene.view.status()[0];
  assert.deepEqual([status?.stale, status?.lastError, status?.count], [true, 'CONNECT', 1]);
  assert.ok(scene.fetcher.calls.length > 24);
  await scene.clock.pass(10 * MINUTE);
  assert.equal(await scene.outcome(text), 'KeysUnavailable?');
  scene.answer = () => keySet(oldKey);
  await scene.clock.pass(30_000);
  assert.equal(await scene.outcome(text), 'verified');
  assert.equal(scene.view.status()[0]?.stale, false);
});

test('a bad answer after a good one changes nothing', async () => {
  const scene = await open(() => keySet(oldKey));
  for (const bad of [keySet(), {}, [], Buffer.from('x')]) {
    scene.answer = () => bad;
    await scene.clock.pass(10 * MINUTE);
    assert.equal(await scene.outcome(token(oldKey)), 'verified');
  }
});

test('an HTTP status other than 200 is a failure, whatever the body says', async () => {
  const bench = createBench(() => null);
  const answer: FetchAnswer = { status: 500, headers: {}, body: Buffer.from(JSON.stringify(keySet(oldKey))) };
  const tokens = createTokens({
    fetcher: { fetch: () => Promise.resolve(answer), close: () => Promise.resolve() },
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: { count: () => undefined, gauge: () => undefined, observe: () => undefined },
    clock: () => bench.clock.now,
    later: bench.clock.later,
  });
  const view = tokens.prepare(plansOf(jwksPlan()), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, token(oldKey)), 'KeysUnavailable?');
  assert.equal(view.status()[0]?.lastError, 'HTTP_500');
});

test('a token that comes during the first fetch waits for it', async () => {
  const first = Promise.withResolvers<object>();
  const scene = await open(() => first.promise);
  const outcome = scene.outcome(token(oldKey));
  first.resolve(keySet(oldKey));
  assert.equal(await outcome, 'verified');
  assert.equal(scene.fetcher.calls.length, 1);
});

test('before discovery has said what its issuer is called, an unknown iss is undecided', async () => {
  const scene = await open(down, discovery());
  assert.equal(await scene.outcome(token(oldKey)), 'KeysUnavailable?');
});

test('ready resolves when every issuer was asked once, or when the time is up', async () => {
  const scene = await open(down);
  await scene.view.ready(5000);
  const never = await open(() => new Promise(() => undefined));
  const ready = never.view.ready(5000);
  await never.clock.pass(5000);
  await ready;
});

test('an issuer that did not change is not asked again; one that is gone is left in peace', async () => {
  const bench = createBench(() => keySet(oldKey));
  bench.tokens.prepare(plansOf(jwksPlan()), EMPTY_MATERIAL);
  await settle();
  const view = bench.tokens.prepare(plansOf(jwksPlan({ clockSkew: 0 })), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, token(oldKey)), 'verified');
  assert.equal(bench.fetcher.calls.length, 1);
  bench.tokens.prepare(new Map(), EMPTY_MATERIAL);
  await bench.clock.pass(HOUR);
  assert.equal(bench.fetcher.calls.length, 1);
  // A request that holds the old view is judged by it to its end.
  assert.equal(await outcomeOf(view, token(oldKey, 1)), 'verified');
});

const trusting = (ca: string | undefined): Material => ({
  ...EMPTY_MATERIAL,
  configMap: () => (ca === undefined ? undefined : new Map([['ca.crt', Buffer.from(ca)]])),
});
const trustedPlan = jwksPlan({
  jwks: { url: 'https://issuer.test/jwks', trust: { configMapKeyRef: { name: 'corp-ca', key: 'ca.crt' } } },
});

test('a new trust is used at once, and the keys fetched under the old one stay in force meanwhile', async () => {
  const trusts: unknown[] = [];
  const bench = createBench((_, { trust }) => {
    trusts.push(trust);
    if (trusts.length > 1) down();
    return keySet(oldKey);
  });
  bench.tokens.prepare(plansOf(trustedPlan), trusting('first'));
  await settle();
  const view = bench.tokens.prepare(plansOf(trustedPlan), trusting('second'));
  assert.equal(await outcomeOf(view, token(oldKey)), 'verified');
  assert.deepEqual(trusts, [{ ca: 'first' }, { ca: 'second' }]);
});

test('a trust that is named but missing is never replaced by the public roots', async () => {
  const bench = createBench(() => keySet(oldKey));
  const view = bench.tokens.prepare(plansOf(trustedPlan), trusting(undefined));
  assert.equal(await outcomeOf(view, token(oldKey)), 'KeysUnavailable?');
  assert.equal(view.status()[0]?.lastError, 'TRUST_MISSING');
  assert.equal(bench.fetcher.calls.length, 0);
});

test('an issuer at another place starts without the keys of the old one', async () => {
  let answer: () => unknown = () => keySet(oldKey);
  const bench = createBench(() => answer());
  bench.tokens.prepare(plansOf(jwksPlan()), EMPTY_MATERIAL);
  await settle();
  answer = down;
  const view = bench.tokens.prepare(plansOf(jwksPlan({ jwks: { url: 'https://moved.test/' } })), EMPTY_MATERIAL);
  assert.equal(await outcomeOf(view, token(oldKey)), 'KeysUnavailable?');
});

test('an answer that comes after its issuer has changed has no effect', async () => {
  const late = Promise.withResolvers<object>();
  let answer: () => unknown = () => late.promise;
  const bench = createBench(() => answer());
  const before = bench.tokens.prepare(plansOf(jwksPlan()), EMPTY_MATERIAL);
  answer = () => keySet(newKey);
  const view = bench.tokens.prepare(plansOf(jwksPlan({ jwks: { url: 'https://moved.test/' } })), EMPTY_MATERIAL);
  await settle();
  late.resolve(keySet(oldKey));
  await settle();
  assert.equal(await outcomeOf(view, token(oldKey)), 'TokenKeyNotFound');
  assert.equal(await outcomeOf(before, token(oldKey)), 'KeysUnavailable?');
});
