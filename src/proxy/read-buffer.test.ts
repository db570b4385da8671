import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReadBuffer } from './read-buffer.ts';

const SHARED = Buffer.alloc(1024);

describe('what a connection to the app reads into', () => {
  test('is what all share, whose bytes are lent as copies', () => {
    const reading = new ReadBuffer(SHARED, false);
    reading.noteRead(1023);
    assert.equal(reading.current, SHARED);
    const slice = SHARED.subarray(0, 10);
    assert.notEqual(reading.lend(slice).buffer, slice.buffer);
  });

  test('is its own after a read that filled the shared one, whose bytes are lent as they stand', () => {
    const reading = new ReadBuffer(SHARED, false);
    reading.noteRead(1024);
    const own = reading.current;
    assert.notEqual(own, SHARED);
    const slice = own.subarray(5, 10);
    assert.equal(reading.lend(slice), slice);
    reading.noteRead(own.length);
    assert.equal(reading.current, own);
  });

  test('is another one while something that was lent is in use', () => {
    const reading = new ReadBuffer(SHARED, false);
    reading.noteRead(1024);
    const own = reading.current;
    reading.keep();
    assert.notEqual(reading.current, own);
    assert.notEqual(reading.current, SHARED);
  });

  test('is shared again after the answer, and nothing is kept of what was never lent', () => {
    const reading = new ReadBuffer(SHARED, false);
    reading.keep();
    assert.equal(reading.current, SHARED);
    reading.noteRead(1024);
    reading.rest();
    assert.equal(reading.current, SHARED);
  });

  test('is its own after a whole record of TLS', () => {
    const reading = new ReadBuffer(Buffer.alloc(128 * 1024), true);
    reading.noteRead(16 * 1024);
    assert.equal(reading.current.length, 16 * 1024);
  });
});
