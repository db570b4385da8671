import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyAcknowledgement, createAcknowledgementWriter, type EnforcedState } from './acknowledgement.ts';
import { BOUNDS, type AcknowledgedObject } from './protocol.ts';

const policy = (name: string, generation = 1): AcknowledgedObject => ({
  kind: 'AuthPolicy',
  namespace: 'shop',
  name,
  uid: `uid-${name}`,
  generation,
  state: 'InForce',
});
const state = (objects: readonly AcknowledgedObject[], hash = 'a'): EnforcedState => ({
  hash,
  objects,
  issuers: [],
  certificates: [],
  appExposed: [],
  wouldDeny: [],
});
const replay = (lines: ReturnType<ReturnType<typeof createAcknowledgementWriter>['next']>, from?: EnforcedState) =>
  lines.reduce<EnforcedState | undefined>(applyAcknowledgement, from);

test('the first acknowledgement says everything, the next what changed, and nothing is said of nothing', () => {
  const writer = createAcknowledgementWriter();
  const first = writer.next(state([policy('a'), policy('b')]));
  assert.deepEqual(
    first.map(({ full, objects }) => [full, objects.length]),
    [[true, 2]],
  );
  assert.deepEqual(writer.next(state([policy('a'), policy('b')])), []);
  const next = state([policy('a', 2), policy('c')], 'b');
  const second = writer.next(next);
  assert.deepEqual(
    second.map(({ full, objects, gone }) => [full, objects.map(({ name }) => name), gone]),
    [[false, ['a', 'c'], ['AuthPolicy shop/b']]],
  );
  assert.deepEqual(replay(second, replay(first)), next);
});

test('more objects than one line may hold come in several lines, of which the first alone is full', () => {
  const objects = Array.from({ length: 2 * BOUNDS.objectsInAcknowledgement + 1 }, (_, i) => policy(`p${i}`));
  const writer = createAcknowledgementWriter();
  const lines = writer.next(state(objects));
  assert.deepEqual(
    lines.map(({ full, objects: some }) => [full, some.length]),
    [
      [true, 1000],
      [false, 1000],
      [false, 1],
    ],
  );
  assert.deepEqual(replay(lines), state(objects));
  const gone = writer.next(state([]));
  assert.deepEqual(
    gone.map(line => line.gone.length),
    [1000, 1000, 1],
  );
  assert.deepEqual(replay(gone, replay(lines)), state([]));
});

test('a change of the hash alone is said', () => {
  const writer = createAcknowledgementWriter();
  writer.next(state([policy('a')]));
  assert.deepEqual(
    writer.next(state([policy('a')], 'b')).map(({ hash, objects }) => [hash, objects.length]),
    [['b', 0]],
  );
});
