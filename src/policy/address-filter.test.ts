import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { createAddressFilter } from './address-filter.ts';

suite('P8: ipFilter', () => {
  const filter = createAddressFilter(
    ['203.0.113.0/24', '198.51.100.7-198.51.100.20', '2001:db8::/32', '::ffff:192.0.2.1'],
    ['203.0.113.66', '2001:db8:bad::/48'],
  );
  for (const [address, verdict] of Object.entries({
    '203.0.113.0': 'Allowed',
    '203.0.113.255': 'Allowed',
    '203.0.114.0': 'NotAllowed',
    '203.0.113.66': 'Blocked',
    '198.51.100.6': 'NotAllowed',
    '198.51.100.7': 'Allowed',
    '198.51.100.20': 'Allowed',
    '198.51.100.21': 'NotAllowed',
    '192.0.2.1': 'Allowed',
    '::ffff:203.0.113.7': 'Allowed',
    '::ffff:cb00:7142': 'Blocked',
    '2001:db8::1': 'Allowed',
    '2001:DB8:BAD::1': 'Blocked',
    '2001:db9::': 'NotAllowed',
    '::': 'NotAllowed',
    '255.255.255.255': 'NotAllowed',
    // What is no address is nobody who was let in.
    '': 'NotAllowed',
    unknown: 'NotAllowed',
    '203.0.113.07': 'NotAllowed',
    '203.0.113.7.': 'NotAllowed',
    '203.0.113.7\u0000': 'NotAllowed',
    '4294967295': 'NotAllowed',
  })) {
    test(`${JSON.stringify(address)} is ${verdict}`, () => assert.equal(filter(address), verdict));
  }

  test('without an allow list everybody passes who is not denied, but for what is no address', () => {
    const open = createAddressFilter(undefined, ['10.0.0.0/8']);
    assert.deepEqual(['10.1.2.3', '11.0.0.0', '2001:db8::1', 'x'].map(open), [
      'Blocked',
      'Allowed',
      'Allowed',
      'NotAllowed',
    ]);
  });

  test('agrees with the block lists of Node on overlapping ranges', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const v4 = fc.tuple(fc.constantFrom(10, 203), fc.constantFrom(0, 1), octet, octet).map(parts => parts.join('.'));
    const v6 = fc
      .tuple(fc.constantFrom('2001:db8', 'fd00:1'), octet, octet)
      .map(([net, a, b]) => `${net}::${a.toString(16)}:${b.toString(16)}`);
    const address = fc.oneof(v4, v6);
    const pair = fc.tuple(v4, v4).map(([a, b]): [string, string] => (order(a, b) <= 0 ? [a, b] : [b, a]));
    fc.assert(
      fc.property(
        fc.array(pair, { maxLength: 8 }),
        fc.array(v6, { maxLength: 4 }),
        address,
        (ranges, singles, asked) => {
          const reference = new BlockList();
          for (const [from, to] of ranges) reference.addRange(from, to, 'ipv4');
          for (const single of singles) reference.addAddress(single, 'ipv6');
          const entries = [...ranges.map(([from, to]) => `${from}-${to}`), ...singles, '192.0.2.1'];
          const wanted = reference.check(asked, isIP(asked) === 6 ? 'ipv6' : 'ipv4');
          assert.equal(createAddressFilter(entries, [])(asked), wanted ? 'Allowed' : 'NotAllowed');
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a list of 10,000 entries is searched, not walked', () => {
    const entries = Array.from({ length: 10_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/25`);
    const large = createAddressFilter(entries, []);
    assert.deepEqual(['10.0.0.0', '10.39.15.127', '10.39.15.128', '10.39.16.0', '9.255.255.255'].map(large), [
      'Allowed',
      'Allowed',
      'NotAllowed',
      'NotAllowed',
      'NotAllowed',
    ]);
  });
});

function order(a: string, b: string): number {
  const [left, right] = [a, b].map(text => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0));
  return (left ?? 0) - (right ?? 0);
}
