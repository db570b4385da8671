import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CHUNK_END, chunkStart, createBodyDecoder, createChunkedDecoder, LAST_CHUNK } from './body.ts';
import { bytes, decode } from './testing/bodies.ts';

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

const LARGEST_EXTENSIONS = `1;${'e'.repeat(255)}\r\nx\r\n`.repeat(64);

const REFUSED: Record<string, string> = {
  'no size': '\r\n',
  'an extension without size': ';a\r\n',
  'a bare LF after the size': '5\nhello\r\n0\r\n\r\n',
  'a bare CR after the size': '5\rhello',
  'CR CR LF after the size': '5\r\r\nhello',
  'a space before the size': ' 5\r\nhello\r\n',
  'a space after the size': '5 \r\nhello\r\n',
  'a tab after the size': '5\t\r\nhello\r\n',
  'a space before the extension': '5 ;a\r\nhello\r\n',
  'a plus sign': '+5\r\nhello\r\n',
  'a minus sign': '-5\r\nhello\r\n',
  '0x': '0x5\r\nhello\r\n',
  'an underscore': '1_0\r\nhello',
  'a letter that is no digit': 'g\r\n',
  NUL: '5\0\r\nhello',
  'a comma': '5,5\r\nhello',
  'fourteen digits': '00000000000005\r\nhello\r\n',
  'a size of 2^64': '10000000000000000\r\n',
  'a size of 2^64 - 1': 'ffffffffffffffff\r\n',
  'a bare LF in an extension': '5;a\nhello\r\n0\r\n\r\n',
  'a bare CR in an extension': '5;a\rb\r\nhello\r\n0\r\n\r\n',
  'NUL in an extension': '5;\0\r\nhello',
  'a byte from 0x80 in an extension': '5;\xff\r\nhello',
  'an extension of 257 bytes': `1;${'e'.repeat(256)}\r\nx\r\n`,
  'an extension without end (CVE-2024-22019)': `1;${'e'.repeat(20000)}`,
  'extensions of more than 16 KiB in all': `${LARGEST_EXTENSIONS}1;\r\n`,
  'data longer than its chunk': '5\r\nhello!\r\n0\r\n\r\n',
  'data shorter than its chunk': '5\r\nhell\r\n0\r\n\r\n',
  'no CRLF after the data': '5\r\nhello0\r\n\r\n',
  'a bare LF after the data': '5\r\nhello\n0\r\n\r\n',
  'a bare CR after the data': '5\r\nhello\r0\r\n\r\n',
  'a bare LF at the end': '0\r\n\n',
  'a bare CR at the end': '0\r\n\rX',
  'a bare LF after the last size': '0\n\r\n',
  'a folded trailer': '0\r\nX: a\r\n b\r\n\r\n',
  'a space before the colon of a trailer': '0\r\nX : a\r\n\r\n',
  'a trailer without colon': '0\r\nGET / HTTP/1.1\r\n\r\n',
  'NUL in a trailer': '0\r\nX: \0\r\n\r\n',
  'a bare LF in a trailer': '0\r\nX: a\nY: b\r\n\r\n',
  'trailers of more than 8 KiB': `0\r\nX: ${'a'.repeat(8192)}\r\n\r\n`,
  'trailers without end': `0\r\nX: ${'a'.repeat(20000)}`,
  '65 trailers': `0\r\n${'X: y\r\n'.repeat(65)}\r\n`,
};

suite('refused chunked body:', () => {
  for (const [sentence, text] of Object.entries(REFUSED)) {
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
