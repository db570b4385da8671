import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openScene, secret } from './testing/header-kit.ts';

const basic = (value: string) => ({ basic: { username: { value }, password: secret('a', 'password') } });

describe('basic', () => {
  const ROWS: Readonly<Record<string, readonly [user: string, password: string, header: string | undefined]>> = {
    // RFC 7617 section 2
    'the example of RFC 7617': ['Aladdin', 'open sesame', 'Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
    // RFC 7617 section 2.1
    'the example of RFC 7617 beyond ASCII': ['test', '123£', 'Authorization: Basic dGVzdDoxMjPCow=='],
    'a password with colons': ['a', 'b:c', 'Authorization: Basic YTpiOmM='],
    'a name with a colon': ['a:b', 'c', undefined],
    'a password with a control character': ['a', 'b\u0007c', undefined],
    'a password with a line break within': ['a', 'b\nc', undefined],
  };
  for (const [name, [user, password, header]] of Object.entries(ROWS)) {
    test(name, async () => {
      const scene = openScene({ 'a/password': password });
      const view = scene.prepare(basic(user));
      assert.equal(await scene.present(), header);
      assert.equal(view.status()[0]?.problem, header === undefined ? 'BAD_VALUE' : undefined);
    });
  }
});

describe('header', () => {
  const ROWS: Readonly<Record<string, readonly [value: string | Uint8Array, header: string | undefined]>> = {
    'a key': ['s3cr3t', 'X-Api-Key: s3cr3t'],
    'with a scheme': ['Token s3cr3t', 'X-Api-Key: Token s3cr3t'],
    'with the line break of a file': ['s3cr3t\n', 'X-Api-Key: s3cr3t'],
    'with a second header': ['s3cr3t\r\nX-Admin: 1', undefined],
    'beyond ASCII': ['schlüssel', undefined],
    'no UTF-8': [Uint8Array.of(0xff, 0xfe), undefined],
    'a space at its end': ['s3cr3t ', undefined],
    empty: ['', undefined],
    'longer than any head': ['x'.repeat(20_000), undefined],
  };
  for (const [name, [value, header]] of Object.entries(ROWS)) {
    test(name, async () => {
      const scene = openScene({ 'a/key': value });
      scene.prepare({ header: { name: 'X-Api-Key', value: secret('a', 'key') } });
      assert.equal(await scene.present(), header);
      assert.equal(scene.lines.join().includes('s3cr3t'), false);
    });
  }

  test('another credential’s name presents nothing', async () => {
    const scene = openScene({ 'a/key': 'x' });
    scene.prepare({ header: { name: 'X-Api-Key', value: secret('a', 'key') } });
    assert.equal(await scene.view.present('shop/other', { name: 'a', port: 1 }, { now: 0 }), undefined);
  });
});
