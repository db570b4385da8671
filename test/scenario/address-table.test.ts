/** P8: who may pass by address, live and in explain. */
import * as made from '../support/manifests.ts';
import { BEHIND_HOP, testTable } from '../support/table.ts';

const LIST = { allow: ['203.0.113.0/24', '198.51.100.7-198.51.100.20', '2001:db8::/32'], deny: ['203.0.113.66/32'] };
const on = (name: string, filter: made.Spec, more: made.Spec = {}): made.Manifest =>
  made.authPolicy(name, {
    ...made.onApi('fleet', name),
    request: [made.OPEN, { name: 'addresses', ipFilter: filter }],
    ...more,
  });

testTable('ipFilter', {
  manifests: [
    made.api('fleet', {
      ...BEHIND_HOP,
      operations: ['both', 'allow', 'deny', 'trial', 'alone'].map(name => ({ name, path: `/${name}` })),
    }),
    on('both', LIST),
    on('allow', { allow: ['192.0.2.1'] }),
    on('deny', { deny: ['10.0.0.0/8', 'fd00::/8'] }),
    made.authPolicy('open-trial', { ...made.onApi('fleet', 'trial'), request: [made.OPEN] }),
    on('trial', LIST, { mode: 'Audit', request: [{ name: 'addresses', ipFilter: LIST }] }),
    // S7: an address is no authentication.
    on('alone', LIST, { request: [{ name: 'addresses', ipFilter: LIST }] }),
  ],
  rows: {
    'an address of an allowed network passes': { ask: { path: '/both' }, from: '203.0.113.9', says: '200' },
    'the first of a range passes': { ask: { path: '/both' }, from: '198.51.100.7', says: '200' },
    'the last of a range passes': { ask: { path: '/both' }, from: '198.51.100.20', says: '200' },
    'one past a range does not': { ask: { path: '/both' }, from: '198.51.100.21', says: '403 AddressNotAllowed' },
    'deny goes before allow': { ask: { path: '/both' }, from: '203.0.113.66', says: '403 AddressBlocked' },
    'an IPv4-mapped address is the IPv4 address': {
      ask: { path: '/both' },
      from: '::ffff:203.0.113.66',
      says: '403 AddressBlocked',
    },
    'so is one in hex digits': { ask: { path: '/both' }, from: '::ffff:cb00:7142', says: '403 AddressBlocked' },
    'an IPv6 address passes': { ask: { path: '/both' }, from: '2001:db8::7', says: '200' },
    'in brackets with a port too': { ask: { path: '/both' }, from: '[2001:db8::7]:4711', says: '200' },
    'an IPv4 address with a port too': { ask: { path: '/both' }, from: '203.0.113.9:4711', says: '200' },
    'only the address that the trusted hop wrote counts': {
      ask: { path: '/both' },
      from: '203.0.113.9, 192.0.2.7',
      says: '403 AddressNotAllowed',
    },
    'what is no address is the hop itself, which is not on the list': {
      ask: { path: '/both' },
      from: 'unknown',
      says: '403 AddressNotAllowed',
    },
    'without forwarding it is the peer': { ask: { path: '/both' }, says: '403 AddressNotAllowed' },
    'another address than the one allowed': {
      ask: { path: '/allow' },
      from: '192.0.2.2',
      says: '403 AddressNotAllowed',
    },
    'a denied network': { ask: { path: '/deny' }, from: '10.255.255.255', says: '403 AddressBlocked' },
    'a denied IPv6 network': { ask: { path: '/deny' }, from: 'fdff::1', says: '403 AddressBlocked' },
    'with a deny list alone everybody else passes': { ask: { path: '/deny' }, from: '11.0.0.0', says: '200' },
    'S8: an Audit policy lets a blocked address pass and says so': {
      ask: { path: '/trial' },
      from: '203.0.113.66',
      says: '200',
      audit: ['trial/addresses AddressBlocked'],
    },
    'S7: the right address alone opens nothing': {
      ask: { path: '/alone' },
      from: '203.0.113.9',
      says: '403 NoPolicyMatches',
    },
  },
});
