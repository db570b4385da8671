import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createVerifiedCache, type CachedToken, type VerifiedCache } from './verified-cache.ts';

const entry: CachedToken<string> = {
  issuerKey: 'shop/corp',
  issuer: 'corp',
  keysGeneration: 1,
  until: 1,
  evidence: { state: 'undecided', reason: 'KeysUnavailable' },
};
const open = (entries: number, bytes = 1e9): VerifiedCache<string> => createVerifiedCache<string>({ entries, bytes });
const held = (cache: VerifiedCache<string>, names: readonly string[]): string[] =>
  names.filter(name => cache.find(name) !== undefined);

test('what was kept is found by its exact text', () => {
  const cache = open(2);
  cache.keep('a.b.c', entry);
  assert.equal(cache.find('a.b.c'), entry);
  assert.equal(cache.find('a.b.C'), undefined);
});

test('tokens with the same end are not taken for each other', () => {
  const cache = open(2);
  const end = 'x'.repeat(60);
  cache.keep(`a${end}`, entry);
  assert.equal(cache.find(`b${end}`), undefined);
  const other = { ...entry, keysGeneration: 2 };
  cache.keep(`b${end}`, other);
  assert.equal(cache.find(`b${end}`), other);
  assert.equal(cache.find(`a${end}`), undefined);
});

test('the number of entries is bounded, and what is used outlives what is not', () => {
  const cache = open(3);
  for (const name of ['a', 'b', 'c']) cache.keep(name, entry);
  cache.find('a');
  cache.keep('d', entry);
  assert.equal(cache.size(), 3);
  assert.deepEqual(held(cache, ['a', 'b', 'c', 'd']), ['a', 'c', 'd']);
});

test('the bytes are bounded', () => {
  const cache = open(1000, 10_000);
  for (let i = 0; i < 100; i++) cache.keep(`${'x'.repeat(500)}${i}`, entry);
  assert.equal(cache.size(), 4);
});

test('an entry larger than the whole cache is not kept', () => {
  const cache = open(1000, 10_000);
  cache.keep('x'.repeat(16_000), entry);
  assert.equal(cache.size(), 0);
  cache.keep('a', entry);
  assert.equal(cache.size(), 1);
});

test('keeping a text again replaces its entry', () => {
  const cache = open(2);
  cache.keep('a', entry);
  const later = { ...entry, keysGeneration: 2 };
  cache.keep('a', later);
  assert.equal(cache.find('a'), later);
  assert.equal(cache.size(), 1);
});

test('as many tokens in turn as there are entries are all held', () => {
  const cache = open(100);
  const names = Array.from({ length: 100 }, (_, i) => String(i));
  for (const name of names) cache.keep(name, entry);
  assert.equal(held(cache, names).length, 100);
  assert.equal(held(cache, names).length, 100);
});
