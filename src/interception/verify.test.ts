import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { record, recordNumbers, type Listing } from './testing/listing.ts';
import { findGaps } from './verify.ts';

const RULES = { proxyPort: 15190, excludePorts: [15191, 9090], udpPorts: [53] };

const withoutRule = (index: number): Listing => {
  const { nftables } = record();
  const [rule] = nftables.filter(item => 'rule' in item).slice(index, index + 1);
  return { nftables: nftables.filter(item => item !== rule) };
};
const edited = (from: string | RegExp, to: string): Listing => {
  const text = JSON.stringify(record());
  const changed = text.replace(from, to);
  assert.notEqual(changed, text);
  return JSON.parse(changed) as Listing;
};
const before = (chain: string, expr: readonly object[]): Listing => {
  const { nftables } = record();
  const at = nftables.findIndex(item => item['rule']?.['chain'] === chain);
  return { nftables: nftables.toSpliced(at, 0, { rule: { chain, expr } }) };
};
const V4_ONLY = { match: { op: '==', left: { meta: { key: 'nfproto' } }, right: 'ipv6' } };

describe('the verification of rules', () => {
  it('finds nothing wrong with what nft lists for them', () => assert.deepEqual(findGaps(record(), RULES), []));
  it('finds nothing wrong where protocols are listed as numbers', () =>
    assert.deepEqual(findGaps(recordNumbers(), RULES), []));

  const wrong: Readonly<Record<string, readonly [listing: unknown, sentence: RegExp]>> = {
    'an empty listing': [{}, /nothing redirects/],
    'an answer that is no listing': ['nonsense', /nothing redirects/],
    'a table without the input chain': [
      { nftables: record().nftables.filter(item => item['chain']?.['name'] !== 'guard') },
      /nothing drops/,
    ],
    'redirection that is not there': [withoutRule(2), /^IPv4, TCP port 1:/],
    'redirection to another port': [edited('{"port":15190}', '{"port":15001}'), /^IPv4, TCP port/],
    'redirection inside the pod': [withoutRule(0), /IPv4: connections inside the pod are redirected/],
    'an excluded port that is redirected': [edited('[9090,15191]', '[15191]'), /IPv4, TCP port 9090/],
    'one port more that is not redirected': [edited('[9090,15191]', '[5555,9090,15191]'), /IPv4, TCP port 5555/],
    'rules for IPv4 alone': [before('intercept', [V4_ONLY, { return: null }]), /^IPv6, TCP port 1:/],
    'an input chain that lets everything through': [
      edited('"policy":"drop"', '"policy":"accept"'),
      /^IPv4, TCP port 1:/,
    ],
    'an input chain that lets UDP through': [
      before('guard', [{ match: { op: '==', left: { meta: { key: 'l4proto' } }, right: 'udp' } }, { accept: null }]),
      /^IPv4, UDP port 1:/,
    ],
    'an input chain that lets SCTP through': [
      before('guard', [{ match: { op: '==', left: { meta: { key: 'l4proto' } }, right: 'sctp' } }, { accept: null }]),
      /^IPv4, protocol 132:/,
    ],
    'an input chain that lets invalid packets through': [
      before('guard', [{ match: { op: 'in', left: { ct: { key: 'state' } }, right: ['invalid'] } }, { accept: null }]),
      /^IPv4, packets of no known connection:/,
    ],
    'no neighbour discovery': [withoutRule(5), /ICMP/],
    'no answers to the pod': [withoutRule(4), /answers to the pod/],
    'a rule of a sort that nobody here knows': [
      before('intercept', [{ xt: { type: 'target' } }]),
      /^IPv4, TCP port 1:/,
    ],
    'a match of a sort that nobody here knows': [
      before('guard', [{ match: { op: '==', left: { meta: { key: 'mark' } }, right: 1 } }, { accept: null }]),
      /^IPv4, TCP port/,
    ],
  };
  for (const [what, [listing, sentence]] of Object.entries(wrong)) {
    it(`finds ${what}`, () => assert.match(findGaps(listing, RULES).join('\n'), new RegExp(sentence.source, 'm')));
  }

  it('counts the first of two redirections', () => {
    const { nftables } = record();
    const other = { chain: { name: 'other', type: 'nat', hook: 'prerouting', prio: -150, policy: 'accept' } };
    const rule = { rule: { chain: 'other', expr: [{ redirect: { port: 15006 } }] } };
    assert.match(findGaps({ nftables: [...nftables, other, rule] }, RULES).join('\n'), /TCP port 1:/);
    const later = { chain: { ...other.chain, prio: -100 } };
    const gaps = findGaps({ nftables: [...nftables, later, rule] }, RULES).join('\n');
    assert.doesNotMatch(gaps, /TCP port 1:/);
    assert.match(gaps, /TCP port 9090:/);
  });
});
