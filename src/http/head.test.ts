import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findAll, findSingle, foldName, joinValues } from './head.ts';
import { requestHead } from './testing/messages.ts';

const head = requestHead(
  'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: one\r\nauthorization: two\r\nCookie: a=1\r\ncookie: b=2\r\nX-Empty:\r\n__proto__: p\r\n\r\n',
);

test('a header sent twice has no single value', () => {
  assert.equal(findSingle(head, 'host'), 'a');
  assert.equal(findSingle(head, 'x-empty'), '');
  assert.equal(findSingle(head, '__proto__'), 'p');
  assert.equal(findSingle(head, 'authorization'), undefined);
  assert.equal(findSingle(head, 'constructor'), undefined);
});

test('every line of a header is found in order', () => {
  assert.deepEqual(findAll(head, 'authorization'), ['one', 'two']);
  assert.deepEqual(findAll(head, 'absent'), []);
});

test('lines are joined by commas, cookies by semicolons (E6)', () => {
  assert.equal(joinValues(head, 'authorization'), 'one, two');
  assert.equal(joinValues(head, 'cookie'), 'a=1; b=2');
  assert.equal(joinValues(head, 'host'), 'a');
  assert.equal(joinValues(head, 'absent'), undefined);
});

test('names fold case, underscores and dots', () => {
  assert.equal(foldName('X_Auth.User-Id'), 'x-auth-user-id');
});
