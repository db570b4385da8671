import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT } from '../telemetry/telemetry.ts';
import { createMemoryWatch } from './memory-watch.ts';

/** A process with a limit of 100 bytes. */
function openWatch(held: { resident: number; garbage: number }) {
  const state = { draining: false, overloaded: false };
  const collect = (): void => void (held.garbage = 0);
  let used = 0;
  const memory = { resident: () => held.resident, needed: () => used + held.garbage, collect };
  const watch = createMemoryWatch({ maxBytes: 100, memory, state, log: SILENT.log });
  return { state, watch, use: (bytes: number) => void (used = bytes), held };
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
