import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find, isSameConditions, settleConditions, type Condition } from './conditions.ts';

const HOUR = 3_600_000;
const at = (hour: number) => ({ generation: 2, now: hour * HOUR });
const accepted: Condition = {
  type: 'Accepted',
  status: 'True',
  reason: 'Accepted',
  message: 'valid',
  observedGeneration: 1,
  lastTransitionTime: '1970-01-01T00:00:00Z',
};

test('the time of the last transition stays while the status does, whatever reason and message say', () => {
  const [same] = settleConditions([find('Accepted', true, 'Accepted', 'valid; note: x')], [accepted], at(1));
  assert.equal(same?.lastTransitionTime, '1970-01-01T00:00:00Z');
  assert.equal(same.observedGeneration, 2);
  assert.equal(same.message, 'valid; note: x');
  const [changed] = settleConditions([find('Accepted', false, 'Invalid', 'no')], [accepted], at(1));
  assert.equal(changed?.lastTransitionTime, '1970-01-01T01:00:00Z');
});

test('what is no longer found is gone, and others’ conditions are not ours to repeat', () => {
  assert.deepEqual(settleConditions([], [accepted], at(1)), []);
});

test('order and time make no difference, everything else does', () => {
  const other = { ...accepted, type: 'Enforced' };
  assert.ok(isSameConditions([accepted, other], [other, { ...accepted, lastTransitionTime: 'then' }]));
  assert.ok(!isSameConditions([accepted], [{ ...accepted, observedGeneration: 2 }]));
  assert.ok(!isSameConditions([accepted], [{ ...accepted, message: 'x' }]));
  assert.ok(!isSameConditions([accepted], []));
});

test('a message longer than people read is cut', () => {
  assert.equal(find('Accepted', true, 'Accepted', 'x'.repeat(5000)).message.length, 1024);
});
