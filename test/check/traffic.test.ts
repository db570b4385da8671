/** What is wrong with steps that look at addresses and count. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

const HEAD = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: caller, anyOf: [{anonymous: {}}]}
  - name: s
`;
/** A policy whose second step has these lines; the first of them is line 8. */
const step = (text: string): string => `${HEAD}    ${text}\n`;

const ADVICE = 'write 203.0.113.7, 203.0.113.0/24 or 198.51.100.7-198.51.100.20';

describe('check finds in ipFilter', () =>
  testCases({
    'no address at all': [
      step('ipFilter: {deny: []}'),
      'file.yaml:8:spec.request[1].ipFilter: lists no address, so it would let everybody pass, write allow, deny or both',
    ],
    'an empty allow list': [
      step('ipFilter: {allow: []}'),
      'file.yaml:8:spec.request[1].ipFilter.allow: is an empty list, write at least one item',
    ],
    'what is no address': [
      step('ipFilter: {allow: [localhost, 10.0.0, 203.0.113.07]}'),
      `file.yaml:8:spec.request[1].ipFilter.allow[0]: "localhost" is not an address or range, ${ADVICE}`,
      `file.yaml:8:spec.request[1].ipFilter.allow[1]: "10.0.0" is not an address or range, ${ADVICE}`,
      `file.yaml:8:spec.request[1].ipFilter.allow[2]: "203.0.113.07" is not an address or range, ${ADVICE}`,
    ],
    'a number that YAML made of an address': [
      step('ipFilter: {deny: [10.1]}'),
      'file.yaml:8:spec.request[1].ipFilter.deny[0]: is the number 10.1, but text is wanted, write it in quotes: "10.1"',
    ],
    'bits beyond the prefix': [
      step('ipFilter: {deny: [203.0.113.66/24]}'),
      'file.yaml:8:spec.request[1].ipFilter.deny[0]: "203.0.113.66/24" has bits set beyond its prefix, write 203.0.113.0/24',
    ],
    'a range the wrong way round': [
      step('ipFilter: {allow: [198.51.100.20-198.51.100.7]}'),
      'file.yaml:8:spec.request[1].ipFilter.allow[0]: "198.51.100.20-198.51.100.7" is a range that ends before it begins, write the lower address first',
    ],
    'a range over both families': [
      step('ipFilter: {allow: ["10.0.0.1-::1"]}'),
      'file.yaml:8:spec.request[1].ipFilter.allow[0]: "10.0.0.1-::1" is a range from IPv4 to IPv6, write both ends in one form',
    ],
    'a misspelt field': [
      step('ipFilter: {allowed: [10.0.0.1]}'),
      'file.yaml:8:spec.request[1].ipFilter.allowed: is not a known field, did you mean "allow"?',
    ],
  }));
