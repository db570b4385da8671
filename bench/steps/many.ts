/** 10,000 subscriptions and 1,000 policies of one Api: what a request costs with them, and what they take. */
import { createHash } from 'node:crypto';
import type { Bench } from '../bench.ts';
import { renderHead, writeHeads } from '../material.ts';
import { kind, renderApi, secret, writeManifests } from '../peers/sallyport.ts';
import type { Goal, Row } from '../report.ts';
import { measureGrowth, type Grown } from './growth.ts';
import { secretKey } from './step-case.ts';

const KEYS_PER_SECRET = 100;
const POLICY_MICROSECONDS = 1;

const within = (bound: number): Goal => ({ bound, direction: 'at most' });
const row = (measure: string, unit: string, value: number, goals: readonly Goal[] = []): Row => ({
  measure,
  unit,
  goals,
  values: new Map([['Sallyport', value]]),
});

export async function measureSubscriptions(bench: Bench): Promise<Row[]> {
  const grown = await measureGrowth(bench, {
    name: 'subscriptions',
    counts: [10, 100, 1000, 10_000],
    write: count => ({
      folder: writeManifests(bench, renderSubscriptions(count), `subscriptions-${count}`),
      headsFile: writeHeads(
        bench.material,
        `subscriptions-${count}`,
        Array.from({ length: 10 }, (_, i) =>
          renderHead('/v1/items', { 'Ocp-Apim-Subscription-Key': keyOf(i * (count / 10)) }),
        ),
      ),
    }),
  });
  return grown.flatMap(each => [
    row(`${each.count} subscriptions, × of 10`, '×', each.microseconds / each.leastMicroseconds, [within(1.2)]),
    ...describeFootprint(each, 'subscriptions'),
  ]);
}

const describeFootprint = ({ count, readyMs, residentMiB }: Grown, name: string): readonly Row[] => [
  row(`${count} ${name}, start to ready`, 'ms', readyMs),
  row(`${count} ${name}, resident at rest`, 'MiB', residentMiB),
];

const keyOf = (i: number): string => `key-of-subscription-${i}`;
const hashOf = (i: number): string => createHash('sha256').update(keyOf(i)).digest('hex');

function renderSubscriptions(count: number): readonly object[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const secretOf = (i: number): string => `keys-${Math.floor(i / KEYS_PER_SECRET)}`;
  const secrets = numbers
    .filter(i => i % KEYS_PER_SECRET === 0)
    .map(first => {
      const own = numbers.slice(first, first + KEYS_PER_SECRET);
      return secret(secretOf(first), Object.fromEntries(own.map(i => [`key-${i}`, hashOf(i)])));
    });
  const subscriptions = numbers.map(i =>
    kind(`subscription-${i}`, 'Subscription', { primaryKeyHash: secretKey(secretOf(i), `key-${i}`) }),
  );
  return [renderApi('plain'), renderPolicy('caller', { subscription: {} }), ...secrets, ...subscriptions];
}

const renderPolicy = (name: string, step: object): object =>
  kind(name, 'AuthPolicy', {
    targetRefs: [{ kind: 'Api', name: 'bench' }],
    request: [{ name: 'it', ...step }],
  });

/** All of them take part in each request: groups of callers, products and `choose` do the same in fewer. */
export async function measurePolicies(bench: Bench): Promise<Row[]> {
  const headsFile = writeHeads(bench.material, 'policies', [renderHead('/v1/items', { 'X-Color': 'red' })]);
  const grown = await measureGrowth(bench, {
    name: 'policies',
    counts: [1, 10, 100, 1000],
    write: count => ({ folder: writeManifests(bench, renderPolicies(count), `policies-${count}`), headsFile }),
  });
  return grown.flatMap(each => [
    ...(each.count === 1
      ? []
      : [
          row(
            `Each of ${each.count} policies of one Api, all of which take part`,
            'CPU µs/request',
            (each.microseconds - each.leastMicroseconds) / (each.count - 1),
            [within(POLICY_MICROSECONDS)],
          ),
        ]),
    ...describeFootprint(each, 'policies of one Api'),
  ]);
}

function renderPolicies(count: number): readonly object[] {
  const colors = Array.from({ length: count }, (_, i) =>
    renderPolicy(`color-${i}`, {
      authorize: {
        deny: [
          { name: 'color', expression: `"x-color" in request.headers && request.headers["x-color"] == "color-${i}"` },
        ],
      },
    }),
  );
  return [renderApi('plain'), renderPolicy('open', { anyOf: [{ anonymous: {} }] }), ...colors];
}
