import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createChunkedDecoder } from '../../src/http/body.ts';
import {
  classifyName,
  createRequestReader,
  createResponseReader,
  renderFields,
  renderRequest,
  renderTrailers,
} from '../../src/http/message.ts';
import { NEVER_FORWARDED } from '../../src/http/names.ts';
import { canonicalPath } from '../../src/http/path.ts';
import { readTarget } from '../../src/http/target.ts';
import { decode } from '../../src/http/testing/bodies.ts';
import { cutAt, feed, refusalOf } from '../../src/http/testing/messages.ts';

const LIMITS = { headBytes: 400, headers: 6, targetBytes: 60 };
const RUNS = { numRuns: 300 };

/** Mostly valid pieces of a head with all that may go wrong between them. */
const hostile = fc.constantFrom(
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  '\0',
  ',',
  ';',
  '\xff',
  '#',
  '%2f',
  '//',
  'a'.repeat(70),
  'X: y\r\n',
);
const requestPart = fc.constantFrom(
  'GET / HTTP/1.1\r\n',
  'POST /a/../b?c HTTP/1.1\r\n',
  'OPTIONS * HTTP/1.0\r\n',
  'GET http://a/ HTTP/1.1\r\n',
  'CONNECT a:1 HTTP/1.1\r\n',
  'GET / HTTP/2.0\r\n',
  'Host: a\r\n',
  'Host: b:1\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: x\r\n',
  'Expect: 100-continue\r\n',
  'Expect: x\r\n',
  'Connection: close, x\r\n',
  'Upgrade: websocket\r\n',
  'Connection: upgrade\r\n',
  'X_Y: \t z \r\n',
  '\r\n',
);
const requestText = fc
  .tuple(
    fc.constantFrom('', '', '\r\n'),
    fc.constantFrom('GET / HTTP/1.1\r\n', 'POST /a/../b?c HTTP/1.1\r\n', 'GET http://a/ HTTP/1.1\r\n', ''),
    fc.constantFrom('Host: a\r\n', 'Host: a\r\n', ''),
    fc.array(fc.oneof({ weight: 4, arbitrary: requestPart }, { weight: 1, arbitrary: hostile }), { maxLength: 8 }),
  )
  .map(([empty, line, host, parts]) => `${empty}${line}${host}${parts.join('')}\r\n`);
const cuts = fc.array(fc.nat(), { maxLength: 6 });

test('a request is read the same however its bytes are cut', () => {
  fc.assert(
    fc.property(requestText, cuts, (text, places) => {
      const whole = createRequestReader(LIMITS).read(text);
      const cut = createRequestReader(LIMITS);
      assert.deepEqual(
        feed(cutAt(text, places), chunk => cut.read(chunk)),
        whole,
      );
      const byByte = createRequestReader(LIMITS);
      assert.deepEqual(
        feed(Array.from(text), chunk => byByte.read(chunk)),
        whole,
      );
    }),
    RUNS,
  );
});

test('a reader that has seen other requests reads the next one as a new reader does', () => {
  fc.assert(
    fc.property(fc.array(requestText, { minLength: 2, maxLength: 4 }), texts => {
      const used = createRequestReader(LIMITS);
      for (const text of texts) {
        assert.deepEqual(used.read(text), createRequestReader(LIMITS).read(text));
        used.reset();
      }
    }),
    RUNS,
  );
});

test('a request that is refused is refused whatever follows', () => {
  fc.assert(
    fc.property(requestText, fc.string({ unit: 'binary-ascii', maxLength: 500 }), (text, rest) => {
      const alone = refusalOf(createRequestReader(LIMITS).read(text));
      if (alone !== 'more') assert.equal(refusalOf(createRequestReader(LIMITS).read(text + rest)), alone);
    }),
    RUNS,
  );
});

test('random bytes are refused or waited for, never an exception', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(255), { maxLength: 300 }), codes => {
      const text = String.fromCharCode(...codes);
      assert.ok(['error', 'more', 'head'].includes(createRequestReader(LIMITS).read(text).kind));
      assert.ok(['error', 'more', 'head'].includes(createResponseReader(LIMITS).read(text, 'GET').kind));
    }),
    RUNS,
  );
});

const responsePart = fc.constantFrom(
  'HTTP/1.1 100 Continue\r\n\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Keep-Alive: timeout=5\r\n',
  'X: y\r\n',
  '\r\n',
);
const responseText = fc
  .tuple(
    fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 204\r\n',
      'HTTP/1.0 304 \r\n',
      'HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\n',
      'HTTP/1.9 200 OK\r\n',
    ),
    fc.array(fc.oneof({ weight: 4, arbitrary: responsePart }, { weight: 1, arbitrary: hostile }), { maxLength: 8 }),
  )
  .map(([line, parts]) => `${line}${parts.join('')}\r\n`);

test('an answer is read the same however its bytes are cut', () => {
  fc.assert(
    fc.property(responseText, cuts, fc.constantFrom('GET', 'HEAD'), (text, places, method) => {
      const whole = createResponseReader(LIMITS).read(text, method);
      const cut = createResponseReader(LIMITS);
      assert.deepEqual(
        feed(cutAt(text, places), chunk => cut.read(chunk, method)),
        whole,
      );
      const byByte = createResponseReader(LIMITS);
      assert.deepEqual(
        feed(Array.from(text), chunk => byByte.read(chunk, method)),
        whole,
      );
    }),
    RUNS,
  );
});

const chunkPart = fc.constantFrom(
  '1\r\na\r\n',
  '2;x=y\r\nbc\r\n',
  '0\r\n',
  '\r\n',
  'X: y\r\n',
  'A\r\n0123456789\r\n',
  '\n',
  '\r',
  ' ',
  ';',
  '5',
  '\0',
  ':',
);

test('a chunked body is read the same however its bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(chunkPart, { maxLength: 10 }), cuts, (parts, places) => {
      const text = `${parts.join('')}0\r\n\r\n`;
      const whole = decode(createChunkedDecoder(), [text]);
      assert.deepEqual(decode(createChunkedDecoder(), cutAt(text, places)), whole);
      assert.deepEqual(decode(createChunkedDecoder(), Array.from(text)), whole);
    }),
    RUNS,
  );
});

const token = fc.string({ unit: fc.constantFrom(...Array.from("aZ09!#$%&'*+-.^_`|~")), minLength: 1, maxLength: 12 });
const value = fc
  .string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter(code => code !== 0x7f)
      .map(code => String.fromCharCode(code)),
    maxLength: 30,
  })
  .map(text => text.trim())
  .filter(text => !/^[\s\xa0]|[\s\xa0]$/.test(text));
const ordinary = token.filter(name => {
  const info = classifyName(name);
  return info !== undefined && (info.flags & NEVER_FORWARDED) === 0 && info.role === 0;
});
const pairs = fc.array(fc.tuple(ordinary, value), { maxLength: 20 });
const wide = { headBytes: 65536, headers: 100, targetBytes: 1000 };

test('what is rendered parses back to the same', () => {
  const target = fc
    .string({ unit: fc.constantFrom(...Array.from('aZ0-._~%2|?=&[/')), maxLength: 30 })
    .map(text => `/${text}`);
  fc.assert(
    fc.property(pairs, target, fc.nat(), (fields, raw, length) => {
      const { path, query } = readTarget(raw);
      fc.pre(path !== undefined);
      const first = createRequestReader(wide).read(
        `POST ${raw} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}${renderFields(fields)}\r\n\r\n`,
      );
      assert.ok(first.kind === 'head');
      const text = renderRequest({
        method: first.head.method,
        target: query === '' ? path : `${path}?${query}`,
        host: 'a',
        framing: first.head.framing,
        expectContinue: false,
        fields: first.head,
        drop: 0,
        reserved: new Set(),
        connectionNames: first.head.connectionNames,
        edits: new Map(),
        extra: renderFields([]),
      });
      const second = createRequestReader(wide).read(text);
      assert.ok(second.kind === 'head');
      assert.equal(second.consumed, text.length);
      assert.deepEqual(
        [second.head.path, second.head.query, second.head.framing],
        [path, query, { kind: 'length', length }],
      );
      const kept = second.head.names.map((name, i) => [name, second.head.values[i]]);
      assert.deepEqual(kept.slice(1, -1), fields);
    }),
    RUNS,
  );
});

test('trailers that are rendered end the body that they end', () => {
  fc.assert(
    fc.property(pairs, fields => {
      const given = `0${renderFields(fields)}\r\n\r\n`;
      const decoder = createChunkedDecoder();
      const progress = decoder.read(
        Uint8Array.from(given, c => c.charCodeAt(0)),
        { data: () => assert.fail('data') },
      );
      assert.ok(progress.kind === 'end');
      const text = renderTrailers(progress.trailers, new Set());
      assert.equal(decode(createChunkedDecoder(), [text]).outcome, 'end');
    }),
    RUNS,
  );
});

const pathText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '/',
        '/',
        '.',
        '..',
        '%2e',
        '%2E%2e',
        '%41',
        'a',
        '%25',
        '2f',
        '%c3%a9',
        '%e2%82%ac',
        '|',
        '%7C',
        '~',
        '%7e',
        ';',
        '\\',
        '%2f',
        '%00',
        '//',
        'x',
      ),
      fc.string({ unit: 'binary-ascii', maxLength: 2 }),
    ),
    { maxLength: 12 },
  )
  .map(parts => `/${parts.join('')}`);

test('a canonical path is its own canonical form, without dot segments, needless escapes or ambiguous characters', () => {
  fc.assert(
    fc.property(pathText, raw => {
      const { path } = canonicalPath(raw);
      if (path === undefined) return;
      assert.deepEqual(canonicalPath(path), { path });
      assert.ok(path.startsWith('/'));
      assert.ok(!path.split('/').some(segment => segment === '.' || segment === '..'), path);
      assert.ok(!path.includes('//') && !/[\\;#?[\]|]|[^\x21-\x7e]/.test(path), path);
      for (const [, hex = ''] of path.matchAll(/%(..)/g)) {
        assert.match(hex, /^[0-9A-F]{2}$/);
        assert.doesNotMatch(String.fromCharCode(parseInt(hex, 16)), /[A-Za-z0-9\-._~/\\;]/);
      }
      assert.doesNotThrow(() => decodeURIComponent(path));
    }),
    RUNS,
  );
});

test('a path and its canonical form decode to the same resource', () => {
  const decoded = (path: string): string =>
    new URL(`http://a${path}`).pathname.split('/').map(decodeURIComponent).join('/');
  fc.assert(
    fc.property(pathText, raw => {
      const { path } = canonicalPath(raw);
      if (path !== undefined) assert.equal(decoded(path), decoded(raw.replaceAll('?', '%3F')));
    }),
    RUNS,
  );
});
