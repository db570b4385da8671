import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MaterialMessage } from '../material/protocol.ts';
import { readMaterial } from './controller-material.ts';
import { createDrafter, type Draft, type Drafter } from './draft.ts';
import { createObjectCollection } from './object-collection.ts';
import { readManifest } from './watched-object.ts';

const policy = (generation: number, uid = 'one') => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'AuthPolicy',
  metadata: { name: 'p', namespace: 'shop', generation, uid },
  spec: { request: [] },
});

function draft(drafter: Drafter, own: readonly unknown[], changes: Partial<MaterialMessage>, inForce?: Draft): Draft {
  const collection = createObjectCollection();
  collection.set(
    'AuthPolicy',
    own.flatMap(one => readManifest('AuthPolicy', one) ?? []),
  );
  const message: MaterialMessage = {
    ...{ type: 'material', hash: 'h', namespaceLabels: {}, objects: {}, secrets: {}, configMaps: {} },
    ...changes,
  };
  const material = readMaterial(message, 'shop');
  return drafter.draft({ own: collection.list(), material, namespace: 'shop', labels: {}, inForce });
}
const passed = (...policies: readonly unknown[]) => ({ gate: { policies } });
const NEVER = { gate: { policies: null } };
const used = ({ objects }: Draft) => objects.map(({ meta }) => meta.generation);
const held = ({ collected }: Draft) => collected.map(one => one.held);

describe('gates', () => {
  test('without one the newest generation is used', () => {
    assert.deepEqual(used(draft(createDrafter(), [policy(7)], {})), [7]);
  });

  test('what passed is used, a newer generation waits, and is used when it passed', () => {
    const drafter = createDrafter();
    const first = draft(drafter, [policy(7)], passed(policy(7)));
    assert.deepEqual([used(first), held(first)], [[7], [false]]);
    const waiting = draft(drafter, [policy(8)], passed(policy(7)));
    assert.deepEqual([used(waiting), held(waiting)], [[7], [true]]);
    assert.deepEqual(used(draft(drafter, [policy(8)], passed(policy(8)))), [8]);
  });

  test('a new policy waits beside a set that passed, and a deleted one stays', () => {
    assert.deepEqual(used(draft(createDrafter(), [policy(1)], passed())), []);
    const deleted = draft(createDrafter(), [], passed(policy(7)));
    assert.deepEqual([used(deleted), held(deleted)], [[7], [true]]);
  });

  test('another object of that name waits', () => {
    assert.deepEqual(used(draft(createDrafter(), [policy(1, 'two')], passed(policy(7)))), [7]);
  });

  test('S6: where nothing passed, what is in force stays, and what is not is refused', () => {
    const drafter = createDrafter();
    const before = draft(drafter, [policy(7)], {});
    const kept = draft(drafter, [policy(8)], NEVER, before);
    assert.deepEqual([used(kept), held(kept), kept.invalid], [[7], [true], []]);
    const refused = draft(createDrafter(), [policy(8)], NEVER);
    assert.deepEqual([used(refused), refused.invalid.map(({ name }) => name)], [[], ['p']]);
  });

  test('what passed and cannot be parsed here is refused, not replaced by what did not pass', () => {
    const newer = { ...policy(7), spec: { request: [{ name: 'x', fromTheFuture: {} }] } };
    const { objects, invalid } = draft(createDrafter(), [policy(8)], passed(newer));
    assert.deepEqual([objects, invalid.map(({ name }) => name)], [[], ['p']]);
  });
});
