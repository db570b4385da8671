import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { readProxyHeader } from './proxy-protocol.ts';
import { SIGNATURE, writeBinary, writeLine, type Written } from './testing/proxy-headers.ts';

function tell(bytes: Buffer): string {
  const header = readProxyHeader(bytes);
  return header.kind === 'header' ? `${header.bytes} ${header.source ?? 'itself'}` : header.kind;
}

suite('M3a: version 1', () => {
  const LINES: Readonly<Record<string, string>> = {
    'PROXY TCP4 203.0.113.9 192.0.2.1 45422 443\r\n': '44 203.0.113.9',
    'PROXY TCP4 203.0.113.9 192.0.2.1 0 65535\r\nGET /': '42 203.0.113.9',
    'PROXY TCP6 2001:DB8::9 ::1 45422 443\r\n': '38 2001:db8::9',
    // Folded (P8): the same client by IPv4 and by IPv6.
    'PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n': '39 203.0.113.9',
    'PROXY UNKNOWN\r\n': '15 itself',
    'PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n': '59 itself',
    PROX: 'more',
    'PROXY TCP4 203.0.113.9 192.0.2.1 45422 443\r': 'more',
    'GET / HTTP/1.1\r\n': 'bad',
    'proxy TCP4 203.0.113.9 192.0.2.1 45422 443\r\n': 'bad',
    'PROXY  TCP4 203.0.113.9 192.0.2.1 45422 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 45422 443\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 45422 443 \r\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 45422\r\n': 'bad',
    'PROXY TCP4 203.0.113.09 192.0.2.1 45422 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.256 192.0.2.1 45422 443\r\n': 'bad',
    'PROXY TCP4 2001:db8::9 ::1 45422 443\r\n': 'bad',
    'PROXY TCP6 203.0.113.9 192.0.2.1 45422 443\r\n': 'bad',
    'PROXY TCP6 fe80::1%eth0 ::1 45422 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 045 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.9 192.0.2.1 -1 443\r\n': 'bad',
    'PROXY UDP4 203.0.113.9 192.0.2.1 1 443\r\n': 'bad',
    'PROXY TCP4 203.0.113.9 localhost 1 443\r\n': 'bad',
    'PROXY UNKNOWN\u0000\r\n': 'bad',
    [`PROXY UNKNOWN ${'x'.repeat(200)}`]: 'bad',
    [`PROXY UNKNOWN ${'x'.repeat(80)}`]: 'more',
  };
  for (const [line, told] of Object.entries(LINES)) {
    test(`${JSON.stringify(line.slice(0, 70))}: ${told}`, () => assert.equal(tell(Buffer.from(line, 'latin1')), told));
  }
});

suite('M3a: version 2', () => {
  const vector = (type: number, value: string): Buffer =>
    Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), Buffer.from(value)]);
  const CASES: Readonly<Record<string, readonly [told: string, source: string, parts?: Written, behind?: string]>> = {
    'TCP over IPv4': ['28 203.0.113.9', '203.0.113.9'],
    'TCP over IPv6': ['52 2001:db8::9', '2001:db8::9'],
    'an IPv4-mapped source': [
      '52 203.0.113.9',
      '',
      { family: 0x21, body: Buffer.from(`${'00'.repeat(10)}ffffcb007109${'00'.repeat(20)}`, 'hex') },
    ],
    'what comes behind it stays': ['28 203.0.113.9', '203.0.113.9', {}, 'GET / HTTP/1.1\r\n'],
    'with TLVs': [
      '45 203.0.113.9',
      '203.0.113.9',
      { vectors: Buffer.concat([vector(1, 'h2'), vector(2, 'a.example')]) },
      '',
    ],
    'LOCAL, a health check': ['16 itself', '', { command: 0x20, family: 0, body: Buffer.alloc(0) }],
    'LOCAL with addresses, which are to be skipped': ['28 itself', '203.0.113.9', { command: 0x20 }],
    'LOCAL of a family that nobody knows': ['20 itself', '', { command: 0x20, family: 0xff, body: Buffer.alloc(4) }],
    'an unspecified family': ['21 itself', '', { family: 0, body: Buffer.alloc(5) }],
    'a Unix socket': ['232 itself', '', { family: 0x31, body: Buffer.alloc(216) }],
    datagrams: ['bad', '203.0.113.9', { family: 0x12 }],
    'an unknown family': ['bad', '203.0.113.9', { family: 0x41 }],
    'an unknown transport': ['bad', '203.0.113.9', { family: 0x13 }],
    'an unknown command': ['bad', '203.0.113.9', { command: 0x22 }],
    'an unknown version': ['bad', '203.0.113.9', { command: 0x31 }],
    'addresses cut short': ['bad', '203.0.113.9', { body: Buffer.alloc(11) }],
    'IPv6 with the length of IPv4': ['bad', '203.0.113.9', { family: 0x21 }],
    'a Unix socket cut short': ['bad', '', { family: 0x31, body: Buffer.alloc(215) }],
    'a TLV that ends beyond the header': ['bad', '203.0.113.9', { vectors: Buffer.from([1, 0, 9, 0]) }],
    'a TLV cut short': ['bad', '203.0.113.9', { vectors: Buffer.from([1, 0]) }],
    'a length beyond the bound': ['bad', '203.0.113.9', { length: 4081 }],
    'the greatest length, of which all is still to come': ['more', '203.0.113.9', { length: 4080 }],
  };
  for (const [what, [told, source, parts, behind = '']] of Object.entries(CASES)) {
    test(`${what}: ${told}`, () =>
      assert.equal(
        tell(Buffer.concat([writeBinary(source === '' ? '192.0.2.9' : source, parts), Buffer.from(behind)])),
        told,
      ));
  }
  test('another byte anywhere in the signature is refused', () => {
    for (let at = 0; at < SIGNATURE.length; at++) {
      const bytes = writeBinary('203.0.113.9');
      bytes[at] = (bytes[at] ?? 0) ^ 0x20;
      assert.equal(tell(bytes), 'bad', String(at));
    }
  });
});

const v4 = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }).map(parts => parts.join('.'));
const v6 = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .filter(([first]) => first !== 0)
  .map(groups => new SocketAddress({ address: groups.map(g => g.toString(16)).join(':'), family: 'ipv6' }).address);
const headers = fc
  .oneof(v4, v6)
  .chain(source => fc.constantFrom(writeBinary, writeLine).map(write => ({ source, bytes: write(source) })));

test('whatever address a sender writes is read, and not before its header is whole', () => {
  fc.assert(
    fc.property(headers, fc.uint8Array({ maxLength: 20 }), ({ source, bytes }, behind) => {
      assert.equal(tell(Buffer.concat([bytes, behind])), `${bytes.length} ${source}`);
      for (let end = 0; end < bytes.length; end++) assert.equal(tell(bytes.subarray(0, end)), 'more');
    }),
    { numRuns: 100 },
  );
});

test('hostile bytes never throw, never wait for more than the bound, and never go beyond what came', () => {
  const noise = fc.uint8Array({ maxLength: 300 });
  const mutated = fc.tuple(headers, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([{ bytes }, at, value]) => {
    const copy = Buffer.from(bytes);
    copy[at % copy.length] = value;
    return copy;
  });
  const started = fc
    .tuple(fc.constantFrom(SIGNATURE, 'PROXY ', 'PROXY TCP4 '), noise)
    .map(([start, rest]) => Buffer.concat([Buffer.from(start, 'latin1'), rest]));
  fc.assert(
    fc.property(fc.oneof(noise, mutated, started), bytes => {
      const header = readProxyHeader(bytes);
      if (header.kind === 'header') assert.ok(header.bytes <= bytes.length);
      const longer = Buffer.concat([bytes, Buffer.alloc(4096, 0x20)]);
      assert.notEqual(readProxyHeader(longer).kind, 'more');
    }),
    { numRuns: 200 },
  );
});
