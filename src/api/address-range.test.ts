import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { formatAddress, parseAddressRange, readAddress } from './address-range.ts';

const tell = (text: string): string => {
  const range = parseAddressRange(text);
  return typeof range === 'string' ? range : `${formatAddress(range.from)} to ${formatAddress(range.to)}`;
};

suite('P8: an entry of an address list', () => {
  for (const [text, told] of Object.entries({
    '203.0.113.7': '203.0.113.7 to 203.0.113.7',
    '203.0.113.0/24': '203.0.113.0 to 203.0.113.255',
    '0.0.0.0/0': '0.0.0.0 to 255.255.255.255',
    '10.0.0.0/9': '10.0.0.0 to 10.127.255.255',
    '198.51.100.7-198.51.100.20': '198.51.100.7 to 198.51.100.20',
    '198.51.100.7 - 198.51.100.20': '198.51.100.7 to 198.51.100.20',
    '2001:db8::1': '2001:db8::1 to 2001:db8::1',
    '2001:db8::/32': '2001:db8:: to 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:db8::1-2001:db8::ff': '2001:db8::1 to 2001:db8::ff',
    '::/0': ':: to ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    // Folded: they are IPv4 addresses in another spelling.
    '::ffff:203.0.113.7': '203.0.113.7 to 203.0.113.7',
    '::FFFF:cb00:7107': '203.0.113.7 to 203.0.113.7',
    '::ffff:203.0.113.0/120': '203.0.113.0 to 203.0.113.255',
    '203.0.113.9/24': 'host bits',
    '2001:db8::1/32': 'host bits',
    '198.51.100.20-198.51.100.7': 'backwards',
    '198.51.100.7-2001:db8::1': 'families differ',
    '203.0.113': 'not an address',
    '203.0.113.07': 'not an address',
    '203.0.113.7/33': 'not an address',
    '203.0.113.1-203.0.113.2-203.0.113.3': 'not an address',
    '-203.0.113.1': 'not an address',
    'fe80::1%eth0': 'not an address',
    localhost: 'not an address',
  })) {
    test(`${text} is ${told}`, () => assert.equal(tell(text), told));
  }
});

test('an IPv6 address has one text, which is that of RFC 5952 as Node writes it', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), groups => {
      const text = groups.map(value => value.toString(16).toUpperCase().padStart(4, '0')).join(':');
      const bytes = readAddress(text);
      assert.ok(bytes !== undefined);
      if (bytes.length === 4 || text.startsWith('0000:0000:0000:0000:0000:0000')) return; // written with dots
      assert.equal(formatAddress(bytes), new SocketAddress({ address: text, family: 'ipv6' }).address);
    }),
    { numRuns: 200 },
  );
});
