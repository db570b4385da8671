import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readHttp2Request, readHttp2Trailers } from './http2-request.ts';
import { createNameTable } from './names.ts';

const LIMITS = { headBytes: 64 * 1024, headers: 100, targetBytes: 16 * 1024 };
const table = createNameTable();

const PSEUDO = [':method', 'GET', ':scheme', 'https', ':authority', 'fleet.example.com', ':path', '/v1'];
const read = (pairs: readonly string[], ends = true) => readHttp2Request(pairs, ends, LIMITS, table);
/** The usual pseudo header fields, some of them said otherwise; undefined: left out. */
const pseudo = (other: Readonly<Record<string, string | undefined>>): string[] => {
  const pairs: string[] = [];
  for (let at = 0; at < PSEUDO.length; at += 2) {
    const [name = '', value = ''] = [PSEUDO[at], PSEUDO[at + 1]];
    const said = name in other ? other[name] : value;
    if (said !== undefined) pairs.push(name, said);
  }
  return pairs;
};

describe('what is malformed is a stream error', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['no :method', pseudo({ ':method': undefined })],
    ['no :scheme', pseudo({ ':scheme': undefined })],
    ['no :path', pseudo({ ':path': undefined })],
    ['an empty :path', pseudo({ ':path': '' })],
    ['a scheme that is none of HTTP', pseudo({ ':scheme': 'ftp' })],
    ['a method in lower case', pseudo({ ':method': 'get' })],
    ['a method with a space', pseudo({ ':method': 'GET /x' })],
    ['a repeated :path', [...PSEUDO, ':path', '/other']],
    ['a repeated :method', [...PSEUDO, ':method', 'POST']],
    ['a repeated :authority', [...PSEUDO, ':authority', 'other.example.com']],
    ['an unknown pseudo header', [...PSEUDO, ':version', '1.1']],
    [':protocol, as extended CONNECT is off', [...PSEUDO, ':protocol', 'websocket']],
    [':status in a request', [...PSEUDO, ':status', '200']],
    ['a pseudo header behind a regular one', [':method', 'GET', 'accept', '*/*', ':scheme', 'https', ':path', '/']],
    ['a name in upper case', [...PSEUDO, 'X-Token', 'a']],
    ['an empty name', [...PSEUDO, '', 'a']],
    ['a space in a name', [...PSEUDO, 'x token', 'a']],
    ['a colon in a name', [...PSEUDO, 'x:token', 'a']],
    ['CR in a name', [...PSEUDO, 'x\r', 'a']],
    ['CRLF and another header in a value', [...PSEUDO, 'x-a', 'a\r\nx-user: root']],
    ['LF in a value', [...PSEUDO, 'x-a', 'a\nb']],
    ['NUL in a value', [...PSEUDO, 'x-a', 'a\0b']],
    ['CR in a cookie crumb', [...PSEUDO, 'cookie', 'a=1', 'cookie', 'b=\r2']],
    ['a space before a value', [...PSEUDO, 'x-a', ' a']],
    ['a tab behind a value', [...PSEUDO, 'x-a', 'a\t']],
    ['CRLF in :authority', pseudo({ ':authority': 'fleet.example.com\r\nx-user: root' })],
    ['connection', [...PSEUDO, 'connection', 'x-user']],
    ['proxy-connection', [...PSEUDO, 'proxy-connection', 'keep-alive']],
    ['keep-alive', [...PSEUDO, 'keep-alive', 'timeout=5']],
    ['transfer-encoding', [...PSEUDO, 'transfer-encoding', 'chunked']],
    ['upgrade', [...PSEUDO, 'upgrade', 'websocket']],
    ['http2-settings', [...PSEUDO, 'http2-settings', 'AAMAAABk']],
    ['te other than trailers', [...PSEUDO, 'te', 'trailers, deflate']],
    ['two lengths', [...PSEUDO, 'content-length', '0', 'content-length', '0']],
    ['a length that is no number', [...PSEUDO, 'content-length', '+1']],
    ['a length and no body', [...PSEUDO, 'content-length', '5']],
    ['two content types', [...PSEUDO, 'content-type', 'a/b', 'content-type', 'a/b']],
    ['two hosts', [...PSEUDO, 'host', 'fleet.example.com', 'host', 'fleet.example.com']],
  ];
  for (const [sentence, pairs] of cases) {
    test(sentence, () => assert.deepEqual(read(pairs), { kind: 'malformed' }));
  }
});

describe('what can be told why it is refused', () => {
  const many = Array.from({ length: 101 }, (_, at) => [`x-${at}`, 'a']).flat();
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    [':path without a slash (CVE-2026-33186)', pseudo({ ':path': 'Service/Method' }), 'MalformedRequest'],
    [':path in absolute form', pseudo({ ':path': 'https://fleet.example.com/' }), 'MalformedRequest'],
    ['* with another method than OPTIONS', pseudo({ ':path': '*' }), 'MalformedRequest'],
    [':path with a space', pseudo({ ':path': '/a b' }), 'MalformedRequest'],
    [':path with CRLF', pseudo({ ':path': '/a HTTP/1.1\r\nx: y' }), 'MalformedRequest'],
    [':path with a fragment', pseudo({ ':path': '/a#b' }), 'AmbiguousPath'],
    [':path with an escaped slash', pseudo({ ':path': '/a%2fb' }), 'AmbiguousPath'],
    [':path that climbs above the root', pseudo({ ':path': '/../a' }), 'AmbiguousPath'],
    ['_method in the query (M3)', pseudo({ ':path': '/a?_method=DELETE' }), 'MalformedRequest'],
    ['neither :authority nor Host', pseudo({ ':authority': undefined }), 'MalformedRequest'],
    ['user information in :authority', pseudo({ ':authority': 'a@fleet.example.com' }), 'MalformedRequest'],
    ['a Host that differs', [...PSEUDO, 'host', 'other.example.com'], 'MalformedRequest'],
    ['a Host whose port differs', [...PSEUDO, 'host', 'fleet.example.com:8443'], 'MalformedRequest'],
    ['CONNECT', [':method', 'CONNECT', ':authority', 'a:443'], 'MethodNotAllowed'],
    ['TRACE', pseudo({ ':method': 'TRACE' }), 'MethodNotAllowed'],
    ['a long target', pseudo({ ':path': `/${'a'.repeat(16 * 1024)}` }), 'TargetTooLong'],
    ['many fields', [...PSEUDO, ...many], 'HeadersTooLarge'],
    ['large fields', [...PSEUDO, 'x-a', 'a'.repeat(64 * 1024)], 'HeadersTooLarge'],
    ['another expectation', [...PSEUDO, 'expect', '200-maybe'], 'ExpectationFailed'],
  ];
  for (const [sentence, pairs, reason] of cases) {
    test(`${sentence}: ${reason}`, () => {
      const told = read(pairs);
      assert.equal(told.kind === 'refused' ? told.reason : told.kind, reason);
    });
  }
});

describe('a request', () => {
  const head = (pairs: readonly string[], ends = true) => {
    const told = read(pairs, ends);
    if (told.kind !== 'head') assert.fail(JSON.stringify(told));
    return told.head;
  };
  test('has :authority as its Host, first', () => {
    const { host, names, values } = head([...PSEUDO, 'accept', '*/*']);
    assert.deepEqual([host, names, values], ['fleet.example.com', ['host', 'accept'], ['fleet.example.com', '*/*']]);
  });
  test('may say Host instead, or the same twice', () => {
    assert.equal(head([...pseudo({ ':authority': undefined }), 'host', 'FLEET.example.com']).host, 'fleet.example.com');
    const both = head([...PSEUDO, 'host', 'Fleet.Example.Com']);
    assert.deepEqual(both.values, ['fleet.example.com']);
  });
  test('has its cookie crumbs in one field', () => {
    const { names, values } = head([...PSEUDO, 'cookie', 'a=1', 'accept', '*/*', 'cookie', 'b=2', 'cookie', 'c=3']);
    assert.deepEqual(names, ['host', 'cookie', 'accept']);
    assert.deepEqual(values, ['fleet.example.com', 'a=1; b=2; c=3', '*/*']);
  });
  test('has its path in canonical form, and its query', () => {
    const { path, query } = head(pseudo({ ':path': '/a/./b/%7ex?q=1' }));
    assert.deepEqual([path, query], ['/a/b/~x', 'q=1']);
  });
  test('OPTIONS * is one', () => assert.equal(head(pseudo({ ':method': 'OPTIONS', ':path': '*' })).path, '*'));
  test('te: trailers may stand', () => assert.equal(head([...PSEUDO, 'te', 'trailers']).names.length, 2));
  for (const [sentence, pairs, ends, framing] of [
    ['that ends with its head has no body', PSEUDO, true, { kind: 'none' }],
    ['of an unknown length', PSEUDO, false, { kind: 'chunked' }],
    ['of a known length', [...PSEUDO, 'content-length', '5'], false, { kind: 'length', length: 5 }],
    ['of no bytes', [...PSEUDO, 'content-length', '0'], true, { kind: 'length', length: 0 }],
  ] as const) {
    test(sentence, () => assert.deepEqual(head(pairs, ends).framing, framing));
  }
  test('waits for 100 Continue only with a body', () => {
    const pairs = [...PSEUDO, 'expect', '100-continue'];
    assert.deepEqual([head(pairs, false).expectContinue, head(pairs, true).expectContinue], [true, false]);
  });
});

describe('trailers', () => {
  test('are fields in lower case', () => {
    assert.deepEqual(readHttp2Trailers(['grpc-status', '0'], table)?.lower, ['grpc-status']);
  });
  for (const [sentence, pairs] of [
    ['a pseudo header', [':path', '/']],
    ['upper case', ['Grpc-Status', '0']],
    ['LF in a value', ['a', 'b\nc']],
    ['more than 8 KiB', ['a', 'b'.repeat(8192)]],
    ['a 65th field', Array.from({ length: 130 }, (_, at) => `x${at}`)],
  ] as const) {
    test(`${sentence} in them is malformed`, () => assert.equal(readHttp2Trailers(pairs, table), undefined));
  }
});
