import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenConnection } from './ingress.ts';
import { shedLargest } from './shedding.ts';

function open(held: readonly number[]) {
  const ended: number[] = [];
  const connections = held.map((heldBytes, at): OpenConnection => ({
    closed: heldBytes < 0,
    heldBytes,
    closeIdle: () => undefined,
    reset: () => void ended.push(at),
  }));
  return { connections, ended };
}

for (const [sentence, held, expected] of [
  ['whoever holds most is ended, until half of it is given up', [1, 50, 2, 30, 20], [1, 3]],
  ['one alone that holds it all is ended', [0, 0, 90], [2]],
  ['nobody is ended where waiting answers are no large part of memory', [3, 3, 3], []],
  ['who is closed holds nothing', [-1, 10], [1]],
] as const) {
  test(sentence, () => {
    const { connections, ended } = open(held);
    assert.equal(shedLargest(connections, 100).ended, expected.length);
    assert.deepEqual(ended, expected);
  });
}
