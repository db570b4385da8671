import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  classifyName,
  createNameTable,
  FRAMING,
  HOP_BY_HOP,
  NO_TRAILER,
  STRIPPED,
  TRUSTED_CERTIFICATE,
  TRUSTED_PEER,
} from './names.ts';

const FLAGS: Record<string, [flag: number, ...names: string[]]> = {
  'hop-by-hop': [
    HOP_BY_HOP,
    'Connection',
    'keep-alive',
    'TE',
    'Trailer',
    'Upgrade',
    'HTTP2-Settings',
    'Proxy-Connection',
    'Proxy-Authorization',
    'proxy-anything',
  ],
  framing: [FRAMING, 'Host', 'content-length', 'TRANSFER-ENCODING', 'Expect'],
  stripped: [
    STRIPPED,
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'x_method_override',
    'X-Original-URL',
    'x-original-anything',
    'X.Rewrite.Url',
    'Proxy',
  ],
  'for trusted peers': [
    TRUSTED_PEER,
    'X-Forwarded-For',
    'x-forwarded-anything',
    'X_Forwarded_Host',
    'X.Forwarded.Proto',
    'Forwarded',
    'X-Real-IP',
    'X-Request-Id',
  ],
  'for trusted certificates': [
    TRUSTED_CERTIFICATE,
    'X-Forwarded-Client-Cert',
    'x_forwarded_client_cert',
    'Client-Cert',
    'Client.Cert.Chain',
  ],
  'not for trailers': [
    NO_TRAILER,
    'Authorization',
    'Cookie',
    'Set-Cookie',
    'Content-Type',
    'If-Match',
    'Cache-Control',
    'traceparent',
    'TraceState',
  ],
  ordinary: [
    0,
    'Accept',
    'grpc-status',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'x-forwardedfor',
    'hosts',
  ],
};

for (const [sentence, [flag, ...names]] of Object.entries(FLAGS)) {
  test(`${sentence}: ${names.join(', ')}`, () => {
    for (const name of names) assert.equal(classifyName(name)?.flags, flag, name);
  });
}

test('look-alikes of framing and hop-by-hop headers are stripped, and frame nothing', () => {
  for (const name of ['Transfer_Encoding', 'transfer.encoding', 'Content_Length', 'Keep_Alive', 'http2_settings']) {
    const info = classifyName(name);
    assert.ok(info !== undefined && (info.flags & STRIPPED) !== 0, name);
    assert.equal(info.role, 0, name);
  }
});

test('what is no token has no meaning', () => {
  for (const name of ['', ' ', 'a b', 'a:', 'a\r\n', 'é', 'a\0', '(a)', 'a/b']) {
    assert.equal(classifyName(name), undefined, JSON.stringify(name));
    assert.equal(createNameTable().classify(name), undefined, JSON.stringify(name));
  }
});

test('a table says what classifyName says, however many names clients invent', () => {
  const table = createNameTable(4);
  const names = [
    'Host',
    'X_Forwarded_For',
    ...Array.from({ length: 50 }, (_, i) => `x-${i}`),
    'a'.repeat(1000),
    'Host',
  ];
  for (const name of names) assert.deepEqual(table.classify(name), classifyName(name), name);
});

test('a table remembers names up to its capacity', () => {
  const table = createNameTable(2);
  const first = table.classify('a');
  assert.equal(table.classify('a'), first);
  table.classify('b');
  table.classify('c');
  assert.notEqual(table.classify('a'), first);
});
