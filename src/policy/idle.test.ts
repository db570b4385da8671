import assert from 'node:assert/strict';
import { test } from 'node:test';
import { API, compileParsed, parseYaml, compileYaml, policy } from './testing/compile-yaml.ts';

const idleOf = (text: string, workload: Partial<Parameters<typeof compileParsed>[1] & object>['workload']) =>
  compileParsed(parseYaml(text), { ...(workload === undefined ? {} : { workload }) }).idle;
const SHOP = { namespace: 'shop', namespaceLabels: {}, labels: { app: 'fleet' } };

test('a forgotten namespace: Apis and policies of other namespaces are named with theirs', () => {
  const why = 'is in namespace shop, this workload is in "default"';
  assert.deepEqual(idleOf(API + policy('p'), { ...SHOP, namespace: 'default' }), [
    { object: 'AuthPolicy shop/p', why, misfit: { part: 'namespace', name: 'shop' } },
    { object: 'Api shop/fleet', why, misfit: { part: 'namespace', name: 'shop' } },
  ]);
});

test('wrong labels of the workload: both sides are shown', () => {
  assert.deepEqual(idleOf(API, { ...SHOP, labels: { app: 'fleed', tier: 'web' } }), [
    {
      object: 'Api shop/fleet',
      why: 'has podSelector app=fleet, which does not match app=fleed,tier=web',
      misfit: { part: 'labels', name: '' },
    },
  ]);
  assert.match(idleOf(API, { ...SHOP, labels: {} })[0]?.why ?? '', /does not match a workload without labels$/);
});

test('a named port that the workload does not have is named', () => {
  assert.deepEqual(idleOf(API.replace('port: 8080', 'port: http'), SHOP), [
    {
      object: 'Api shop/fleet',
      why: 'names the container port "http", which this workload does not have',
      misfit: { part: 'port', name: 'http' },
    },
  ]);
});

test('an Api that cannot be read and never could is idle; one that is served is not', () => {
  assert.deepEqual(compileYaml(API).idle, []);
  assert.deepEqual(idleOf(API.replace('port: 8080', 'port: []'), SHOP), [
    { object: 'Api shop/fleet', why: 'is invalid and was never valid before' },
  ]);
});
