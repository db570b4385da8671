/** P9: who may call with which key, live and in explain. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import type { Seen } from '../support/servers.ts';
import { testTable } from '../support/table.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const HEADER = 'Ocp-Apim-Subscription-Key';
const STEP = { name: 'sub', subscription: { query: 'subscription-key' } };
const TELL = {
  name: 'tell',
  setHeaders: [{ name: 'X-Subscription', value: '${caller.kind}:${caller.id}:${subscription.name}' }],
};

const at = (path: string, key?: string, more: Partial<Ask> = {}): Ask => ({
  path,
  ...(key === undefined ? {} : { headers: [[HEADER, key]] }),
  ...more,
});
const told =
  (value: string) =>
  ({ lines, path }: Seen): void => {
    const find = (name: string): string[] => lines.flatMap(([key, text]) => (key.toLowerCase() === name ? [text] : []));
    assert.deepEqual(find('x-subscription'), [value]);
    assert.deepEqual(find(HEADER.toLowerCase()), [], 'the key reached the app');
    assert.doesNotMatch(path, /subscription-key/, 'the key reached the app');
  };

const hash = (key: string): made.Spec => ({ ...made.fromSecret('keys', key) });
const gold = (name: string): made.Manifest => ({
  ...made.api(name, { basePath: `/${name}` }),
  metadata: { name, namespace: 'shop', labels: { product: 'gold' } },
});

testTable('subscription', {
  manifests: [
    gold('orders'),
    gold('returns'),
    made.api('fleet', { basePath: '/fleet' }),
    made.api('trial', { basePath: '/trial' }),
    made.api('either', { basePath: '/either' }),
    ...['orders', 'returns', 'fleet'].map(name =>
      made.authPolicy(name, { ...made.onApi(name), request: [STEP, TELL] }),
    ),
    made.authPolicy('trial', { ...made.onApi('trial'), mode: 'Audit', request: [STEP, TELL] }),
    made.authPolicy('either', {
      ...made.onApi('either'),
      request: [{ name: 'caller', anyOf: [{ subscription: {} }, { anonymous: {} }] }],
    }),
    made.subscription('partner-a', {
      targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }],
      primaryKeyHash: hash('a-first'),
      secondaryKeyHash: hash('a-second'),
    }),
    made.subscription('partner-b', { targetRefs: [{ kind: 'Api', name: 'orders' }], primaryKeyHash: hash('b') }),
    made.subscription('everywhere', { primaryKeyHash: hash('c') }),
    made.subscription('suspended', { state: 'Suspended', primaryKeyHash: hash('d') }),
    made.subscription('ended', { notAfter: '2020-01-01T00:00:00Z', primaryKeyHash: hash('e') }),
    made.subscription('ending', { notAfter: '2199-01-01T00:00:00+02:00', primaryKeyHash: hash('f') }),
    made.secret('keys', {
      'a-first': sha256('first key of a'),
      'a-second': sha256('second key of a'),
      ...Object.fromEntries(['b', 'c', 'd', 'e', 'f'].map(name => [name, `${sha256(`key of ${name}`)}  -\n`])),
    }),
  ],
  rows: {
    'the first key, by a product': {
      ask: at('/orders', 'first key of a'),
      says: '200',
      app: told('Subscription:partner-a:partner-a'),
    },
    'the second key is as good': {
      ask: at('/returns', 'second key of a'),
      says: '200',
      app: told('Subscription:partner-a:partner-a'),
    },
    'another Api than the product': { ask: at('/fleet', 'first key of a'), says: '401 SubscriptionKeyInvalid' },
    'by the name of the Api': {
      ask: at('/orders', 'key of b'),
      says: '200',
      app: told('Subscription:partner-b:partner-b'),
    },
    'not by another name': { ask: at('/returns', 'key of b'), says: '401 SubscriptionKeyInvalid' },
    'without targets: every Api': {
      ask: at('/fleet', 'key of c'),
      says: '200',
      app: told('Subscription:everywhere:everywhere'),
    },
    suspended: { ask: at('/fleet', 'key of d'), says: '401 SubscriptionKeyInvalid' },
    'past its date': { ask: at('/fleet', 'key of e'), says: '401 SubscriptionKeyInvalid' },
    'before its date': { ask: at('/fleet', 'key of f'), says: '200', app: told('Subscription:ending:ending') },
    'no key': {
      ask: at('/fleet'),
      says: '401 SubscriptionKeyNotFound',
      headers: { 'WWW-Authenticate': /^ApiKey realm="fleet"$/, 'Retry-After': null },
    },
    'a key that nobody has': {
      ask: at('/fleet', 'nobody’s key'.replace('’', "'")),
      says: '401 SubscriptionKeyInvalid',
      headers: { 'WWW-Authenticate': /^ApiKey realm="fleet"$/ },
    },
    'the hash is no key': { ask: at('/fleet', sha256('key of c')), says: '401 SubscriptionKeyInvalid' },
    'in the query': {
      ask: at('/fleet?a=1&subscription-key=key%20of%20c&b=2'),
      says: '200',
      app: seen => {
        told('Subscription:everywhere:everywhere')(seen);
        assert.equal(seen.path, '/fleet?a=1&b=2');
      },
    },
    'the header goes before the query': {
      ask: at('/fleet?subscription-key=key+of+c', 'wrong'),
      says: '401 SubscriptionKeyInvalid',
    },
    'twice in the header': {
      ask: {
        path: '/fleet',
        headers: [
          [HEADER, 'key of c'],
          [HEADER, 'key of c'],
        ],
      },
      says: '400 DuplicateCredential',
      headers: { 'WWW-Authenticate': null },
    },
    'S8: an Audit policy lets everybody pass, and the app sees what it saw before': {
      ask: at('/trial', 'wrong'),
      says: '200',
      audit: ['trial/sub SubscriptionKeyInvalid'],
      app: ({ lines }) => assert.ok(lines.some(([name, value]) => name === HEADER && value === 'wrong')),
    },
    'E3: nobody is anonymous with a wrong key': { ask: at('/either', 'wrong'), says: '401 SubscriptionKeyInvalid' },
    'E3: without any key': { ask: at('/either'), says: '200' },
  },
});
