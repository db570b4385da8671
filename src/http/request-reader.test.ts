import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { REASON_NAMES } from '../api/reasons.ts';
import { createRequestReader } from './message.ts';
import type { HeadReason } from './message.ts';
import { cutAt, feed, headOf, LIMITS, readRequest, refusalOf, requestHead } from './testing/messages.ts';

const get = (...lines: string[]): string => ['GET / HTTP/1.1', 'Host: app.example', ...lines, '', ''].join('\r\n');
const post = (...lines: string[]): string => ['POST / HTTP/1.1', 'Host: app.example', ...lines, '', ''].join('\r\n');
const line = (requestLine: string): string => `${requestLine}\r\nHost: app.example\r\n\r\n`;
const target = (text: string): string => line(`GET ${text} HTTP/1.1`);
const host = (value: string): string => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;

const REFUSED: Record<string, Record<string, [HeadReason, string]>> = {
  'request lines': {
    'a bare LF ends the line': ['MalformedRequest', 'GET / HTTP/1.1\nHost: app.example\n\n'],
    'a bare CR stands in the line': ['MalformedRequest', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n'],
    'CR CR LF ends the line': ['MalformedRequest', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n'],
    'no version (HTTP/0.9)': ['MalformedRequest', 'GET /\r\n\r\n'],
    'no version and a space': ['MalformedRequest', 'GET / \r\n\r\n'],
    'two spaces after the method': ['MalformedRequest', line('GET  / HTTP/1.1')],
    'two spaces before the version': ['MalformedRequest', line('GET /  HTTP/1.1')],
    'a tab after the method': ['MalformedRequest', line('GET\t/ HTTP/1.1')],
    'a space in front': ['MalformedRequest', ` ${line('GET / HTTP/1.1')}`],
    'a space at the end': ['MalformedRequest', line('GET / HTTP/1.1 ')],
    'a second target': ['MalformedRequest', line('GET / /admin HTTP/1.1')],
    'two empty lines in front': ['MalformedRequest', `\r\n\r\n${get()}`],
    'a bare LF in front': ['MalformedRequest', `\n${get()}`],
    'a bare CR in front': ['MalformedRequest', `\r${get()}`],
    'NUL in the method': ['MalformedRequest', line('G\0T / HTTP/1.1')],
    'a separator in the method': ['MalformedRequest', line('GE(T / HTTP/1.1')],
    'a colon in the method': ['MalformedRequest', line('GET: / HTTP/1.1')],
    'a lower-case method, which some back ends take for the other': ['MalformedRequest', line('get / HTTP/1.1')],
    'a method of 33 characters': ['MalformedRequest', line(`${'M'.repeat(33)} / HTTP/1.1`)],
    'a method without end': ['MalformedRequest', 'M'.repeat(40)],
    'a TLS handshake': ['MalformedRequest', '\x16\x03\x01\x02\x00\x01\x00'],
    'a PROXY header': ['MalformedRequest', 'PROXY TCP4 1.2.3.4 1.2.3.5 80 80\r\n'],
    'lower-case http': ['MalformedRequest', line('GET / http/1.1')],
    'HTTP/1.': ['MalformedRequest', line('GET / HTTP/1.')],
    'HTTP/11': ['MalformedRequest', line('GET / HTTP/11')],
    'HTTP/1.10': ['MalformedRequest', line('GET / HTTP/1.10')],
    'HTTP/01.1': ['MalformedRequest', line('GET / HTTP/01.1')],
    'HTTP /1.1': ['MalformedRequest', line('GET / HTTP /1.1')],
    'HTTP/1,1': ['MalformedRequest', line('GET / HTTP/1,1')],
    'HTTPS/1.1': ['MalformedRequest', line('GET / HTTPS/1.1')],
    'version 0.9': ['VersionNotSupported', line('GET / HTTP/0.9')],
    'version 1.2': ['VersionNotSupported', line('GET / HTTP/1.2')],
    'version 2.0': ['VersionNotSupported', line('GET / HTTP/2.0')],
    'the preface of HTTP/2': ['VersionNotSupported', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    CONNECT: ['MethodNotAllowed', line('CONNECT app.example:443 HTTP/1.1')],
    'CONNECT with a path': ['MethodNotAllowed', line('CONNECT / HTTP/1.1')],
  },
  targets: {
    'no slash in front': ['MalformedRequest', target('admin')],
    'a question mark in front': ['MalformedRequest', target('?a=b')],
    'an asterisk for GET': ['MalformedRequest', target('*')],
    'an authority': ['MalformedRequest', target('app.example:80')],
    'a byte from 0x80': ['MalformedRequest', target('/\xe9')],
    'UTF-8 that is not escaped': ['MalformedRequest', target('/\xc3\xa9')],
    DEL: ['MalformedRequest', target('/\x7f')],
    NUL: ['MalformedRequest', target('/\0')],
    'a vertical tab': ['MalformedRequest', target('/\x0b')],
    'a fragment': ['AmbiguousPath', target('/admin#x')],
    'a fragment after the query': ['AmbiguousPath', target('/?a#b')],
    'another host in absolute form': ['MalformedRequest', target('http://other.example/')],
    'another port in absolute form': ['MalformedRequest', target('http://app.example:81/')],
    'user information in absolute form': ['MalformedRequest', target('http://app.example@other.example/')],
    'the right host as user information': ['MalformedRequest', target('http://u@app.example/')],
    'another scheme': ['MalformedRequest', target('ftp://app.example/')],
    'a backslash after the authority': ['MalformedRequest', target('http://app.example\\@x/')],
    'an empty authority': ['MalformedRequest', target('http:///x')],
    'an escaped authority': ['MalformedRequest', target('http://app%2eexample/')],
    'an ambiguous path in absolute form': ['AmbiguousPath', target('http://app.example/a%2fb')],
    'a method override in the query': ['MalformedRequest', target('/?_method=DELETE')],
    'an escaped method override': ['MalformedRequest', target('/?a=1&%5fm%65thod=DELETE')],
    'the method override of PHP': ['MalformedRequest', target('/?.method=DELETE')],
    'a method override after NUL': ['MalformedRequest', target('/?_method%00x=DELETE')],
    'a method override after a semicolon': ['MalformedRequest', target('/?a;_METHOD=DELETE')],
    'a target that is too long': ['TargetTooLong', target(`/${'a'.repeat(16384)}`)],
    'a target without end': ['TargetTooLong', `GET /${'a'.repeat(20000)}`],
  },
  'field lines': {
    'a bare LF': ['MalformedRequest', 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'],
    'a bare LF at the end of the head': ['MalformedRequest', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
    'a bare CR in a value': ['MalformedRequest', get('X: a\rb')],
    'a bare CR before a line': ['MalformedRequest', get('\rX: a')],
    'a folded line': ['MalformedRequest', get('X: a', ' b')],
    'a line folded by a tab': ['MalformedRequest', get('X: a', '\tb')],
    'a folded first line': ['MalformedRequest', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
    'a space before the colon': ['MalformedRequest', get('X : a')],
    'a tab before the colon': ['MalformedRequest', get('X\t: a')],
    'a space in a name': ['MalformedRequest', get('X Y: a')],
    'no name': ['MalformedRequest', get(': a')],
    'only a colon': ['MalformedRequest', get(':')],
    'no colon': ['MalformedRequest', get('X')],
    'NUL in a name': ['MalformedRequest', get('X\0: a')],
    'NUL in a value': ['MalformedRequest', get('X: a\0b')],
    'NUL in a long value': ['MalformedRequest', get(`X: ${'a'.repeat(500)}\0`)],
    'a vertical tab in a value': ['MalformedRequest', get('X: a\x0bb')],
    'a form feed before a value': ['MalformedRequest', get('X:\x0ca')],
    'an escape character in a value': ['MalformedRequest', get('X: \x1b[2J')],
    'DEL in a value': ['MalformedRequest', get('X: \x7f')],
    'DEL in a long value': ['MalformedRequest', get(`X: ${'a'.repeat(500)}\x7f`)],
    'a byte from 0x80 in a name': ['MalformedRequest', get('X\xe9: a')],
    'a quoted name': ['MalformedRequest', get('"X": a')],
    'a slash in a name': ['MalformedRequest', get('X/Y: a')],
    'a name in brackets': ['MalformedRequest', get('X[a]: b')],
    'the 101st header': ['HeadersTooLarge', get(...Array.from({ length: 100 }, () => 'X: y'))],
    'a head that is too large': ['HeadersTooLarge', get(`X: ${'a'.repeat(65536)}`)],
    'a head without end': ['HeadersTooLarge', `GET / HTTP/1.1\r\nX: ${'a'.repeat(70000)}`],
    'two Content-Types': ['MalformedRequest', post('Content-Type: text/plain', 'content-type: text/plain')],
  },
  hosts: {
    'no Host': ['MalformedRequest', 'GET / HTTP/1.1\r\n\r\n'],
    'two Hosts': ['MalformedRequest', get('Host: app.example')],
    'two Hosts in HTTP/1.0': ['MalformedRequest', 'GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n'],
    'an empty Host': ['MalformedRequest', host('')],
    'an empty Host in HTTP/1.0': ['MalformedRequest', 'GET / HTTP/1.0\r\nHost:\r\n\r\n'],
    'a list': ['MalformedRequest', host('a.example, b.example')],
    'user information': ['MalformedRequest', host('u@a.example')],
    'a path': ['MalformedRequest', host('a.example/x')],
    'a query': ['MalformedRequest', host('a.example?x')],
    'a fragment': ['MalformedRequest', host('a.example#x')],
    'an escape': ['MalformedRequest', host('a%2eexample')],
    'a backslash': ['MalformedRequest', host('a.example\\b')],
    'a space': ['MalformedRequest', host('a.example b')],
    'a port that is no number': ['MalformedRequest', host('a.example:8o')],
    'an empty port': ['MalformedRequest', host('a.example:')],
    'port 0': ['MalformedRequest', host('a.example:0')],
    'port 65536': ['MalformedRequest', host('a.example:65536')],
    'two ports': ['MalformedRequest', host('a.example:80:80')],
    'only a port': ['MalformedRequest', host(':80')],
    'IPv6 without brackets': ['MalformedRequest', host('::1')],
    'an open bracket': ['MalformedRequest', host('[::1')],
    'a zone': ['MalformedRequest', host('[fe80::1%25eth0]')],
    'an address of the future': ['MalformedRequest', host('[v1.a]')],
    'an empty label': ['MalformedRequest', host('a..example')],
    'two trailing dots': ['MalformedRequest', host('a.example..')],
    'a dot': ['MalformedRequest', host('.')],
    'bytes from 0x80': ['MalformedRequest', host('b\xfccher.example')],
    'a name of 254 characters': ['MalformedRequest', host(`${'a'.repeat(50)}.`.repeat(5).slice(0, 254))],
    'a label of 64 characters': ['MalformedRequest', host('a'.repeat(64))],
  },
  lengths: {
    'two lengths': ['MalformedRequest', post('Content-Length: 5', 'Content-Length: 6')],
    'the same length twice': ['MalformedRequest', post('Content-Length: 5', 'content-length: 5')],
    'a list of lengths': ['MalformedRequest', post('Content-Length: 5, 5')],
    'an empty length': ['MalformedRequest', post('Content-Length:')],
    'a plus sign': ['MalformedRequest', post('Content-Length: +5')],
    'a minus sign': ['MalformedRequest', post('Content-Length: -5')],
    hexadecimal: ['MalformedRequest', post('Content-Length: 0x5')],
    'an exponent': ['MalformedRequest', post('Content-Length: 1e1')],
    'a fraction': ['MalformedRequest', post('Content-Length: 5.0')],
    'an underscore between digits': ['MalformedRequest', post('Content-Length: 1_0')],
    'a space between digits': ['MalformedRequest', post('Content-Length: 5 5')],
    quotes: ['MalformedRequest', post('Content-Length: "5"')],
    'a digit of another script': ['MalformedRequest', post('Content-Length: \xb2')],
    '2^53': ['MalformedRequest', post('Content-Length: 9007199254740992')],
    '2^64': ['MalformedRequest', post('Content-Length: 18446744073709551616')],
    '2^64 + 5': ['MalformedRequest', post('Content-Length: 18446744073709551621')],
    'a space before the colon': ['MalformedRequest', post('Content-Length : 5')],
    'both lengths': ['MalformedRequest', post('Content-Length: 5', 'Transfer-Encoding: chunked')],
    'both lengths the other way round': ['MalformedRequest', post('Transfer-Encoding: chunked', 'Content-Length: 5')],
    'both lengths, one not supported': ['MalformedRequest', post('Transfer-Encoding: x', 'Content-Length: 5')],
    'chunked in HTTP/1.0': ['MalformedRequest', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
    identity: ['TransferCodingNotSupported', post('Transfer-Encoding: identity')],
    gzip: ['TransferCodingNotSupported', post('Transfer-Encoding: gzip')],
    'gzip, chunked': ['TransferCodingNotSupported', post('Transfer-Encoding: gzip, chunked')],
    'chunked, identity': ['TransferCodingNotSupported', post('Transfer-Encoding: chunked, identity')],
    'chunked twice in a list': ['TransferCodingNotSupported', post('Transfer-Encoding: chunked, chunked')],
    'chunked in two lines': [
      'TransferCodingNotSupported',
      post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    ],
    'chunked after another line': [
      'TransferCodingNotSupported',
      post('Transfer-Encoding: x', 'Transfer-Encoding: chunked'),
    ],
    'an empty coding': ['TransferCodingNotSupported', post('Transfer-Encoding:')],
    'a leading comma': ['TransferCodingNotSupported', post('Transfer-Encoding: ,chunked')],
    'a parameter': ['TransferCodingNotSupported', post('Transfer-Encoding: chunked;q=1')],
    'quotes around chunked': ['TransferCodingNotSupported', post('Transfer-Encoding: "chunked"')],
    xchunked: ['TransferCodingNotSupported', post('Transfer-Encoding: xchunked')],
    'chunked with a no-break space': ['TransferCodingNotSupported', post('Transfer-Encoding: \xa0chunked')],
    'chunked after a vertical tab': ['MalformedRequest', post('Transfer-Encoding:\x0bchunked')],
    'chunked with NUL': ['MalformedRequest', post('Transfer-Encoding: chunked\0')],
    'chunked in a folded line': ['MalformedRequest', post('Transfer-Encoding:', ' chunked')],
    'a space before the colon of the coding': ['MalformedRequest', post('Transfer-Encoding : chunked')],
    'a bare LF before the coding': ['MalformedRequest', post('X: y\nTransfer-Encoding: chunked')],
    'a bare CR before the coding': ['MalformedRequest', post('X: y\rTransfer-Encoding: chunked')],
  },
  connections: {
    'Connection names Host': ['MalformedRequest', get('Connection: close, Host')],
    'Connection names Content-Length': ['MalformedRequest', post('Content-Length: 5', 'Connection: content-length')],
    'Connection names Transfer-Encoding': ['MalformedRequest', get('Connection: Transfer-Encoding')],
    'Connection holds no token': ['MalformedRequest', get('Connection: "close"')],
    'Connection names 65 headers': [
      'MalformedRequest',
      get(`Connection: ${Array.from({ length: 65 }, (_, i) => `x${i}`).join(',')}`),
    ],
    'an upgrade with a length': [
      'MalformedRequest',
      get('Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 5'),
    ],
    'an upgrade with chunks': [
      'MalformedRequest',
      get('Connection: upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked'),
    ],
    'another expectation': ['ExpectationFailed', post('Content-Length: 5', 'Expect: 200-ok')],
    'an expectation with a parameter': ['ExpectationFailed', post('Content-Length: 5', 'Expect: 100-continue;x')],
    'an empty expectation': ['ExpectationFailed', post('Content-Length: 5', 'Expect:')],
    'two expectations': ['MalformedRequest', post('Expect: 100-continue', 'Expect: 100-continue')],
  },
};

for (const [name, table] of Object.entries(REFUSED)) {
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
  const reasons = Object.values(REFUSED).flatMap(table => Object.values(table).map(([reason]) => reason));
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
