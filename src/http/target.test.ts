import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isQueryAllowed, readTarget } from './target.ts';

test('path and query part at the first question mark, and only the path is rewritten', () => {
  assert.deepEqual(readTarget('/%61/./b?%61=/../c?d'), { path: '/a/b', query: '%61=/../c?d' });
  assert.deepEqual(readTarget('/a'), { path: '/a', query: '' });
  assert.deepEqual(readTarget('/a?'), { path: '/a', query: '' });
});

test('a query cannot make a path ambiguous, nor a fragment hide anything', () => {
  assert.deepEqual(readTarget('/a?x=//%2f;..\\'), { path: '/a', query: 'x=//%2f;..\\' });
  assert.deepEqual(readTarget('/a?x#y'), { reason: 'AmbiguousPath' });
  assert.deepEqual(readTarget('/a#?x'), { reason: 'AmbiguousPath' });
  assert.deepEqual(readTarget('/a%23?x'), { path: '/a%23', query: 'x' });
});

test('`:path` of HTTP/2 must start with a slash', () => {
  for (const target of ['', 'Svc/M', '*', '?x', 'http://a/']) {
    assert.deepEqual(readTarget(target), { reason: 'MalformedRequest' }, target);
  }
});

test('a query of control characters, spaces or bytes from 0x80 is refused', () => {
  for (const query of ['a=\0', 'a=\r\nX: y', 'a b', 'a=\x7f', 'a=\xe9', 'a=\u0100']) {
    assert.ok(!isQueryAllowed(query), JSON.stringify(query));
  }
});

test('every spelling of the _method parameter is refused', () => {
  const spellings = [
    '_method',
    '_METHOD',
    '_Method',
    '%5fmethod',
    '%5Fmethod',
    '_%6dethod',
    '%5f%6d%65%74%68%6f%64',
    '%5F%4D%45%54%48%4F%44',
    '.method',
    '%2emethod',
    '+method',
    '%20method',
    '++_method',
    '%20+_method',
    '_method[',
    '_method[]',
    '_method%5b',
    '_method%00',
    '_method%00x',
  ];
  for (const name of spellings) {
    for (const query of [name, `${name}=DELETE`, `a=b&${name}=DELETE`, `a=b;${name}`, `&&${name}=`]) {
      assert.ok(!isQueryAllowed(query), query);
    }
  }
});

test('parameters that no framework takes for _method pass', () => {
  for (const query of [
    'method=x',
    'x_method=1',
    '_methods=1',
    '__method=1',
    'a=_method',
    'a=&b=_method',
    '_metho=1',
    '%25_method=1',
    '_method2',
  ]) {
    assert.ok(isQueryAllowed(query), query);
  }
});
