import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCanonical, MAX_TOKEN_LENGTH, parseCompact, parseJsonObject } from './compact.ts';
import { encode } from './testing/token-kit.ts';

const header = (fields: object): string => encode({ alg: 'RS256', ...fields });
const token = (fields: object): string => `${header(fields)}.e30.c2ln`;
const plain = header({});

test('a token of three parts is read', () => {
  assert.deepEqual(parseCompact(token({ kid: 'a', typ: 'JWT' })), {
    kind: 'signed',
    text: token({ kid: 'a', typ: 'JWT' }),
    algorithm: 'RS256',
    keyId: 'a',
    payload: 'e30',
  });
});

test('a token of five parts is read as encrypted, with an empty encrypted key too', () => {
  for (const key of ['YWJj', '']) {
    const parsed = parseCompact(`${encode({ alg: 'dir', enc: 'A256GCM' })}.${key}.YWJj.YWJj.YWJj`);
    assert.ok(!('refused' in parsed) && parsed.kind === 'encrypted');
  }
});

const MALFORMED: Record<string, string> = {
  'no text': '',
  'one part': plain,
  'two parts': `${plain}.e30`,
  'four parts': `${plain}.e30.c2ln.c2ln`,
  'six parts': `${plain}.e30.c2ln.c2ln.c2ln.c2ln`,
  'an empty signature': `${plain}.e30.`,
  'an empty payload': `${plain}..c2ln`,
  'an empty header': '.e30.c2ln',
  'only dots': '.'.repeat(10_000),
  padding: `${plain}.e30=.c2ln`,
  'the base64 alphabet': `${plain}.e30.c2+/`,
  'a space before': ` ${token({})}`,
  'a space inside': `${plain}.e30. c2ln`,
  'a line break after': `${token({})}\n`,
  'letters outside ASCII': `${plain}.e30.c2lñ`,
  'stray bits in the signature': `${plain}.e30.c2lu_F`,
  'stray bits in the payload': `${plain}.e31.c2ln`,
  'a part of impossible length': `${plain}.e30.c2lnc`,
  'JSON serialisation': JSON.stringify({ protected: plain, payload: 'e30', signature: 'c2ln' }),
  'a header that is no JSON': `${Buffer.from('{alg').toString('base64url')}.e30.c2ln`,
  'a header that is no object': `${encode(['RS256'])}.e30.c2ln`,
  'a header that is null': `${encode(null)}.e30.c2ln`,
  'a header that is not UTF-8': `${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.e30.c2ln`,
  'no alg': `${encode({ kid: 'a' })}.e30.c2ln`,
  'an alg that is a list': `${encode({ alg: ['RS256'] })}.e30.c2ln`,
  'a kid that is a number': token({ kid: 7 }),
  'a kid that is null': token({ kid: null }),
  'a kid that is very long': token({ kid: 'k'.repeat(1025) }),
  'a header nested too deep': `${Buffer.from(`{"alg":"RS256","x":${'['.repeat(40)}${']'.repeat(40)}}`).toString('base64url')}.e30.c2ln`,
  'more than 16 KiB': `${plain}.${'e'.repeat(MAX_TOKEN_LENGTH)}.c2ln`,
};

for (const [sentence, text] of Object.entries(MALFORMED)) {
  test(`a token is malformed with ${sentence}`, () => {
    assert.deepEqual(parseCompact(text), { refused: 'TokenMalformed' });
  });
}

for (const [sentence, fields] of Object.entries({
  'an unknown crit': { crit: ['exp'], exp: 1 },
  'an empty crit': { crit: [] },
  'a crit of the wrong type': { crit: 'b64' },
  'a crit that is null': { crit: null },
  'a doubled crit': { crit: ['b64', 'b64'], b64: true },
  'a standard name in crit': { crit: ['alg'] },
  'an unencoded payload': { crit: ['b64'], b64: false },
  'b64 without crit': { b64: false },
  compression: { zip: 'DEF' },
})) {
  test(`a token is refused for ${sentence}`, () => {
    assert.deepEqual(parseCompact(token(fields)), { refused: 'TokenAlgorithmNotAllowed' });
  });
}

for (const typ of ['JWT', 'jwt', 'application/JWT', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'JOSE', 'Bearer', '']) {
  test(`a token that says of itself: ${typ}, is read`, () => assert.ok(!('refused' in parseCompact(token({ typ })))));
}

for (const typ of [
  'logout+jwt',
  'LOGOUT+JWT',
  'application/logout+jwt',
  'dpop+jwt',
  'secevent+jwt',
  'token-introspection+jwt',
  'oauth-authz-req+jwt',
  'xat+jwt',
  ' dpop+jwt ',
  ['JWT'],
  null,
]) {
  test(`a token that is made for another use is malformed: ${String(typ)}`, () => {
    assert.deepEqual(parseCompact(token({ typ })), { refused: 'TokenMalformed' });
  });
}

test('only one text of every byte sequence is canonical', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      fc.constantFrom('A', 'Q', 'g', 'w', 'E', 'B', '_', '-'),
      (bytes, letter) => {
        const text = Buffer.from(bytes).toString('base64url');
        assert.ok(isCanonical(text));
        const other = text.slice(0, -1) + letter;
        if (isCanonical(other)) assert.equal(Buffer.from(other, 'base64url').toString('base64url'), other);
      },
    ),
    { numRuns: 300 },
  );
});

test('names of Object.prototype are ordinary members of what is read', () => {
  const read = parseJsonObject(Buffer.from('{"__proto__":{"x":1},"constructor":2}').toString('base64url'));
  assert.ok(read !== undefined);
  assert.equal(Object.getPrototypeOf(read), null);
  assert.deepEqual(Object.keys(read), ['__proto__', 'constructor']);
  assert.equal(Object.getPrototypeOf(read['__proto__']), null);
  assert.equal('x' in read, false);
});

test('a replacement character that really stands in the text is no fault', () => {
  assert.deepEqual({ ...parseJsonObject(encode({ a: '\ufffd' })) }, { a: '\ufffd' });
});
