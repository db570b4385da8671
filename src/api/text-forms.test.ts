import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCidr, isIpv4Mapped, maskCidr, parseCidr, parseIpv6 } from './cidr.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { itemPath, memberPath, splitPath } from './field-path.ts';
import { isFramingHeader } from './holds.ts';
import { formatQuantity, parseQuantity } from './quantity.ts';
import { nearestName, quote } from './words.ts';

describe('durations', () => {
  const read: Readonly<Record<string, number | undefined>> = {
    '0s': 0,
    '10s': 10_000,
    '1h30m': 5_400_000,
    '500ms': 500,
    '1m500ms': 60_500,
    '99999h': 359_996_400_000,
    '': undefined,
    '10': undefined,
    '1d': undefined,
    '-1s': undefined,
    '1.5h': undefined,
    '1s ': undefined,
    '1s1s1s1s1s': undefined,
    '100000s': undefined,
  };
  for (const [text, ms] of Object.entries(read)) {
    it(`reads "${text}" as ${ms === undefined ? 'nothing' : `${ms} ms`}`, () => assert.equal(parseDuration(text), ms));
  }

  it('are read back as they were written', () => {
    fc.assert(fc.property(fc.nat(359_999_999), ms => assert.equal(parseDuration(formatDuration(ms)), ms)));
  });
});

describe('quantities', () => {
  const read: readonly (readonly [string | number, number | undefined])[] = [
    [0, 0],
    [1048576, 1048576],
    ['64Ki', 65536],
    ['1Mi', 1048576],
    ['1.5Gi', 1610612736],
    ['2k', 2000],
    ['1e3', undefined],
    ['64KB', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['0.001Ki', undefined],
    [1.5, undefined],
    [NaN, undefined],
    [1e300, undefined],
    ['999999999999999Ti', undefined],
  ];
  for (const [text, bytes] of read) {
    it(`reads ${JSON.stringify(text)} as ${bytes === undefined ? 'nothing' : `${bytes} bytes`}`, () =>
      assert.equal(parseQuantity(text), bytes));
  }

  it('are read back as they were written', () => {
    fc.assert(fc.property(fc.nat(), bytes => assert.equal(parseQuantity(formatQuantity(bytes)), bytes)));
  });
});

describe('address ranges', () => {
  const good: Readonly<Record<string, string>> = {
    '10.0.8.0/24': '10.0.8.0/24',
    '10.0.8.5/24': '10.0.8.0/24',
    '0.0.0.0/0': '0.0.0.0/0',
    '2001:db8::/32': '2001:db8::/32',
    '2001:db8:ffff::1/33': '2001:db8:8000::/33',
    '::1/128': '0:0:0:0:0:0:0:1/128',
    '::ffff:10.0.0.0/104': '0:0:0:0:0:ffff:a00:0/104',
  };
  for (const [text, masked] of Object.entries(good)) {
    it(`masks ${text} to ${masked}`, () => {
      const cidr = parseCidr(text);
      assert.ok(cidr !== undefined);
      assert.equal(formatCidr(maskCidr(cidr)), masked);
    });
  }

  const bad = [
    '',
    '10.0.0.0',
    '10.0.0/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '010.0.0.0/8',
    '256.0.0.0/8',
    '::/129',
    '1::2::3/64',
    ':::/8',
    '1:2:3:4:5:6:7/64',
    '1:2:3:4:5:6:7::8/64',
    'fe80::1%eth0/64',
    '::10.0.0/96',
    '1.2.3.4::/32',
  ];
  for (const text of bad) it(`refuses "${text}"`, () => assert.equal(parseCidr(text), undefined));

  it('know IPv4 in IPv6 form', () => {
    const mapped = ['::ffff:1.2.3.4/128', '::ffff:0:0/96', '::fffe:0:0/96', '::ffff:0:0/95', '1.2.3.4/32'];
    assert.deepEqual(
      mapped.map(text => {
        const cidr = parseCidr(text);
        return cidr !== undefined && isIpv4Mapped(cidr);
      }),
      [true, true, false, false, false],
    );
  });

  it('read an address with its last four bytes in dotted form', () => {
    assert.deepEqual(parseIpv6('::ffff:1.2.3.4'), parseIpv6('::ffff:102:304'));
  });
});

describe('field paths', () => {
  it('are split into what they were joined from', () => {
    const segment = fc.oneof(
      fc.nat(9999),
      fc.string({ maxLength: 100 }),
      fc.constantFrom('spec', 'a-b', '__proto__', 'a.b'),
    );
    fc.assert(
      fc.property(fc.array(segment), segments => {
        const path = segments.reduce<string>(
          (parent, next) => (typeof next === 'number' ? itemPath(parent, next) : memberPath(parent, next)),
          '',
        );
        assert.deepEqual(
          splitPath(path),
          segments.map(next => (typeof next === 'string' ? next.toWellFormed() : next)),
        );
      }),
    );
  });

  it('end where they cannot be read', () => assert.deepEqual(splitPath('spec.a[x].b'), ['spec', 'a']));
});

describe('words of problems', () => {
  it('name what was probably meant', () => {
    const known = ['request', 'response', 'errors', 'mode'];
    assert.equal(nearestName('reqeust', known), 'request');
    assert.equal(nearestName('Mode', known), 'mode');
    assert.equal(nearestName('error', known), 'errors');
    assert.equal(nearestName('spec', known), undefined);
    assert.equal(nearestName('', known), undefined);
    assert.equal(nearestName('x'.repeat(100_000), known), undefined);
  });

  it('quote on one line, bounded and harmless to a terminal', () => {
    assert.equal(quote('a"b\n'), '"a\\"b\\n"');
    assert.equal(quote('\u001b[31m\u202e\u0085'), '"\\u001b[31m\\u202e\\u0085"');
    assert.equal(quote('x'.repeat(1000)), `"${'x'.repeat(64)}…"`);
    assert.equal(quote('\ud800'), '"\ufffd"');
  });
});

describe('headers of the framing', () => {
  it('are known in every spelling that a back end may fold together', () => {
    const names = [
      'Host',
      'content_length',
      'Transfer.Encoding',
      'TE',
      'Proxy-Authorization',
      'proxy_connection',
      'KEEP-ALIVE',
    ];
    for (const name of names) assert.equal(isFramingHeader(name), true, name);
    for (const name of ['X-Host', 'Content-Type', 'Authorization', 'Forwarded'])
      assert.equal(isFramingHeader(name), false, name);
  });
});
