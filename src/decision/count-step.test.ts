/** P7: what the steps that count ask, and what becomes of the answers. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledConcurrency, CompiledQuota, CompiledRateLimit, StepBody } from '../policy/steps.ts';
import { createFieldList } from '../http/fields.ts';
import type { EvidenceSource, RateEvidence } from './evidence.ts';
import { responseBinding } from './response.ts';
import { expression, failing, judgeNow, literal, origin, read, route, source, step } from './testing/fakes.ts';
import type { CompiledStep } from '../policy/steps.ts';
import type { Verdict } from './verdict.ts';

const COUNT = { counter: 'AuthPolicy shop/gold/few', key: literal('k'), scope: 'Pod' } as const;
const RATE: CompiledRateLimit = { ...COUNT, calls: 10, periodMs: 60_000, maxKeys: 5, headers: false };
const QUOTA: CompiledQuota = { ...COUNT, calls: 10, periodMs: 60_000, maxKeys: 5 };
const FEW: CompiledConcurrency = { ...COUNT, max: 2 };
const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });

const left = (remaining: number): RateEvidence => {
  return { admitted: remaining > 0, limit: 10, remaining, retryAfter: remaining > 0 ? 0 : 2.4, reset: 12.2 };
};

/** Every question as it was asked, and an answer to each. */
function record(answer: Partial<EvidenceSource>): {
  readonly asked: string[];
  readonly given: Partial<EvidenceSource>;
} {
  const asked: string[] = [];
  const fallback = source(answer);
  return {
    asked,
    given: {
      rate: (request, now) => {
        asked.push(`rate ${request.mode} ${request.key}`);
        return fallback.rate(request, now);
      },
      quota: (request, now) => {
        asked.push(`quota ${request.mode} ${request.key}`);
        return fallback.quota(request, now);
      },
      concurrency: (request, now) => {
        asked.push(`concurrency ${request.key}`);
        return fallback.concurrency(request, now);
      },
    },
  };
}

const say = (verdict: Verdict): string =>
  verdict.verdict === 'Deny' ? `${verdict.reason} ${verdict.retryAfter ?? ''}`.trim() : verdict.verdict;

const BODIES: Readonly<Record<string, StepBody>> = {
  rate: { type: 'rateLimit', rateLimit: RATE },
  quota: { type: 'quota', quota: QUOTA },
  concurrency: { type: 'concurrency', concurrency: FEW },
};

suite('what is asked and answered', () => {
  const ANSWERS: Readonly<Record<string, readonly [body: string, given: Partial<EvidenceSource>, says: string]>> = {
    'a call within the rate': ['rate', { rate: () => left(3) }, 'Permit'],
    'one beyond it: whole seconds': ['rate', { rate: () => left(0) }, 'RateLimitExceeded 3'],
    'a call within the quota': ['quota', { quota: () => left(3) }, 'Permit'],
    'one beyond it, with the time until the window ends': ['quota', { quota: () => left(0) }, 'QuotaExceeded 3'],
    'room for one more': ['concurrency', { concurrency: () => ({ leased: true }) }, 'Permit'],
    'no room': ['concurrency', { concurrency: () => ({ leased: false }) }, 'ConcurrencyExceeded'],
  };
  for (const [sentence, [name, given, says]] of Object.entries(ANSWERS)) {
    test(sentence, () => {
      const body = BODIES[name];
      assert.ok(body !== undefined);
      const { asked, given: recorded } = record(given);
      assert.equal(say(judgeNow(route([step(body), open]), { source: recorded })), says);
      assert.deepEqual(asked, [name === 'concurrency' ? 'concurrency k' : `${name} admit k`]);
    });
  }

  for (const [name, body] of Object.entries(BODIES)) {
    test(`${name}: an answer to another question decides nothing`, () => {
      const wrong = () => ({ state: 'clear' }) as never;
      const verdict = judgeNow(route([step(body), open]), {
        source: { rate: wrong, quota: wrong, concurrency: wrong },
      });
      assert.equal(say(verdict).split(' ')[0], 'Overloaded');
    });

    test(`${name}: a counter that fails is a 503`, () => {
      const fails = () => {
        throw new Error('the key of a caller');
      };
      const verdict = judgeNow(route([step(body), open]), {
        source: { rate: fails, quota: fails, concurrency: fails },
      });
      assert.equal(say(verdict).split(' ')[0], 'Overloaded');
    });

    test(`${name}: an open stream is not counted again (M7)`, () => {
      const { asked, given } = record({});
      const verdict = judgeNow(route([step(body), open]), { source: given, context: { rejudge: true } });
      assert.deepEqual([verdict.verdict, asked], ['Permit', []]);
    });
  }
});

suite('countWhen', () => {
  const onlyFailures = expression(bindings => Number(read(bindings, 'response.status')) >= 400);
  const judged = (countWhen: typeof onlyFailures, ...later: readonly CompiledStep[]) => {
    const { asked, given } = record({ rate: () => left(3), quota: () => left(3) });
    const steps = [
      step({ type: 'rateLimit', rateLimit: { ...RATE, countWhen } }, { name: 'rate' }),
      step({ type: 'quota', quota: { ...QUOTA, countWhen } }, { name: 'quota' }),
      open,
      ...later,
    ];
    return { asked, verdict: judgeNow(route(steps), { source: given }) };
  };
  const answered = (status: number) => responseBinding({ status, headers: createFieldList() });

  test('a call is admitted by looking, and what is to be counted comes with the verdict', () => {
    const { asked, verdict } = judged(onlyFailures);
    assert.deepEqual(asked, ['rate look k', 'quota look k']);
    const { pendingCounts = [] } = verdict;
    assert.deepEqual(
      pendingCounts.map(({ request: { type, key, mode } }) => `${type} ${mode} ${key}`),
      ['rate count k', 'quota count k'],
    );
    assert.deepEqual(
      [200, 404].map(status => pendingCounts.map(({ counts }) => counts(answered(status)))),
      [
        [false, false],
        [true, true],
      ],
    );
  });

  test('so it does with a denial of a later step, and with an answer in the app’s place', () => {
    const later: readonly StepBody[] = [
      { type: 'ipFilter', ipFilter: () => 'Blocked' },
      { type: 'respond', respond: { status: 204, headers: [], contentType: 'text/plain', body: literal('') } },
    ];
    assert.deepEqual(
      later.map(body => judged(onlyFailures, step(body)).verdict).map(v => [v.verdict, v.pendingCounts?.length]),
      [
        ['Deny', 2],
        ['Respond', 2],
      ],
    );
  });

  test('E8: an expression that fails counts', () => {
    const { verdict } = judged(failing);
    assert.deepEqual(
      verdict.pendingCounts?.map(({ counts }) => counts(answered(200))),
      [true, true],
    );
  });

  test('a call that is not admitted leaves nothing to be counted', () => {
    const { given } = record({ rate: () => left(0) });
    const at = route([step({ type: 'rateLimit', rateLimit: { ...RATE, countWhen: onlyFailures } }), open]);
    assert.deepEqual(judgeNow(at, { source: given }).pendingCounts ?? [], []);
  });
});

suite('headers: true', () => {
  test('every rate that was asked is told, by number, and a denial tells them too', () => {
    const limits = [
      step({ type: 'rateLimit', rateLimit: { ...RATE, headers: true } }),
      step({ type: 'rateLimit', rateLimit: { ...RATE, calls: 50, headers: true } }),
    ];
    let calls = 0;
    const verdict = judgeNow(route([...limits, open]), { source: { rate: () => left(calls++ === 0 ? 4 : 0) } });
    assert.equal(say(verdict), 'RateLimitExceeded 3');
    assert.deepEqual(
      verdict.responseHeaders.map(({ name, value }) => `${name}: ${value}`),
      [
        'RateLimit-Policy: "limit-1";q=10;w=60',
        'RateLimit: "limit-1";r=4;t=13',
        'RateLimit-Policy: "limit-2";q=10;w=60',
        'RateLimit: "limit-2";r=0;t=13',
      ],
    );
  });

  test('an Audit policy tells nothing', () => {
    const audited = step(
      { type: 'rateLimit', rateLimit: { ...RATE, headers: true } },
      { origin: origin({ audit: true }) },
    );
    const verdict = judgeNow(route([audited, open]), { source: { rate: () => left(4) } });
    assert.deepEqual(verdict.responseHeaders, []);
  });
});
