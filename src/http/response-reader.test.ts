import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createResponseReader } from './message.ts';
import { feed, headOf, LIMITS, readResponse, refusalOf, responseHead } from './testing/messages.ts';

const ok = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
const answer = (status: number, ...lines: string[]): string => [`HTTP/1.1 ${status} x`, ...lines, '', ''].join('\r\n');

const REFUSED: Record<string, Record<string, string>> = {
  'status lines': {
    'a bare LF': 'HTTP/1.1 200 OK\n\n',
    'an empty line in front': `\r\n${ok()}`,
    'HTTP/2': 'HTTP/2 200\r\n\r\n',
    'version 2.0': 'HTTP/2.0 200 OK\r\n\r\n',
    'version 1.2': 'HTTP/1.2 200 OK\r\n\r\n',
    'another protocol': 'ICY 200 OK\r\n\r\n',
    'status 99': 'HTTP/1.1 099 x\r\n\r\n',
    'status 600': 'HTTP/1.1 600 x\r\n\r\n',
    'status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
    'status of four digits': 'HTTP/1.1 2000 OK\r\n\r\n',
    'a sign': 'HTTP/1.1 +20 OK\r\n\r\n',
    'two spaces': 'HTTP/1.1  200 OK\r\n\r\n',
    'NUL in the reason': 'HTTP/1.1 200 O\0K\r\n\r\n',
    'a bare CR in the reason': 'HTTP/1.1 200 O\rK\r\n\r\n',
    'a reason without a space': 'HTTP/1.1 200OK\r\n\r\n',
    'a body without a head': '<html>',
  },
  lengths: {
    'two lengths': ok('Content-Length: 5', 'Content-Length: 6'),
    'the same length twice (CVE-2026-1525)': ok('Content-Length: 5', 'Content-Length: 5'),
    'a list of lengths': ok('Content-Length: 5, 5'),
    'a length that is no number': ok('Content-Length: five'),
    'an empty length': ok('Content-Length:'),
    '2^53': ok('Content-Length: 9007199254740992'),
    'both lengths': ok('Content-Length: 5', 'Transfer-Encoding: chunked'),
    'both lengths where no body follows': answer(304, 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    'gzip, chunked': ok('Transfer-Encoding: gzip, chunked'),
    identity: ok('Transfer-Encoding: identity'),
    'chunked twice': ok('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    'chunked in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
  },
  'field lines': {
    'a folded line': ok('X: a', ' b'),
    'a space before the colon': ok('X : a'),
    'a bare LF': ok('X: a\nY: b'),
    'NUL in a value': ok('X: \0'),
    'no colon': ok('X'),
    '101 headers': ok(...Array.from({ length: 101 }, () => 'X: y')),
    'a head that is too large': ok(`X: ${'a'.repeat(65536)}`),
    'Connection that is no list of names': ok('Connection: @'),
  },
};

for (const [name, table] of Object.entries(REFUSED)) {
  suite(`refused ${name} of the app`, () => {
    for (const [sentence, text] of Object.entries(table)) {
      test(`${sentence} → AppProtocolError`, () => {
        assert.equal(refusalOf(readResponse(text)), 'AppProtocolError');
        const byteByByte = createResponseReader(LIMITS);
        assert.equal(refusalOf(feed(Array.from(text), chunk => byteByByte.read(chunk, 'GET'))), 'AppProtocolError');
      });
    }
  });
}

const FRAMINGS: Record<string, [text: string, method: string, framing: string, keepAlive: boolean]> = {
  'a length': [ok('Content-Length: 5'), 'GET', 'length', true],
  chunks: [ok('Transfer-Encoding: Chunked'), 'GET', 'chunked', true],
  'no length': [ok(), 'GET', 'until-close', false],
  'no length, and keep-alive claimed': [ok('Connection: keep-alive'), 'GET', 'until-close', false],
  'HEAD with a length': [ok('Content-Length: 5'), 'HEAD', 'none', true],
  'HEAD with chunks': [ok('Transfer-Encoding: chunked'), 'HEAD', 'none', true],
  'HEAD without length': [ok(), 'HEAD', 'none', true],
  '204': [answer(204), 'GET', 'none', true],
  '204 with length 0': [answer(204, 'Content-Length: 0'), 'GET', 'none', true],
  '204 that announces a body': [answer(204, 'Content-Length: 5'), 'GET', 'none', false],
  '204 that announces chunks': [answer(204, 'Transfer-Encoding: chunked'), 'GET', 'none', false],
  '304 with the length of what was not sent': [answer(304, 'Content-Length: 5'), 'GET', 'none', true],
  '100': [answer(100), 'POST', 'none', true],
  'Connection: close': [ok('Content-Length: 5', 'Connection: close'), 'GET', 'length', false],
  'HTTP/1.0': ['HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n', 'GET', 'length', false],
  'HTTP/1.0 with keep-alive': [
    'HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n',
    'GET',
    'length',
    true,
  ],
};

for (const [sentence, [text, method, framing, keepAlive]] of Object.entries(FRAMINGS)) {
  test(`body of ${sentence}: ${framing}, connection ${keepAlive ? 'kept' : 'closed'}`, () => {
    const head = responseHead(text, method);
    assert.deepEqual([head.framing.kind, head.keepAlive], [framing, keepAlive]);
  });
}

test('gives the parts of an answer', () => {
  const head = responseHead(
    'HTTP/1.1 404 Not \xfcbrig\r\nServer: x\r\nContent-Length: 7\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n',
  );
  assert.equal(head.status, 404);
  assert.equal(head.reason, 'Not \xfcbrig');
  assert.equal(head.contentLength, 7);
  assert.deepEqual(head.values, ['x', '7', 'a', 'b']);
});

test('a reason phrase may be empty, with or without its space', () => {
  assert.equal(responseHead('HTTP/1.1 200 \r\n\r\n').reason, '');
  assert.equal(responseHead('HTTP/1.1 200\r\n\r\n').reason, '');
});

test('Keep-Alive: timeout is read in milliseconds', () => {
  assert.equal(responseHead(ok('Keep-Alive: timeout=5, max=100')).keepAliveTimeoutMs, 5000);
  assert.equal(responseHead(ok('Keep-Alive: max=100,Timeout=72')).keepAliveTimeoutMs, 72000);
  assert.equal(responseHead(ok('Keep-Alive: xtimeout=5')).keepAliveTimeoutMs, undefined);
  assert.equal(responseHead(ok('Keep-Alive: timeout=soon')).keepAliveTimeoutMs, undefined);
  assert.equal(responseHead(ok()).keepAliveTimeoutMs, undefined);
});

test('informational answers come one by one before the final one', () => {
  const reader = createResponseReader(LIMITS);
  const early = answer(103, 'Link: </a>');
  const first = reader.read(early + ok('Content-Length: 0'), 'GET');
  assert.ok(first.kind === 'head' && first.head.status === 103);
  assert.equal(first.consumed, early.length);
  assert.equal(headOf(reader.read(ok('Content-Length: 0'), 'GET')).status, 200);
});

test('the seventeenth informational answer is an error, and stays one', () => {
  const reader = createResponseReader(LIMITS);
  for (let i = 0; i < 16; i++) assert.equal(headOf(reader.read(answer(100), 'GET')).status, 100);
  assert.equal(refusalOf(reader.read(answer(100), 'GET')), 'AppProtocolError');
  assert.equal(refusalOf(reader.read(ok('Content-Length: 0'), 'GET')), 'AppProtocolError');
  reader.reset();
  assert.equal(headOf(reader.read(answer(100), 'GET')).status, 100);
});

test('a final answer starts the count of informational ones anew', () => {
  const reader = createResponseReader(LIMITS);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) headOf(reader.read(answer(100), 'GET'));
    assert.equal(headOf(reader.read(ok('Content-Length: 0'), 'GET')).status, 200);
  }
});

test('101 is an upgrade only with what belongs to it', () => {
  const upgraded = answer(101, 'Upgrade: WebSocket', 'Connection: Upgrade');
  assert.ok(responseHead(upgraded).upgradeWebSocket);
  assert.ok(!responseHead(answer(101, 'Upgrade: h2c', 'Connection: Upgrade')).upgradeWebSocket);
  assert.ok(!responseHead(answer(101, 'Upgrade: websocket')).upgradeWebSocket);
  assert.ok(!responseHead(ok('Upgrade: websocket', 'Connection: Upgrade')).upgradeWebSocket);
});
