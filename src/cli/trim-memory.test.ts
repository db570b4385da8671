import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRelease, trimMemory } from './trim-memory.ts';

const MIB = 2 ** 20;
const PIECES = 8192;
const PIECE_BYTES = 8192;
/** One of so many stays, so that the allocator cannot give back from its end. */
const KEPT = 64;

test('what a burst left free in the allocator goes back to the kernel', async () => {
  const release = await openRelease();
  const kept = hold();
  trimMemory();
  const before = process.memoryUsage.rss();
  trimMemory(release);
  const after = process.memoryUsage.rss();
  assert.equal(kept.length, PIECES / KEPT);
  assert.ok(before - after > 16 * MIB, `${Math.round(before / MIB)} → ${Math.round(after / MIB)} MiB`);
});

function hold(): readonly Buffer[] {
  const all = Array.from({ length: PIECES }, () => Buffer.allocUnsafeSlow(PIECE_BYTES).fill(1));
  return all.filter((_, index) => index % KEPT === 0);
}
