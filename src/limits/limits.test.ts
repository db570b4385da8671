import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { RateRequest } from '../decision/evidence.ts';
import { createLimits } from './limits.ts';

const NOW = 1_800_000_000_000;

function call(
  key: string,
  parts: { calls?: number; periodMs?: number; maxKeys?: number; counter?: string } = {},
): RateRequest {
  const { calls = 4, periodMs = 1000, maxKeys = 100, counter = 'shop/gold/rate' } = parts;
  const literal = { source: key, place: 'text', literal: key, reads: new Set<string>(), render: () => key } as const;
  return { type: 'rate', key, step: { counter, calls, periodMs, maxKeys, key: literal, headers: false, scope: 'Pod' } };
}

suite('P7: GCRA with burst = calls', () => {
  test('the burst passes at once, then one call comes back every period / calls', () => {
    const limits = createLimits();
    const at = (ms: number) => limits.rate(call('a'), NOW + ms);
    assert.deepEqual(at(0), { admitted: true, limit: 10, remaining: 3, retryAfter: 0, reset: 0.25 });
    assert.deepEqual(at(0), { admitted: true, limit: 10, remaining: 2, retryAfter: 0, reset: 0.5 });
    assert.deepEqual(at(0), { admitted: true, limit: 10, remaining: 1, retryAfter: 0, reset: 0.75 });
    assert.deepEqual(at(0), { admitted: true, limit: 10, remaining: 0, retryAfter: 0, reset: 1 });
    assert.deepEqual(at(0), { admitted: false, limit: 10, remaining: 0, retryAfter: 0.25, reset: 1 });
    assert.deepEqual(at(249), { admitted: false, limit: 10, remaining: 0, retryAfter: 0.001, reset: 0.751 });
    assert.deepEqual(at(250), { admitted: true, limit: 10, remaining: 0, retryAfter: 0, reset: 1 });
    assert.equal(at(251).admitted, false);
  });

  test('refused calls count nothing', () => {
    const limits = createLimits();
    for (let i = 0; i < 50; i++) limits.rate(call('a'), NOW);
    assert.equal(limits.rate(call('a'), NOW + 250).admitted, true);
  });

  test('keys and counters do not touch each other', () => {
    const limits = createLimits();
    const one = (key: string, counter?: string) =>
      limits.rate(call(key, { calls: 1, ...(counter && { counter }) }), NOW).admitted;
    assert.deepEqual([one('a'), one('b'), one('a', 'other'), one('a')], [true, true, true, false]);
  });

  test('keys named as members of Object.prototype are ordinary', () => {
    const limits = createLimits();
    for (const key of ['__proto__', 'constructor', 'toString', '']) {
      assert.equal(limits.rate(call(key, { calls: 1 }), NOW).admitted, true);
      assert.equal(limits.rate(call(key, { calls: 1 }), NOW).admitted, false);
    }
  });

  test('a third of a second is not lost to rounding', () => {
    const limits = createLimits();
    const each = call('a', { calls: 3 });
    for (let i = 0; i < 3; i++) assert.equal(limits.rate(each, NOW).admitted, true);
    const admitted = Array.from(
      { length: 300 },
      (_, i) => limits.rate(each, NOW + Math.ceil(((i + 1) * 1000) / 3)).admitted,
    );
    assert.ok(admitted.every(Boolean));
  });

  test('a clock that is set back makes nobody wait longer than one period', () => {
    const limits = createLimits();
    for (let i = 0; i < 4; i++) limits.rate(call('a'), NOW + 3_600_000);
    const { admitted, retryAfter } = limits.rate(call('a'), NOW);
    assert.deepEqual([admitted, retryAfter], [false, 0.25]);
  });

  test('a reload with other figures keeps what was used', () => {
    const limits = createLimits();
    for (let i = 0; i < 4; i++) limits.rate(call('a'), NOW);
    assert.equal(limits.rate(call('a', { calls: 2 }), NOW).admitted, false);
    assert.equal(limits.rate(call('a', { calls: 2 }), NOW + 500).admitted, true);
  });
});

suite('P7: a full table', () => {
  test('new keys share one counter, and those that have a place keep it', () => {
    const limits = createLimits();
    const one = (key: string) => limits.rate(call(key, { calls: 1, maxKeys: 2 }), NOW).admitted;
    assert.deepEqual([one('a'), one('b'), one('c'), one('d'), one('e')], [true, true, true, false, false]);
    assert.deepEqual([one('a'), one('b')], [false, false]);
    assert.equal(limits.size('shop/gold/rate'), 2);
  });

  test('forgets keys that have all their calls again, never a limited one', () => {
    const limits = createLimits();
    const one = (key: string, ms: number) => limits.rate(call(key, { calls: 1, maxKeys: 2 }), NOW + ms).admitted;
    one('a', 0);
    one('b', 900);
    assert.equal(one('c', 1000), true);
    assert.deepEqual([one('b', 1001), limits.size('shop/gold/rate')], [false, 2]);
  });

  test('holds no more keys than it may, whatever clients invent', () => {
    const limits = createLimits();
    for (let i = 0; i < 1000; i++) limits.rate(call(`k${i}`, { maxKeys: 10 }), NOW + i);
    assert.equal(limits.size('shop/gold/rate'), 10);
  });

  test('counters of policies that are gone are forgotten', () => {
    const limits = createLimits();
    limits.rate(call('a'), NOW);
    limits.keep(new Set(['other']));
    assert.equal(limits.size('shop/gold/rate'), 0);
  });
});

test('in any window, a key gets at most calls + window / interval', () => {
  const steps = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1000, max: 5000 }),
      (gaps, calls, periodMs) => {
        const limits = createLimits();
        let now = NOW;
        const admitted: number[] = [];
        for (const gap of gaps) {
          now += gap;
          if (limits.rate(call('a', { calls, periodMs }), now).admitted) admitted.push(now);
        }
        const interval = periodMs / calls;
        return admitted.every((from, first) =>
          admitted.every((to, last) => last < first || last - first + 1 <= calls + (to - from) / interval + 0.01),
        );
      },
    ),
    { numRuns: 150 },
  );
});
