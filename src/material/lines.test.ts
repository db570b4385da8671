import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLineReader, encodeLine, LineTooLong } from './lines.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('lines come whole, however the bytes are cut', () => {
  const text = `${encodeLine({ a: 'ü€' })}\n${encodeLine({ b: 2 })}rest`;
  for (const size of [1, 2, 3, 7, 100]) {
    const reader = createLineReader(1000);
    const whole = bytes(text);
    const lines: string[] = [];
    for (let at = 0; at < whole.length; at += size) lines.push(...reader.read(whole.subarray(at, at + size)));
    assert.deepEqual(lines, ['{"a":"ü€"}', '{"b":2}'], `cut to ${size}`);
    assert.deepEqual(reader.read(bytes('\n')), ['rest']);
  }
});

test('a line of just the bound is read, and a longer one refused, complete or not', () => {
  assert.deepEqual(createLineReader(5).read(bytes('abcd\nefgh\n')), ['abcd', 'efgh']);
  assert.throws(() => createLineReader(5).read(bytes('abcde\n')), LineTooLong);
  const reader = createLineReader(5);
  reader.read(bytes('abcd'));
  assert.throws(() => reader.read(bytes('e')), LineTooLong);
});
