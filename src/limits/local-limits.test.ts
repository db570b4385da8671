import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { CountMode, RateEvidence } from '../decision/evidence.ts';
import { createRate } from './gcra.ts';
import { createKeyHash } from './key-hash.ts';
import { createLocalLimits, type LocalLimits } from './local-limits.ts';

const NOW = 1_800_000_000_000;
const COUNTER = 'shop/gold/rate';

interface Call {
  readonly key: string;
  readonly calls?: number;
  readonly periodMs?: number;
  readonly maxKeys?: number;
  readonly counter?: string;
  readonly pods?: number;
  readonly mode?: CountMode;
}

interface Limits {
  rate(call: Call, now: number): RateEvidence;
  quota(call: Call, now: number): RateEvidence;
  readonly local: LocalLimits;
}

function createLimits(): Limits {
  const local = createLocalLimits(createKeyHash(new Uint8Array(8)));
  const counting = ({ key, maxKeys = 100, counter = COUNTER, mode = 'admit' }: Call, now: number) => {
    return { key, maxKeys, counter, mode, now };
  };
  return {
    local,
    rate: (call, now) => {
      const { calls = 4, periodMs = 1000, pods = 1 } = call;
      return local.rate(counting(call, now), createRate(calls, periodMs, pods));
    },
    quota: (call, now) => {
      const { calls = 4, periodMs = 1000 } = call;
      return local.quota(counting(call, now), { calls, periodMs });
    },
  };
}

const call = (key: string, parts: Omit<Call, 'key'> = {}): Call => ({ key, ...parts });

suite('P7: GCRA with burst = calls', () => {
  test('the burst passes at once, then one call comes back every period / calls', () => {
    const limits = createLimits();
    const at = (ms: number) => limits.rate(call('a'), NOW + ms);
    assert.deepEqual(at(0), { admitted: true, limit: 4, remaining: 3, retryAfter: 0, reset: 0.25 });
    assert.deepEqual(at(0), { admitted: true, limit: 4, remaining: 2, retryAfter: 0, reset: 0.5 });
    assert.deepEqual(at(0), { admitted: true, limit: 4, remaining: 1, retryAfter: 0, reset: 0.75 });
    assert.deepEqual(at(0), { admitted: true, limit: 4, remaining: 0, retryAfter: 0, reset: 1 });
    assert.deepEqual(at(0), { admitted: false, limit: 4, remaining: 0, retryAfter: 0.25, reset: 1 });
    assert.deepEqual(at(249), { admitted: false, limit: 4, remaining: 0, retryAfter: 0.001, reset: 0.751 });
    assert.deepEqual(at(250), { admitted: true, limit: 4, remaining: 0, retryAfter: 0, reset: 1 });
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
    assert.equal(limits.local.size(COUNTER).keys, 2);
  });

  test('forgets keys that have all their calls again, never a limited one', () => {
    const limits = createLimits();
    const one = (key: string, ms: number) => limits.rate(call(key, { calls: 1, maxKeys: 2 }), NOW + ms).admitted;
    one('a', 0);
    one('b', 900);
    assert.equal(one('c', 1000), true);
    assert.deepEqual([one('b', 1001), limits.local.size(COUNTER).keys], [false, 2]);
  });

  test('holds no more keys than it may, whatever clients invent', () => {
    const limits = createLimits();
    for (let i = 0; i < 1000; i++) limits.rate(call(`k${i}`, { maxKeys: 10 }), NOW + i);
    assert.equal(limits.local.size(COUNTER).keys, 10);
  });

  test('counters of policies that are gone are forgotten', () => {
    const limits = createLimits();
    limits.rate(call('a'), NOW);
    limits.local.keep(new Set(['other']));
    assert.equal(limits.local.size(COUNTER).keys, 0);
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

suite('P7: a share of what the workload may', () => {
  test('several pods admit together what one would, and say the share', () => {
    const limits = createLimits();
    const one = (ms: number) => limits.rate(call('a', { calls: 4, pods: 2 }), NOW + ms);
    assert.deepEqual(
      [one(0), one(0), one(0)],
      [
        { admitted: true, limit: 2, remaining: 1, retryAfter: 0, reset: 0.5 },
        { admitted: true, limit: 2, remaining: 0, retryAfter: 0, reset: 1 },
        { admitted: false, limit: 2, remaining: 0, retryAfter: 0.5, reset: 1 },
      ],
    );
    assert.equal(one(500).admitted, true);
  });

  test('with more pods than calls, each admits one call each few periods', () => {
    const limits = createLimits();
    const one = (ms: number) => limits.rate(call('a', { calls: 2, pods: 6 }), NOW + ms).admitted;
    assert.deepEqual([one(0), one(2900), one(3000), one(3100)], [true, false, true, false]);
  });

  test('another number of pods keeps what was used', () => {
    const limits = createLimits();
    for (let i = 0; i < 4; i++) limits.rate(call('a'), NOW);
    assert.equal(limits.rate(call('a', { pods: 2 }), NOW + 250).admitted, false);
    assert.equal(limits.rate(call('a', { pods: 2 }), NOW + 500).admitted, true);
  });
});

suite('P7 countWhen: admitted by looking, counted when the answer is known', () => {
  test('looking counts nothing, however often', () => {
    const limits = createLimits();
    const look = () => limits.rate(call('a', { calls: 1, mode: 'look' }), NOW);
    assert.deepEqual([look().admitted, look().admitted, look().remaining], [true, true, 1]);
    assert.equal(limits.local.size(COUNTER).keys, 0);
  });

  test('what is counted afterwards counts beyond the limit too, and is paid for', () => {
    const limits = createLimits();
    const count = () => limits.rate(call('a', { calls: 2, mode: 'count' }), NOW);
    for (let i = 0; i < 3; i++) count();
    const look = (ms: number) => limits.rate(call('a', { calls: 2, mode: 'look' }), NOW + ms).admitted;
    assert.deepEqual([look(0), look(500), look(999), look(1000)], [false, false, false, true]);
  });

  test('many that pass by looking at once cost no more than one window more', () => {
    const limits = createLimits();
    for (let i = 0; i < 1000; i++) limits.rate(call('a', { calls: 2, mode: 'count' }), NOW);
    assert.equal(limits.rate(call('a', { calls: 2, mode: 'look' }), NOW + 1000).admitted, true);
  });

  test('a full table is looked at where its new keys are counted', () => {
    const limits = createLimits();
    const one = (key: string, mode: CountMode) => limits.rate(call(key, { calls: 1, maxKeys: 1, mode }), NOW).admitted;
    assert.deepEqual([one('a', 'count'), one('b', 'count'), one('c', 'look')], [true, true, false]);
  });
});

suite('P7: quota in a fixed window', () => {
  test('the window begins with the first counted call and all calls come back at its end', () => {
    const limits = createLimits();
    const at = (ms: number) => limits.quota(call('a', { calls: 2 }), NOW + ms);
    at(-5000);
    assert.deepEqual(at(0), { admitted: true, limit: 2, remaining: 1, retryAfter: 0, reset: 1 });
    assert.deepEqual(at(400), { admitted: true, limit: 2, remaining: 0, retryAfter: 0, reset: 0.6 });
    assert.deepEqual(at(999), { admitted: false, limit: 2, remaining: 0, retryAfter: 0.001, reset: 0.001 });
    assert.deepEqual(at(1000), { admitted: true, limit: 2, remaining: 1, retryAfter: 0, reset: 1 });
  });

  test('looking opens no window', () => {
    const limits = createLimits();
    const one = (ms: number, mode: CountMode) => limits.quota(call('a', { calls: 1, mode }), NOW + ms);
    assert.equal(one(0, 'look').admitted, true);
    assert.equal(one(900, 'count').reset, 1);
    assert.deepEqual([one(1500, 'look').admitted, one(1900, 'look').admitted], [false, true]);
  });

  test('a clock that is set back makes no window longer than a period', () => {
    const limits = createLimits();
    limits.quota(call('a', { calls: 1 }), NOW);
    limits.quota(call('a', { calls: 1 }), NOW + 3_600_000);
    assert.equal(limits.quota(call('a', { calls: 1 }), NOW + 10).retryAfter, 1);
  });

  test('new keys of a full table share one window', () => {
    const limits = createLimits();
    const one = (key: string) => limits.quota(call(key, { calls: 1, maxKeys: 1 }), NOW).admitted;
    assert.deepEqual([one('a'), one('b'), one('c'), one('a')], [true, true, false, false]);
  });

  test('in any run of calls, no window holds more than its calls', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        (gaps, calls) => {
          const limits = createLimits();
          let [now, start, used] = [NOW, -Infinity, 0];
          for (const gap of gaps) {
            now += gap;
            if (now >= start + 1000) [start, used] = [Infinity, 0];
            const { admitted } = limits.quota(call('a', { calls }), now);
            if (admitted !== used < calls) return false;
            if (admitted) [start, used] = [Math.min(start, now), used + 1];
          }
          return true;
        },
      ),
      { numRuns: 150 },
    );
  });
});

suite('P7: concurrency', () => {
  test('as many as may be are open at once; one that ends makes room for another of its key', () => {
    const { local } = createLimits();
    const one = (key: string) => local.acquire('shop/gold/few', key, 2);
    const [first, second] = [one('a'), one('a')];
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(one('a'), undefined);
    assert.ok(one('b') !== undefined);
    first();
    assert.ok(one('a') !== undefined);
    assert.equal(one('a'), undefined);
  });

  test('what is open stays counted when the policy is loaded again', () => {
    const { local } = createLimits();
    const open = local.acquire('shop/gold/few', 'a', 1);
    local.keep(new Set());
    assert.equal(local.acquire('shop/gold/few', 'a', 1), undefined);
    open?.();
    assert.ok(local.acquire('shop/gold/few', 'a', 1) !== undefined);
  });

  test('what is held regardless counts for those who ask', () => {
    const { local } = createLimits();
    const end = local.hold('shop/gold/few', 'a');
    local.hold('shop/gold/few', 'a');
    assert.equal(local.acquire('shop/gold/few', 'a', 2), undefined);
    end();
    assert.ok(local.acquire('shop/gold/few', 'a', 2) !== undefined);
  });
});
