import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { suite, test } from 'node:test';
import type { Material } from '../material/material.ts';
import type { SubscriptionPlan, SubscriptionSet } from '../policy/model.ts';
import { createSubscriptionKeys, readKeyHash } from './subscription-keys.ts';

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

const plan = (name: string, parts: Partial<SubscriptionPlan> = {}): SubscriptionPlan => ({
  key: `shop/${name}`,
  name,
  isActive: true,
  notAfter: Infinity,
  covers: new Set(['shop/orders']),
  hashes: [{ secret: `shop/${name}`, dataKey: 'primary' }],
  ...parts,
});
const setOf = (plans: readonly SubscriptionPlan[], held: readonly string[] = []): SubscriptionSet => ({
  plans: new Map(plans.map(each => [each.key, each])),
  held,
});
const secrets = (data: Readonly<Record<string, Readonly<Record<string, string>>>>): Material => ({
  secret: key =>
    data[key] === undefined
      ? undefined
      : new Map(Object.entries(data[key]).map(([name, text]) => [name, new TextEncoder().encode(text)])),
  configMap: () => undefined,
});

function ask(
  keys: ReturnType<typeof createSubscriptionKeys>,
  key: string,
  api = 'shop/orders',
  isText = false,
): string {
  const answer = keys.find({ api, key, isText });
  return answer.state === 'undecided' ? answer.reason : answer.plans.map(({ name }) => name).join();
}

suite('P9: a key is known by its hash', () => {
  const both = plan('both', {
    hashes: [
      { secret: 'shop/both', dataKey: 'primary' },
      { secret: 'shop/both', dataKey: 'secondary' },
    ],
  });
  const keys = createSubscriptionKeys(
    setOf([plan('one'), both, plan('twin')]),
    secrets({
      'shop/one': { primary: sha256('alpha') },
      'shop/both': { primary: `${sha256('beta').toUpperCase()}\n`, secondary: `${sha256('gamma')}  -\n` },
      'shop/twin': { primary: sha256('alpha') },
    }),
  );
  for (const [key, names] of Object.entries({
    beta: 'both',
    gamma: 'both',
    // Two of them: whether one is good is for the evaluator to say.
    alpha: 'one,twin',
    Alpha: '',
    'alpha ': '',
    [sha256('alpha')]: '',
    ['x'.repeat(5000)]: '',
  })) {
    test(`${key.slice(0, 20)}: ${names === '' ? 'nobody' : names}`, () => assert.equal(ask(keys, key), names));
  }

  test('bytes of a header and characters of a query are told apart', () => {
    const umlaut = createSubscriptionKeys(
      setOf([plan('one')]),
      secrets({ 'shop/one': { primary: sha256('schlüssel') } }),
    );
    assert.equal(ask(umlaut, 'schlüssel', 'shop/orders', true), 'one');
    assert.equal(ask(umlaut, Buffer.from('schlüssel', 'utf8').toString('latin1')), 'one');
    assert.equal(ask(umlaut, 'schlüssel'), '', 'the same characters as single bytes are another key');
  });
});

suite('S6: a hash that cannot be read', () => {
  const known = { 'shop/one': { primary: sha256('alpha') } };
  test('leaves other keys as they are, and an unknown one undecided', () => {
    const keys = createSubscriptionKeys(setOf([plan('one'), plan('lost')]), secrets(known));
    assert.deepEqual([ask(keys, 'alpha'), ask(keys, 'other')], ['one', 'KeysUnavailable']);
    assert.deepEqual(
      keys.unread.map(({ secret, dataKey }) => `${secret} ${dataKey}`),
      ['shop/lost primary'],
    );
  });
  test('of another Api decides nothing here', () => {
    const lost = plan('lost', { covers: new Set(['shop/fleet']) });
    const keys = createSubscriptionKeys(setOf([plan('one'), lost]), secrets(known));
    assert.deepEqual([ask(keys, 'other'), ask(keys, 'other', 'shop/fleet')], ['', 'KeysUnavailable']);
  });
  test('of a suspended subscription decides nothing: it would be refused with any key', () => {
    const keys = createSubscriptionKeys(setOf([plan('one'), plan('lost', { isActive: false })]), secrets(known));
    assert.equal(ask(keys, 'other'), '');
  });
  test('an invalid Subscription without a last good generation may have any key', () => {
    const keys = createSubscriptionKeys(setOf([plan('one')], ['shop/broken']), secrets(known));
    assert.deepEqual([ask(keys, 'alpha'), ask(keys, 'other')], ['one', 'PolicyInvalid']);
  });
});

test('only 64 hex digits are a hash, with what sha256sum prints behind them', () => {
  const read = (text: string): boolean => readKeyHash(new TextEncoder().encode(text)) !== undefined;
  const hash = sha256('x');
  assert.deepEqual([hash, ` ${hash}\n`, `${hash}  -`, `${hash} *-\n`].map(read), [true, true, true, true]);
  assert.deepEqual(['', 'x', hash.slice(1), `${hash}0`, `${hash}  file`, `g${hash.slice(1)}`].map(read), [
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
});
