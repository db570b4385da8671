import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createResponseReader } from './message.ts';
import { feed, headOf, LIMITS, readResponse, refusalOf, responseHead } from './testing/messages.ts';
import { answer, ok, REFUSED_ANSWERS } from './testing/refused-answers.ts';

for (const [name, table] of Object.entries(REFUSED_ANSWERS)) {
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

test('Connection of an answer may name framing headers, as some caches do: they are written afresh anyway', () => {
  const head = responseHead(ok('Connection: keep-alive, Transfer-Encoding', 'Transfer-Encoding: chunked'));
  assert.deepEqual(head.framing, { kind: 'chunked' });
});

test('started tells whether a head of an answer is under way', () => {
  const reader = createResponseReader(LIMITS);
  assert.ok(!reader.started);
  reader.read('HTTP/1.1 2', 'GET');
  assert.ok(reader.started);
  headOf(reader.read('00\r\nContent-Length: 0\r\n\r\n', 'GET'));
  assert.ok(!reader.started);
});
