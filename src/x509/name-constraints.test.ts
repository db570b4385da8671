import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AlternativeNames, NameConstraints } from '../demo/extensions.ts';
import { createAuthority } from '../demo/pki.ts';
import { parseCertificate } from './certificate.ts';
import { Asn1Error } from './der.ts';
import { constrainedNames, obeysConstraints } from './name-constraints.ts';

const root = createAuthority({ name: 'root' });

function obeys(
  constraints: NameConstraints,
  san: AlternativeNames,
  subject: Record<string, string> = { CN: 'x' },
): boolean {
  const authority = parseCertificate(root.createIntermediate({ name: 'ca', nameConstraints: constraints }).der);
  const leaf = parseCertificate(root.issue({ subject, ...(Object.keys(san).length === 0 ? {} : { san }) }).der);
  const { nameConstraints } = authority.extensions;
  assert.ok(nameConstraints);
  const names = constrainedNames(leaf.subject, leaf.extensions.subjectAltName ?? []);
  return obeysConstraints(names, nameConstraints, { left: 10_000 });
}

const permitted = (names: AlternativeNames): NameConstraints => ({ permitted: names });
const excluded = (names: AlternativeNames): NameConstraints => ({ excluded: names });

const CASES: Record<string, [NameConstraints, AlternativeNames, boolean]> = {
  'a DNS name below the permitted one': [permitted({ dns: ['fleet.example'] }), { dns: ['a.FLEET.example'] }, true],
  'a DNS name that only ends alike': [permitted({ dns: ['fleet.example'] }), { dns: ['notfleet.example'] }, false],
  'one DNS name of two outside': [
    permitted({ dns: ['fleet.example'] }),
    { dns: ['fleet.example', 'b.example'] },
    false,
  ],
  'no DNS name where only those are constrained': [permitted({ dns: ['fleet.example'] }), {}, true],
  'a wildcard that may stand for an excluded name': [
    excluded({ dns: ['a.fleet.example'] }),
    { dns: ['*.fleet.example'] },
    false,
  ],
  'a DNS name that is no host name below a constraint': [
    permitted({ dns: ['fleet.example'] }),
    { dns: ['-.fleet.example'] },
    false,
  ],
  'a URI of the permitted host': [permitted({ uri: ['fleet.example'] }), { uri: ['spiffe://fleet.example/a'] }, true],
  'a URI with the permitted host as user': [
    permitted({ uri: ['fleet.example'] }),
    { uri: ['spiffe://fleet.example@evil.example/a'] },
    false,
  ],
  'a URI below a permitted host without leading dot': [
    permitted({ uri: ['fleet.example'] }),
    { uri: ['spiffe://a.fleet.example/'] },
    false,
  ],
  'a URI below a permitted host with leading dot': [
    permitted({ uri: ['.fleet.example'] }),
    { uri: ['spiffe://a.fleet.example/'] },
    true,
  ],
  'a URI without a host below a URI constraint': [
    permitted({ uri: ['fleet.example'] }),
    { uri: ['urn:device:7'] },
    false,
  ],
  'a URI with an address below a URI constraint': [
    excluded({ uri: ['fleet.example'] }),
    { uri: ['https://192.0.2.1/'] },
    false,
  ],
  'a mailbox of the permitted host': [
    permitted({ email: ['fleet.example'] }),
    { email: ['Any.One@fleet.example'] },
    true,
  ],
  'a mailbox of a host below the permitted host': [
    permitted({ email: ['fleet.example'] }),
    { email: ['a@b.fleet.example'] },
    false,
  ],
  'a mailbox that differs in the case of its local part': [
    permitted({ email: ['a@fleet.example'] }),
    { email: ['A@fleet.example'] },
    false,
  ],
  'an address in the permitted range': [permitted({ ip: ['192.0.2.0/24'] }), { ip: ['192.0.2.7'] }, true],
  'an address outside the permitted range': [permitted({ ip: ['192.0.2.0/24'] }), { ip: ['192.0.3.7'] }, false],
  'an IPv6 address where IPv4 is permitted': [permitted({ ip: ['192.0.2.0/24'] }), { ip: ['2001:db8::1'] }, false],
  'an address in the excluded range': [excluded({ ip: ['2001:db8::/32'] }), { ip: ['2001:db8:1::1'] }, false],
};

describe('obeysConstraints', () => {
  for (const [what, [constraints, san, expected]] of Object.entries(CASES)) {
    test(`${what}: ${expected ? 'obeys' : 'disobeys'}`, () => assert.equal(obeys(constraints, san), expected));
  }

  test('emailAddress of the subject counts as a mailbox where there is no other', () => {
    const constraints = permitted({ email: ['fleet.example'] });
    assert.equal(obeys(constraints, {}, { CN: 'x', emailAddress: 'a@evil.example' }), false);
    assert.equal(obeys(constraints, {}, { CN: 'x', emailAddress: 'a@fleet.example' }), true);
  });

  test('more comparisons than the budget allows disobey', () => {
    const leaf = parseCertificate(root.issue({ subject: 'x', san: { dns: ['a.example', 'b.example'] } }).der);
    const constraints = { permitted: [{ type: 'dns', text: 'example' } as const], excluded: [] };
    const names = leaf.extensions.subjectAltName ?? [];
    assert.equal(obeysConstraints(names, constraints, { left: 2 }), true);
    assert.equal(obeysConstraints(names, constraints, { left: 1 }), false);
  });

  test('a constraint that is no name of its kind cannot be read', () => {
    for (const dns of ['.fleet.example', '*.fleet.example', 'a..b']) {
      const { der } = root.createIntermediate({ name: 'ca', nameConstraints: permitted({ dns: [dns] }) });
      assert.throws(() => parseCertificate(der), Asn1Error, dns);
    }
  });
});
