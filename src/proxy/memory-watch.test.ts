import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT } from '../telemetry/telemetry.ts';
import { createMemoryWatch } from './memory-watch.ts';
import type { Shed } from './shedding.ts';

/** A process with a limit of 100 bytes. */
function openWatch(held: { resident: number; garbage: number }, shed?: () => Shed) {
  const state = { draining: false, overloaded: false };
  let collections = 0;
  const collect = (): void => {
    held.garbage = 0;
    collections++;
  };
  let used = 0;
  const memory = { resident: () => held.resident, needed: () => used + held.garbage, collect };
  const watch = createMemoryWatch({
    maxBytes: 100,
    memory,
    state,
    log: SILENT.log,
    ...(shed === undefined ? {} : { shed }),
  });
  return { state, watch, use: (bytes: number) => void (used = bytes), held, collections: () => collections };
}

test('resident memory that is garbage refuses nobody: it is collected', () => {
  const { state, watch, use, held } = openWatch({ resident: 99, garbage: 60 });
  use(39);
  watch.sweep(0);
  assert.equal(state.overloaded, false);
  assert.equal(held.garbage, 0);
});

test('the lock-out of the unfinished heads: after a burst is over the door opens, though resident memory stays', () => {
  const { state, watch, use } = openWatch({ resident: 150, garbage: 0 });
  use(140);
  watch.sweep(0);
  assert.equal(state.overloaded, true);
  use(60);
  watch.sweep(10);
  assert.equal(state.overloaded, false);
});

test('memory that is needed refuses, and admits again only well below', () => {
  const { state, watch, use } = openWatch({ resident: 99, garbage: 0 });
  use(97);
  watch.sweep(0);
  assert.equal(state.overloaded, true);
  use(92);
  watch.sweep(2000);
  assert.equal(state.overloaded, true);
  use(84);
  watch.sweep(4000);
  assert.equal(state.overloaded, false);
});

test('below the line nothing is collected', () => {
  const { watch, held } = openWatch({ resident: 95, garbage: 90 });
  watch.sweep(0);
  assert.equal(held.garbage, 90);
});

test('held answers: whoever holds most is ended before anybody is shut out for good', () => {
  let asked = 0;
  const { state, watch, use } = openWatch({ resident: 99, garbage: 0 }, () => ({ ended: ++asked, bytes: 50 }));
  use(97);
  watch.sweep(0);
  assert.equal(asked, 1);
  use(50);
  watch.sweep(250);
  assert.equal(state.overloaded, false);
});

test('where nobody can be ended memory is looked at once a second', () => {
  let asked = 0;
  const { watch, use } = openWatch({ resident: 99, garbage: 0 }, () => ({ ended: 0, bytes: asked++ }));
  use(97);
  for (let now = 0; now < 2000; now += 250) watch.sweep(now);
  assert.equal(asked, 2);
});

test('beyond the limit what only allocators hold is given back, every five seconds at most', () => {
  const { state, watch, use, collections } = openWatch({ resident: 101, garbage: 0 });
  use(50);
  for (let now = 0; now < 10_000; now += 250) watch.sweep(now);
  assert.equal(collections(), 2);
  assert.equal(state.overloaded, false);
});
