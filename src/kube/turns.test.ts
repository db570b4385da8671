import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurns } from './turns.ts';

const never = (): AbortSignal => new AbortController().signal;

test('so many have a turn at once, the others wait in their order, and who gives up takes none', async () => {
  const turns = createTurns(2);
  const ends = [await turns.enter(never()), await turns.enter(never())];
  const begun: string[] = [];
  const giving = new AbortController();
  const given = turns.enter(giving.signal);
  const waiting = ['third', 'fourth'].map(async name => {
    const end = await turns.enter(never());
    begun.push(name);
    return end;
  });
  giving.abort();
  await assert.rejects(given, { reason: 'Closed' });
  assert.deepEqual(begun, []);
  ends[0]?.();
  // A turn ends once.
  ends[0]?.();
  const third = await waiting[0];
  assert.deepEqual(begun, ['third']);
  third?.();
  await waiting[1];
  assert.deepEqual(begun, ['third', 'fourth']);
  await assert.rejects(turns.enter(AbortSignal.abort()), { reason: 'Closed' });
});
