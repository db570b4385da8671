import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { SubscriptionPlan } from '../policy/model.ts';
import type { CompiledSubscription } from '../policy/steps.ts';
import type { SubscriptionRequest } from './evidence.ts';
import { renderDenial } from './challenge.ts';
import {
  BEARER_LINE,
  expression,
  jwtAlternative,
  judgeNow,
  literal,
  NOW,
  origin,
  path,
  permitOf,
  read,
  request,
  route,
  setting,
  step,
  summary,
  token,
} from './testing/fakes.ts';

const KEY = 'Ocp-Apim-Subscription-Key';
const FROM: CompiledSubscription['from'] = [
  { in: 'header', name: KEY.toLowerCase() },
  { in: 'query', name: 'subscription-key' },
];
const SUBSCRIPTION = step({ type: 'subscription', subscription: { from: FROM } });
const plan = (name: string, parts: Partial<SubscriptionPlan> = {}): SubscriptionPlan => ({
  key: `shop/${name}`,
  name,
  isActive: true,
  notAfter: Infinity,
  covers: new Set(['shop/fleet']),
  hashes: [],
  ...parts,
});
const ALL: Readonly<Record<string, readonly SubscriptionPlan[]>> = {
  good: [plan('a')],
  suspended: [plan('b', { isActive: false })],
  ended: [plan('c', { notAfter: NOW - 1 })],
  ending: [plan('d', { notAfter: NOW })],
  elsewhere: [plan('e', { covers: new Set(['shop/other']) })],
  shared: [plan('f', { isActive: false }), plan('g')],
};
const source = {
  subscription: ({ key }: SubscriptionRequest) => ({ state: 'found', plans: ALL[key] ?? [] }) as const,
};
const judgeLines = (lines: readonly (readonly [string, string])[], query = '', steps = [SUBSCRIPTION]) =>
  judgeNow(route(steps), { request: request(lines, { query }), source });

suite('P9: the step subscription', () => {
  for (const [what, [lines, query, told]] of Object.entries({
    'a good key in the header': [[[KEY, 'good']], '', 'Permit'],
    'a good key in the query': [[], 'subscription-key=good', 'Permit'],
    'header names have no case': [[['ocp-apim-subscription-KEY', 'good']], '', 'Permit'],
    'the header goes before the query': [
      [[KEY, 'bad']],
      'subscription-key=good',
      'SubscriptionKeyInvalid policy/subscription',
    ],
    'an empty header is none': [[[KEY, '']], 'subscription-key=good', 'Permit'],
    'no key': [[], '', 'SubscriptionKeyNotFound policy/subscription'],
    'an empty key': [[[KEY, '']], 'subscription-key=', 'SubscriptionKeyNotFound policy/subscription'],
    'a key that nobody has': [[[KEY, 'bad']], '', 'SubscriptionKeyInvalid policy/subscription'],
    'a suspended one': [[[KEY, 'suspended']], '', 'SubscriptionKeyInvalid policy/subscription'],
    'one that is past its date': [[[KEY, 'ended']], '', 'SubscriptionKeyInvalid policy/subscription'],
    'the last moment': [[[KEY, 'ending']], '', 'Permit'],
    'one for another Api': [[[KEY, 'elsewhere']], '', 'SubscriptionKeyInvalid policy/subscription'],
    'a key of two, one of which is good': [[[KEY, 'shared']], '', 'Permit'],
    'two headers': [
      [
        [KEY, 'good'],
        [KEY, 'good'],
      ],
      '',
      'DuplicateCredential policy/subscription',
    ],
    'two parameters': [[], 'subscription-key=good&subscription-key=bad', 'DuplicateCredential policy/subscription'],
  } satisfies Readonly<Record<string, readonly [(readonly [string, string])[], string, string]>>)) {
    test(`${what}: ${told}`, () => assert.equal(summary(judgeLines(lines, query)), told));
  }

  test('the log is told which subscription and why, the client is not', () => {
    const denial = judgeLines([[KEY, 'suspended']]);
    assert.ok(denial.verdict === 'Deny');
    assert.equal(denial.detail, 'Subscription b is suspended');
    const { headers, body } = renderDenial(denial, { requestId: 'r', realm: 'fleet' });
    assert.deepEqual(
      headers.filter(([name]) => name === 'WWW-Authenticate'),
      [['WWW-Authenticate', 'ApiKey realm="fleet"']],
    );
    assert.doesNotMatch(body, /Subscription b/);
  });

  test('both locations are cut out of what is forwarded, and nothing else', () => {
    const { edits } = permitOf(judgeLines([[KEY, 'good']], 'a=1&subscription-key=x&b=2'));
    assert.deepEqual([...edits.headers], [[KEY.toLowerCase(), { name: KEY.toLowerCase(), values: [] }]]);
    assert.equal(edits.query, 'a=1&b=2');
  });

  for (const [what, lines, query] of [
    ['an empty header', [[KEY, '']], 'subscription-key=good'],
    ['another spelling of the header', [['Ocp_Apim.Subscription-Key', 'x']], 'subscription-key=good'],
    ['an empty parameter', [[KEY, 'good']], 'subscription-key='],
  ] as const) {
    test(`${what} beside the key is cut out too`, () => {
      const { edits } = permitOf(judgeLines([...lines], query));
      assert.deepEqual([edits.headers.get(KEY.toLowerCase())?.values, edits.query], [[], '']);
    });
  }

  test('a header that is spelled with _ goes with its other spellings', () => {
    const from = [{ in: 'header', name: 'x_key' }] as const;
    const steps = [step({ type: 'subscription', subscription: { from } })];
    const { edits } = permitOf(
      judgeLines(
        [
          ['X_Key', 'good'],
          ['X-Key', 'other'],
        ],
        '',
        steps,
      ),
    );
    assert.deepEqual([...edits.headers.keys()].sort(), ['x-key', 'x_key']);
  });

  test('E4, E5: subscription.name and caller are bound when it has passed', () => {
    const show = step({
      type: 'setHeaders',
      setHeaders: [
        setting('X-Name', path('subscription.name')),
        setting('X-Kind', path('caller.kind')),
        setting('X-Id', path('caller.id')),
      ],
    });
    const { edits, principal } = permitOf(judgeLines([[KEY, 'good']], '', [SUBSCRIPTION, show]));
    assert.deepEqual(
      ['x-name', 'x-kind', 'x-id'].map(name => edits.headers.get(name)?.values),
      [['a'], ['Subscription'], ['a']],
    );
    assert.deepEqual(principal, { kind: 'Subscription', id: 'a' });
  });

  test('expressions do not see the key', () => {
    const look = step({
      type: 'authorize',
      deny: [
        {
          name: 'seen',
          expression: expression(bindings =>
            Object.keys(read(bindings, 'request.headers') ?? {}).includes(KEY.toLowerCase()),
          ),
        },
      ],
    });
    const hidden = route([SUBSCRIPTION, look], { credentialHeaders: new Set(['authorization', KEY.toLowerCase()]) });
    assert.equal(summary(judgeNow(hidden, { request: request([[KEY, 'good']]), source })), 'Permit');
  });

  test('M7: a stream is judged again when the key ends', () => {
    assert.equal(permitOf(judgeLines([[KEY, 'ending']])).validUntil, NOW + 1);
    assert.equal(permitOf(judgeLines([[KEY, 'good']])).validUntil, undefined);
  });

  test('an undecided answer is 503, never "unauthorised"', () => {
    const undecided = { subscription: () => ({ state: 'undecided', reason: 'KeysUnavailable' }) as const };
    const verdict = judgeNow(route([SUBSCRIPTION]), { request: request([[KEY, 'x']]), source: undecided });
    assert.equal(summary(verdict), 'KeysUnavailable policy/subscription');
  });

  test('S8: in Audit it counts, binds for itself only and strips nothing', () => {
    const audit = origin({ audit: true, name: 'trial' });
    const trial = step({ type: 'subscription', subscription: { from: FROM } }, { origin: audit });
    const would = permitOf(judgeLines([[KEY, 'bad']], '', [trial]));
    assert.equal(would.verdict, 'AuditPermit');
    assert.deepEqual(
      would.auditDenials.map(({ label, reason }) => `${label} ${reason}`),
      ['trial/subscription SubscriptionKeyInvalid'],
    );
    const good = permitOf(judgeLines([[KEY, 'ending']], '', [trial]));
    assert.equal(good.edits.headers.size, 0);
    assert.equal(good.validUntil, undefined);
  });
});

suite('P9 in anyOf', () => {
  const alternatives = step({
    type: 'anyOf',
    alternatives: [jwtAlternative(), { type: 'subscription', subscription: { from: FROM } }],
  });
  const withToken = { ...source, token: () => token() };

  test('E2: none presented: every challenge', () => {
    const denial = judgeNow(route([alternatives]), { source });
    assert.ok(denial.verdict === 'Deny');
    assert.equal(denial.reason, 'TokenNotPresent');
    assert.deepEqual(
      denial.challenges.map(({ scheme }) => scheme),
      ['Bearer', 'ApiKey'],
    );
  });

  test('E2: a bad key does not spoil a good token, and is cut out all the same', () => {
    const given = { request: request([BEARER_LINE, [KEY, 'bad']]), source: withToken };
    const { edits, principal } = permitOf(judgeNow(route([alternatives]), given));
    assert.equal(principal?.kind, 'Jwt');
    assert.deepEqual(edits.headers.get(KEY.toLowerCase())?.values, []);
  });

  test('E2: the reason of the one that was presented', () => {
    const given = { request: request([[KEY, 'bad']]), source };
    assert.equal(summary(judgeNow(route([alternatives]), given)), 'SubscriptionKeyInvalid policy/anyof');
  });

  test('E3: whoever presents a key is not anonymous', () => {
    const open = step({
      type: 'anyOf',
      alternatives: [{ type: 'subscription', subscription: { from: FROM } }, { type: 'anonymous' }],
    });
    assert.equal(summary(judgeNow(route([open]), { source })), 'Permit');
    const given = { request: request([[KEY, 'bad']]), source };
    assert.equal(summary(judgeNow(route([open]), given)), 'SubscriptionKeyInvalid policy/anyof');
  });

  test('steps.<n>.alternative names it', () => {
    const show = step({
      type: 'setHeaders',
      setHeaders: [setting('X-By', path('steps.anyof.alternative')), setting('X-A', literal('a'))],
    });
    const { edits } = permitOf(judgeNow(route([alternatives, show]), { request: request([[KEY, 'good']]), source }));
    assert.deepEqual(edits.headers.get('x-by')?.values, ['subscription']);
  });
});
