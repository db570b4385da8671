import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sanitizeFields, sanitizeText } from './fields.ts';

const LOOKS_SECRET: Readonly<Record<string, string>> = {
  'a token': 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln',
  'a token inside a sentence': 'could not read "eyJhbGciOiJSUzI1NiJ9" at position 7',
  'an Authorization value': 'Bearer abcdef012345',
  'basic credentials': 'basic dXNlcjpwYXNzd29yZA==',
  'a private key': 'x -----BEGIN PRIVATE KEY-----\nMIIE',
  'a shared access signature': 'SharedAccessSignature sr=x&sig=abc&se=1',
  'a connection string': 'Endpoint=sb://x/;SharedAccessKey=abc',
  'a signed URL': 'https://x.example/?se=1&sig=abc',
};

for (const [sentence, text] of Object.entries(LOOKS_SECRET)) {
  test(`${sentence} is taken out of a field`, () => assert.equal(sanitizeText(text), '[redacted]'));
}

test('bytes show their length only, errors their name and code only', () => {
  const error = Object.assign(new Error('unexpected token "s3cret"'), {
    code: 'ERR_JWT_INVALID',
    payload: { sub: 'x' },
  });
  assert.deepEqual(JSON.parse(JSON.stringify(sanitizeFields({ key: new Uint8Array(32), error }))), {
    key: '[32 bytes]',
    error: { name: 'Error', code: 'ERR_JWT_INVALID' },
  });
});

test('a system error keeps its message, which says where a connection failed', () => {
  const error = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
  assert.deepEqual(sanitizeFields({ error })['error'], {
    name: 'Error',
    code: 'ECONNREFUSED',
    message: 'connect ECONNREFUSED 127.0.0.1:1',
  });
});

test('a field named __proto__ stays a field', () => {
  const safe = sanitizeFields(JSON.parse('{"__proto__": {"polluted": true}}') as Record<string, unknown>);
  assert.equal(JSON.stringify(safe), '{"__proto__":{"polluted":true}}');
  assert.equal('polluted' in safe, false);
});

test('an object that holds itself ends at the depth bound', () => {
  const fields: Record<string, unknown> = { a: 1 };
  fields['self'] = fields;
  assert.ok(JSON.stringify(sanitizeFields(fields)).length < 500);
});

test('whatever the fields, the line stays below 32 KiB of JSON', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.anything({ maxDepth: 6 })), fields => {
      assert.ok(JSON.stringify(sanitizeFields(fields)).length < 32_768);
    }),
    { numRuns: 200 },
  );
  const hostile = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`k${i}`, ['\u0000'.repeat(5000), '\ud800'.repeat(5000)]]),
  );
  assert.ok(JSON.stringify(sanitizeFields(hostile)).length < 32_768);
});
