import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  joinFields,
  makeFields,
  renderFields,
  renderRequest,
  renderResponse,
  renderTrailers,
  UnwritableHead,
} from './message.ts';
import type { HeaderEdit, ParsedFields, RequestRendering, ResponseRendering } from './message.ts';
import { createNameTable, TRUSTED_CERTIFICATE, TRUSTED_PEER } from './names.ts';
import { requestHead, responseHead } from './testing/messages.ts';

const NONE: ReadonlySet<string> = new Set();
const NO_EDITS: ReadonlyMap<string, HeaderEdit> = new Map();

function fieldsOf(pairs: readonly (readonly [string, string])[]): ParsedFields {
  const fields = makeFields(pairs, createNameTable());
  assert.ok(fields !== undefined);
  return fields;
}

const rendering = {
  fields: fieldsOf([]),
  drop: 0,
  reserved: NONE,
  connectionNames: NONE,
  edits: NO_EDITS,
  extra: renderFields([]),
};

function request(changes: Partial<RequestRendering>): string {
  const head: RequestRendering = {
    ...rendering,
    method: 'GET',
    target: '/',
    host: 'a',
    framing: { kind: 'none' },
    expectContinue: false,
  };
  return renderRequest({ ...head, ...changes });
}

function response(changes: Partial<ResponseRendering>): string {
  return renderResponse({ ...rendering, status: 200, framing: { kind: 'none' }, ...changes });
}

/** Lines of a head without start line, Host and the empty line. */
const linesOf = (text: string): string[] =>
  text
    .split('\r\n')
    .slice(1, -2)
    .filter(line => !line.startsWith('Host:'));

test('a request is written afresh from what was parsed', () => {
  const head = requestHead(
    [
      'POST http://App.Example/a/../b?c HTTP/1.0',
      'accept:  x ',
      'Host: App.Example',
      'Content-Length: 0005',
      'X-Last:y\t',
      '',
      '',
    ].join('\r\n'),
  );
  const target = `${head.path}?${head.query}`;
  assert.equal(
    request({ ...head, fields: head, target, host: 'App.Example', expectContinue: true }),
    'POST /b?c HTTP/1.1\r\nHost: App.Example\r\naccept: x\r\nX-Last: y\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
  );
});

test('chunked is written for what came in chunks', () => {
  assert.deepEqual(linesOf(request({ framing: { kind: 'chunked' } })), ['Transfer-Encoding: chunked']);
  assert.deepEqual(linesOf(request({ framing: { kind: 'length', length: 0 } })), ['Content-Length: 0']);
});

suite('never forwarded:', () => {
  const names = [
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Upgrade',
    'HTTP2-Settings',
    'Content-Length',
    'Transfer-Encoding',
    'Expect',
    'Transfer_Encoding',
    'Content.Length',
    'Proxy',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Method-Override',
    'X_HTTP_Method',
    'X-Original-URL',
    'X.Original.Host',
    'X-Rewrite-URL',
  ];
  for (const name of names) {
    test(name, () => {
      const fields = fieldsOf([
        ['Before', '1'],
        [name, 'x'],
        [name.toLowerCase(), 'x'],
        [name.toUpperCase(), 'x'],
        ['After', '2'],
      ]);
      assert.deepEqual(linesOf(request({ fields })), ['Before: 1', 'After: 2']);
      assert.deepEqual(linesOf(response({ fields })), ['Before: 1', 'After: 2']);
    });
  }
});

test('forwarding headers go when the peer is not trusted with them', () => {
  const fields = fieldsOf([
    ['X-Forwarded-For', '1'],
    ['x_forwarded_client_cert', '2'],
    ['Client-Cert', '3'],
    ['X', '4'],
  ]);
  assert.deepEqual(linesOf(request({ fields, drop: TRUSTED_PEER | TRUSTED_CERTIFICATE })), ['X: 4']);
  assert.deepEqual(linesOf(request({ fields, drop: TRUSTED_CERTIFICATE })), ['X-Forwarded-For: 1', 'X: 4']);
  assert.equal(linesOf(request({ fields })).length, 4);
});

test('reserved names go in every spelling', () => {
  const fields = fieldsOf([
    ['X-Auth-User', '1'],
    ['x_auth_user', '2'],
    ['X.AUTH-USER', '3'],
    ['X-Auth-Users', '4'],
  ]);
  assert.deepEqual(linesOf(request({ fields, reserved: new Set(['x-auth-user']) })), ['X-Auth-Users: 4']);
});

test('headers that Connection names go before ours are added', () => {
  const head = requestHead(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Id, x-more\r\nx-id: client\r\nX-More: 1\r\nY: 2\r\n\r\n',
  );
  const extra = renderFields([['X-Id', 'ours']]);
  assert.deepEqual(linesOf(request({ fields: head, connectionNames: head.connectionNames, extra })), [
    'Y: 2',
    'X-Id: ours',
  ]);
});

test('edits replace, add and remove whatever was received', () => {
  const fields = fieldsOf([
    ['X-A', '1'],
    ['x-a', '2'],
    ['X_A', '3'],
    ['X-B', '4'],
    ['X-C', '5'],
  ]);
  const edits = new Map<string, HeaderEdit>([
    ['x-a', { name: 'X-A', values: ['new', 'newer'] }],
    ['x-b', { name: 'X-B', values: [] }],
    ['x-d', { name: 'X-D', values: [''] }],
  ]);
  assert.deepEqual(linesOf(request({ fields, edits })), ['X-C: 5', 'X-A: new', 'X-A: newer', 'X-D: ']);
});

test('an answer has the standard reason phrase, and its length where no body follows', () => {
  const head = responseHead(
    'HTTP/1.1 404 Tomcat says no\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n',
    'HEAD',
  );
  const framing = { kind: 'length', length: head.contentLength ?? 0 } as const;
  const reserved = new Set(['server']);
  assert.equal(
    response({ status: head.status, fields: head, reserved, framing }),
    'HTTP/1.1 404 Not Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n',
  );
  assert.equal(response({ status: 299 }), 'HTTP/1.1 299 \r\n\r\n');
});

const INJECTED = ['a\r\nX: y', 'a\nb', 'a\rb', 'a\0', '\u010d\u010aX: y', '\x7f', '\u{1f600}', '\x1b[2J'];

test('nothing that did not come from a parser can add a line', () => {
  for (const text of INJECTED) {
    const edits = new Map([['x', { name: 'X', values: [text] }]]);
    const editedName = new Map([['x', { name: text, values: ['a'] }]]);
    const attempts: Record<string, () => unknown> = {
      'edited value': () => request({ edits }),
      'edited name': () => request({ edits: editedName }),
      'edited value of an answer': () => response({ edits }),
      'field value': () => renderFields([['X', text]]),
      'field name': () => renderFields([[text, 'x']]),
      host: () => request({ host: text }),
      target: () => request({ target: `/${text}` }),
      method: () => request({ method: text }),
    };
    for (const [what, attempt] of Object.entries(attempts))
      assert.throws(attempt, UnwritableHead, `${what} ${JSON.stringify(text)}`);
    assert.equal(makeFields([['X', text]], createNameTable()), undefined);
    assert.equal(makeFields([[text, 'x']], createNameTable()), undefined);
  }
});

test('groups of field lines join to one', () => {
  const lines = joinFields(renderFields([['A', '1']]), renderFields([]), renderFields([['B', '2']]));
  assert.deepEqual(linesOf(request({ extra: lines })), ['A: 1', 'B: 2']);
});

test('what cannot be a head is not written', () => {
  assert.throws(() => request({ target: '' }), UnwritableHead);
  assert.throws(() => request({ target: '/ HTTP/1.1' }), UnwritableHead);
  assert.throws(() => request({ method: '' }), UnwritableHead);
  assert.throws(() => request({ host: 'a b' }), UnwritableHead);
  for (const status of [99, 600, 200.5, NaN]) assert.throws(() => response({ status }), UnwritableHead);
});

test('no edit writes a framing header', () => {
  for (const name of ['Content-Length', 'Transfer-Encoding', 'Host', 'Connection', 'Upgrade']) {
    const edits = new Map([[name.toLowerCase(), { name, values: ['5'] }]]);
    assert.throws(() => request({ edits }), UnwritableHead, name);
    const removal = new Map([[name.toLowerCase(), { name, values: [] }]]);
    assert.doesNotThrow(() => request({ edits: removal }), name);
  }
});

test('an error names the header, never its value', () => {
  assert.throws(
    () => renderFields([['X-Secret', 'hunter2\r\n']]),
    (error: unknown) =>
      error instanceof UnwritableHead && error.message.includes('X-Secret') && !error.message.includes('hunter2'),
  );
});

test('trailers are passed on without framing, credentials and reserved names', () => {
  const trailers = fieldsOf([
    ['grpc-status', '0'],
    ['Content-Length', '5'],
    ['Transfer-Encoding', 'chunked'],
    ['Host', 'b'],
    ['Authorization', 'Bearer x'],
    ['Cookie', 'a'],
    ['X-Forwarded-For', '1'],
    ['X_Context', 'forged'],
    ['Content-Digest', 'sha-256=::'],
  ]);
  assert.equal(
    renderTrailers(trailers, new Set(['x-context'])),
    '0\r\ngrpc-status: 0\r\nContent-Digest: sha-256=::\r\n\r\n',
  );
  assert.equal(renderTrailers(fieldsOf([]), NONE), '0\r\n\r\n');
});
