import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CHUNK_END, chunkStart, createBodyDecoder, createChunkedDecoder, LAST_CHUNK } from './body.ts';
import { bytes, decode } from './testing/bodies.ts';
import { LARGEST_EXTENSIONS, REFUSED_CHUNKS } from './testing/refused-chunks.ts';

const chunked = (...pieces: string[]) => decode(createChunkedDecoder(), pieces);

const ACCEPTED: Record<string, [text: string, data: string, trailers?: [string, string][]]> = {
  'no data': ['0\r\n\r\n', ''],
  'one chunk': ['5\r\nhello\r\n0\r\n\r\n', 'hello'],
  'two chunks': ['1\r\na\r\n2\r\nbc\r\n0\r\n\r\n', 'abc'],
  'hex in either case': ['a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'],
  'leading zeros': ['0000000000001\r\na\r\n000\r\n\r\n', 'a'],
  'data that looks like framing': ['7\r\n0\r\n\r\nG \r\n0\r\n\r\n', '0\r\n\r\nG '],
  'an extension': ['1;a=b\r\nx\r\n0;c\r\n\r\n', 'x'],
  'an extension with a quoted value': ['1;a="b;\\"c"\r\nx\r\n0\r\n\r\n', 'x'],
  'an extension of 256 bytes': [`1;${'e'.repeat(255)}\r\nx\r\n0\r\n\r\n`, 'x'],
  trailers: [
    '0\r\nX-Sum: 1\r\nx-empty:\r\n\r\n',
    '',
    [
      ['X-Sum', '1'],
      ['x-empty', ''],
    ],
  ],
};

suite('chunked body with', () => {
  for (const [sentence, [text, data, trailers = []]] of Object.entries(ACCEPTED)) {
    test(sentence, () => {
      const expected = { outcome: 'end', data, consumed: text.length, trailers };
      assert.deepEqual(chunked(`${text}GET / HTTP/1.1`), expected);
      assert.deepEqual(chunked(...Array.from(text)), expected, 'byte by byte');
    });
  }
});

suite('refused chunked body:', () => {
  for (const [sentence, text] of Object.entries(REFUSED_CHUNKS)) {
    test(sentence, () => {
      assert.equal(chunked(text).outcome, 'error');
      assert.equal(chunked(...Array.from(text)).outcome, 'error', 'byte by byte');
    });
  }
});

test('extensions of 16 KiB in all are borne', () => {
  assert.equal(chunked(`${LARGEST_EXTENSIONS}0\r\n\r\n`).outcome, 'end');
});

test('an error stays, and what follows the end is not read as more of the body', () => {
  const decoder = createChunkedDecoder();
  assert.equal(decode(decoder, ['x']).outcome, 'error');
  assert.equal(decode(decoder, ['0\r\n\r\n']).outcome, 'error');
  const ended = createChunkedDecoder();
  assert.equal(decode(ended, ['0\r\n\r\n']).outcome, 'end');
  assert.equal(decode(ended, ['X: y\r\n\r\n']).outcome, 'error');
});

test('data is handed over as slices of the input, not copied', () => {
  const input = bytes('5\r\nhello\r\n0\r\n\r\n');
  const slices: Uint8Array[] = [];
  createChunkedDecoder().read(input, { data: slice => slices.push(slice) });
  assert.deepEqual(slices, [bytes('hello')]);
  assert.equal(slices[0]?.buffer, input.buffer);
});

test('a large chunk is handed over as it comes', () => {
  const decoder = createChunkedDecoder();
  assert.deepEqual(decode(decoder, ['fffffffffffff\r\nab']), { outcome: 'more', data: 'ab' });
  assert.deepEqual(decode(decoder, ['cd']), { outcome: 'more', data: 'cd' });
});

test('a body of a length ends at its last byte', () => {
  const decoder = createBodyDecoder({ kind: 'length', length: 5 });
  assert.deepEqual(decode(decoder, ['he', 'llo!!']), { outcome: 'end', data: 'hello', consumed: 5, trailers: [] });
});

test('no body and a body of no bytes end without any', () => {
  for (const framing of [{ kind: 'none' }, { kind: 'length', length: 0 }] as const) {
    assert.deepEqual(decode(createBodyDecoder(framing), ['GET']), {
      outcome: 'end',
      data: '',
      consumed: 0,
      trailers: [],
    });
    assert.equal(decode(createBodyDecoder(framing), ['']).outcome, 'end');
  }
});

test('a body until close never ends by itself', () => {
  assert.deepEqual(decode(createBodyDecoder({ kind: 'until-close' }), ['a', '', 'b']), { outcome: 'more', data: 'ab' });
});

test('chunks that are written are read', () => {
  const data = ['a', 'b'.repeat(16), 'c'.repeat(70000)];
  const text = data.map(part => chunkStart(part.length) + part + CHUNK_END).join('') + LAST_CHUNK;
  assert.deepEqual(chunked(text), { outcome: 'end', data: data.join(''), consumed: text.length, trailers: [] });
});
