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

function draft(drafter: Drafter, generation: number, changes: Partial<MaterialMessage>, uid?: string): Draft {
  const collection = createObjectCollection();
  const watched = readManifest('AuthPolicy', policy(generation, uid));
  assert.ok(watched);
  collection.set('AuthPolicy', [watched]);
  const message: MaterialMessage = {
    ...{ type: 'material', hash: 'h', namespaceLabels: {}, objects: {}, secrets: {}, configMaps: {}, held: [] },
    ...changes,
  };
  const material = readMaterial(message, 'shop');
  return drafter.draft({ own: collection.list(), material, namespace: 'shop', labels: {} });
}
const judged = (generation: number, uid = 'one') => ({ judged: { 'AuthPolicy shop/p': { uid, generation } } });
const used = ({ objects }: Draft) => objects.map(({ meta }) => meta.generation);

describe('gates', () => {
  test('without one the newest generation is used', () => {
    assert.deepEqual(used(draft(createDrafter(), 7, {})), [7]);
  });

  test('a generation on which the gates have spoken is used, a newer one waits for them and the last one stays', () => {
    const drafter = createDrafter();
    assert.deepEqual(used(draft(drafter, 7, judged(7))), [7]);
    const waiting = draft(drafter, 8, judged(7));
    assert.deepEqual([used(waiting), waiting.missing], [[7], []]);
    assert.ok(waiting.collected.every(({ held }) => held));
    assert.deepEqual(used(draft(drafter, 8, judged(8))), [8]);
  });

  test('a new policy waits, and is not taken as absent', () => {
    const { missing } = draft(createDrafter(), 1, { judged: {} });
    assert.deepEqual(missing, ['the verdict of policy tests on AuthPolicy shop/p']);
  });

  test('another object of that name is another', () => {
    const drafter = createDrafter();
    draft(drafter, 7, judged(7));
    assert.equal(draft(drafter, 1, judged(7), 'two').missing.length, 1);
    assert.deepEqual(used(draft(drafter, 1, judged(1, 'two'), 'two')), [1]);
  });

  test('what is held back gives way to what passed, or to nothing', () => {
    const drafter = createDrafter();
    const held = (use: unknown) => [{ kind: 'AuthPolicy', namespace: 'shop', name: 'p', generation: 8, use }];
    assert.deepEqual(used(draft(drafter, 8, { ...judged(8), held: held(policy(5)) })), [5]);
    assert.deepEqual(used(draft(drafter, 8, { ...judged(8), held: held(null) })), []);
    assert.deepEqual(used(draft(drafter, 9, { ...judged(9), held: held(policy(5)) })), [9]);
  });
});
