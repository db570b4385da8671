import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Asn1Error } from './der.ts';
import { decodeBase64, encodePem, parsePem } from './pem.ts';

describe('parsePem', () => {
  test('reads what encodePem writes, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        assert.deepEqual(parsePem(encodePem('CERTIFICATE', bytes), 1000), [{ label: 'CERTIFICATE', der: bytes }]);
      }),
      { numRuns: 200 },
    );
  });

  test('reads several blocks and skips the text between them', () => {
    const text = `Subject: a\n${encodePem('A', Uint8Array.of(1))}between\r\n${encodePem('B', Uint8Array.of(2))}`;
    assert.deepEqual(
      parsePem(text, 100).map(({ label }) => label),
      ['A', 'B'],
    );
  });

  test('empty text holds no block', () => assert.deepEqual(parsePem('', 100), []));

  const malformed: Record<string, string> = {
    'a block that does not end': '-----BEGIN CERTIFICATE-----\nAAAA\n',
    'a block that ends as another': '-----BEGIN A-----\nAAAA\n-----END B-----\n',
    'other characters': '-----BEGIN A-----\nAA-A\n-----END A-----\n',
    'a wrong length': '-----BEGIN A-----\nAAA\n-----END A-----\n',
    'a block that is too large': encodePem('A', new Uint8Array(101)),
  };
  for (const [what, text] of Object.entries(malformed)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => parsePem(text, 100), Asn1Error);
    });
  }
});

describe('decodeBase64', () => {
  for (const text of ['A', 'AA=A', 'A===', 'AB==', 'AAB=', 'AA==AAAA', 'AA A', '=AAA']) {
    test(`refuses ${text}`, () => {
      assert.throws(() => decodeBase64(text), Asn1Error);
    });
  }
  test('reads padded and unpadded text', () => {
    assert.deepEqual([...decodeBase64('AQI=')], [1, 2]);
    assert.deepEqual([...decodeBase64('AQID')], [1, 2, 3]);
    assert.deepEqual([...decodeBase64('')], []);
  });
});
