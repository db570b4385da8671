import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { REASON_NAMES } from '../api/reasons.ts';
import { createRequestReader } from './message.ts';
import { cutAt, feed, headOf, LIMITS, readRequest, refusalOf, requestHead } from './testing/messages.ts';
import { get, line, post, REFUSED_REQUESTS, target } from './testing/refused-requests.ts';

for (const [name, table] of Object.entries(REFUSED_REQUESTS)) {
  suite(`refused ${name}`, () => {
    for (const [sentence, [reason, text]] of Object.entries(table)) {
      test(`${sentence} → ${reason}`, () => {
        assert.equal(refusalOf(readRequest(text)), reason);
        const byteByByte = createRequestReader(LIMITS);
        assert.equal(refusalOf(feed(Array.from(text), chunk => byteByByte.read(chunk))), reason, 'byte by byte');
      });
    }
  });
}

test('every reason of the codec is a reason of the reference', () => {
  const reasons = Object.values(REFUSED_REQUESTS).flatMap(table => Object.values(table).map(([reason]) => reason));
  for (const reason of reasons) assert.ok(REASON_NAMES.includes(reason), reason);
});

test('refuses at the first byte that can never become valid', () => {
  const early: [string, string][] = [
    ['GET / HTTP/1.1\r\nHost: a\r\nX: b\n', 'MalformedRequest'],
    ['GET / HTTP/1.1\r\nHost: a\r\n ', 'MalformedRequest'],
    ['GET /\n', 'MalformedRequest'],
    ['GET / HTTP/3', 'more'],
    ['GET / HTTP/3.0\r\n', 'VersionNotSupported'],
    ['GET / HTTX', 'MalformedRequest'],
    ['CONNECT a:1 HTTP/1.1\r\n', 'MethodNotAllowed'],
    ['TRACE / HTTP/1.1\r\n', 'MethodNotAllowed'],
    ['\x16', 'MalformedRequest'],
    ['g', 'MalformedRequest'],
    ['\r', 'more'],
    ['\r\n', 'more'],
    ['GET / HTTP/1.1\r\nX: y\r', 'more'],
    ['GET / HTTP/1.1\r\nX: y\rz', 'MalformedRequest'],
  ];
  for (const [text, outcome] of early) assert.equal(refusalOf(readRequest(text)), outcome, JSON.stringify(text));
});

test('an error stays until reset', () => {
  const reader = createRequestReader(LIMITS);
  assert.equal(refusalOf(reader.read('GET /\n')), 'MalformedRequest');
  assert.equal(refusalOf(reader.read(get())), 'MalformedRequest');
  reader.reset();
  assert.equal(refusalOf(reader.read(get())), 'head');
});

test('gives the parts of an ordinary request', () => {
  const text = [
    'POST /devices/%7e7/./telemetry?from=1&to=%20 HTTP/1.1',
    'HOST: Fleet.Example.:8443',
    'X-Empty:',
    'X-Tab:\t a\tb \t',
    'X-Latin: caf\xe9',
    '__proto__: x',
    'Content-Length: 0012',
    '',
    'body',
  ].join('\r\n');
  const progress = readRequest(text);
  assert.ok(progress.kind === 'head');
  const { head, consumed } = progress;
  assert.equal(consumed, text.length - 'body'.length);
  assert.equal(head.method, 'POST');
  assert.equal(head.target, '/devices/%7e7/./telemetry?from=1&to=%20');
  assert.equal(head.path, '/devices/~7/telemetry');
  assert.equal(head.query, 'from=1&to=%20');
  assert.equal(head.host, 'fleet.example');
  assert.equal(head.authorityPort, 8443);
  assert.deepEqual(head.framing, { kind: 'length', length: 12 });
  assert.deepEqual(head.names, ['HOST', 'X-Empty', 'X-Tab', 'X-Latin', '__proto__', 'Content-Length']);
  assert.deepEqual(head.lower, ['host', 'x-empty', 'x-tab', 'x-latin', '__proto__', 'content-length']);
  assert.deepEqual(head.values, ['Fleet.Example.:8443', '', 'a\tb', 'caf\xe9', 'x', '0012']);
  assert.ok(head.keepAlive);
  assert.ok(!head.expectContinue && !head.upgradeWebSocket);
});

const TARGETS: Record<string, [string, string, string]> = {
  'origin form': ['/a?b', '/a', 'b'],
  'an empty query': ['/a?', '/a', ''],
  'a second question mark belongs to the query': ['/a?b?c', '/a', 'b?c'],
  'absolute form': ['http://app.example/a?b', '/a', 'b'],
  'absolute form in other case': ['HTTPS://APP.Example./a', '/a', ''],
  'absolute form without path': ['http://app.example', '/', ''],
  'absolute form with a query only': ['http://app.example?b', '/', 'b'],
  'names that only look like an override': [
    '/?method=1&x_method=2&_methods=3&a=_method',
    '/',
    'method=1&x_method=2&_methods=3&a=_method',
  ],
};

for (const [sentence, [given, path, query]] of Object.entries(TARGETS)) {
  test(`accepts as target: ${sentence}`, () => {
    const head = requestHead(target(given));
    assert.deepEqual([head.path, head.query], [path, query]);
  });
}

test('OPTIONS * is read, so that matching can answer 404', () => {
  assert.equal(requestHead(line('OPTIONS * HTTP/1.1')).path, '*');
  assert.equal(requestHead(line('OPTIONS http://app.example HTTP/1.1')).path, '*');
  assert.equal(requestHead(line('OPTIONS /a HTTP/1.1')).path, '/a');
});

test('absolute form and Host agree on the port too', () => {
  assert.equal(requestHead('GET http://a:81/ HTTP/1.1\r\nHost: a:81\r\n\r\n').authorityPort, 81);
  assert.equal(refusalOf(readRequest('GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n')), 'MalformedRequest');
});

test('HTTP/1.0 may leave out Host and keeps the connection only on request', () => {
  const bare = requestHead('GET / HTTP/1.0\r\n\r\n');
  assert.equal(bare.host, '');
  assert.ok(!bare.keepAlive);
  assert.ok(requestHead('GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n').keepAlive);
  assert.ok(!requestHead('GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n').keepAlive);
  assert.equal(refusalOf(readRequest('GET http://a/ HTTP/1.0\r\n\r\n')), 'MalformedRequest');
});

test('Connection is a list of names over several lines', () => {
  const head = requestHead(get('Connection: , X-A ,\tx-b,', 'connection: Close, x-c'));
  assert.ok(!head.keepAlive);
  assert.deepEqual([...head.connectionNames], ['x-a', 'x-b', 'x-c']);
  assert.deepEqual([...requestHead(get('Connection: upgrade, keep-alive')).connectionNames], []);
});

const CODINGS = ['chunked', 'Chunked', 'CHUNKED', ' chunked\t'];
for (const coding of CODINGS) {
  test(`Transfer-Encoding ${JSON.stringify(coding)} is chunked`, () => {
    assert.deepEqual(requestHead(post(`Transfer-Encoding:${coding}`)).framing, { kind: 'chunked' });
  });
}

for (const length of [0, 127, 128, 255, 256, 2 ** 15, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
  test(`Content-Length ${length} is kept exactly`, () => {
    assert.deepEqual(requestHead(post(`Content-Length: ${length}`)).framing, { kind: 'length', length });
  });
}

test('only a WebSocket may upgrade, with all that belongs to it', () => {
  const asked = ['Connection: keep-alive, Upgrade', 'Upgrade: WebSocket'];
  assert.ok(requestHead(get(...asked)).upgradeWebSocket);
  assert.ok(requestHead(get(...asked, 'Content-Length: 0')).upgradeWebSocket);
  const others: Record<string, string> = {
    'h2c, as in h2c smuggling': get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
    'a list': get('Connection: upgrade', 'Upgrade: websocket, h2c'),
    'two lines': get('Connection: upgrade', 'Upgrade: websocket', 'Upgrade: websocket'),
    'no Connection': get('Upgrade: websocket'),
    'another method': post('Connection: upgrade', 'Upgrade: websocket'),
    'HTTP/1.0': 'GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  };
  for (const [sentence, text] of Object.entries(others)) assert.ok(!requestHead(text).upgradeWebSocket, sentence);
});

test('100-continue counts with a body and in HTTP/1.1 only', () => {
  assert.ok(requestHead(post('Content-Length: 5', 'Expect: 100-Continue')).expectContinue);
  assert.ok(requestHead(post('Transfer-Encoding: chunked', 'Expect: 100-continue')).expectContinue);
  assert.ok(!requestHead(post('Expect: 100-continue')).expectContinue);
  assert.ok(!requestHead(post('Content-Length: 0', 'Expect: 100-continue')).expectContinue);
  assert.ok(!requestHead('POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n').expectContinue);
});

test('one empty line before a request is passed over and counts as consumed', () => {
  const progress = readRequest(`\r\n${get()}`);
  assert.ok(progress.kind === 'head');
  assert.equal(progress.consumed, get().length + 2);
});

test('limits hold to the byte', () => {
  const head = get('X: y');
  const limits = { ...LIMITS, headBytes: head.length };
  assert.equal(refusalOf(readRequest(head, limits)), 'head');
  assert.equal(refusalOf(readRequest(head, { ...limits, headBytes: head.length - 1 })), 'HeadersTooLarge');
  assert.equal(refusalOf(readRequest(head.slice(0, -1), { ...limits, headBytes: head.length - 1 })), 'HeadersTooLarge');
  assert.equal(refusalOf(readRequest(head, { ...LIMITS, headers: 2 })), 'head');
  assert.equal(refusalOf(readRequest(head, { ...LIMITS, headers: 1 })), 'HeadersTooLarge');
  assert.equal(refusalOf(readRequest(target('/abc'), { ...LIMITS, targetBytes: 4 })), 'head');
  assert.equal(refusalOf(readRequest(target('/abc'), { ...LIMITS, targetBytes: 3 })), 'TargetTooLong');
});

test('limits hold for repeated heads as for new ones', () => {
  const head = get('X: y');
  for (const tail of ['', 'Z: z\r\n']) {
    const text = `${head.slice(0, -2)}${tail}\r\n`;
    const reader = createRequestReader({ ...LIMITS, headBytes: text.length });
    headOf(reader.read(text));
    headOf(reader.read(text));
    assert.equal(refusalOf(reader.read(`\r\n${text}`)), 'HeadersTooLarge', 'the empty line in front counts');
  }
});

test('2,100 short headers are refused, not hidden (CVE-2026-58044)', () => {
  const short = Array.from({ length: 2100 }, (_, i) => `h${i}: 1`);
  const text = post(...short, 'Transfer-Encoding: chunked', 'Authorization: Bearer x');
  assert.equal(refusalOf(readRequest(text)), 'HeadersTooLarge');
  const head = requestHead(text, { ...LIMITS, headers: 3000 });
  assert.equal(head.names.length, 2103, 'with room for all of them none is left out');
  assert.deepEqual(head.framing, { kind: 'chunked' });
});

test('pipelined requests are read one after the other, repeated heads as if they were new', () => {
  const reader = createRequestReader(LIMITS);
  const requests = [
    get('X: 1'),
    get('X: 1'),
    get('X: 2'),
    post('X: 2', 'Content-Length: 0'),
    get('X: 2', 'Y: 3'),
    get(),
  ];
  let rest = requests.join('');
  for (const text of requests) {
    const progress = reader.read(rest);
    assert.ok(progress.kind === 'head');
    assert.equal(progress.consumed, text.length);
    assert.deepEqual(progress.head, requestHead(text));
    rest = rest.slice(progress.consumed);
  }
  assert.equal(rest, '');
  assert.ok(!reader.started);
});

test('a connection that repeats a head is still held to its bytes', () => {
  const reader = createRequestReader(LIMITS);
  const good = get('Authorization: Bearer a', 'X: b');
  headOf(reader.read(good));
  assert.equal(refusalOf(reader.read(good.replace('X: b', 'X: \0'))), 'MalformedRequest');
  reader.reset();
  const other = headOf(reader.read(good.replace('Bearer a', 'Bearer b')));
  assert.deepEqual(other.values, ['app.example', 'Bearer b', 'b']);
  assert.equal(
    refusalOf(reader.read(good.replace('\r\nX', '\r\nContent-Length: 1\r\nContent-Length: 1\r\nX'))),
    'MalformedRequest',
  );
});

test('started tells an idle connection from one with an unfinished head', () => {
  const reader = createRequestReader(LIMITS);
  assert.ok(!reader.started);
  reader.read('G');
  assert.ok(reader.started);
  headOf(feed(cutAt(get().slice(1), [3, 20]), chunk => reader.read(chunk)));
  assert.ok(!reader.started);
});
