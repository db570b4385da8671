/** What a client can make long costs an expression its budget, counted in units, and never more time than that. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { celRecord } from '../decision/cel-value.ts';
import { compileExpression } from './cel.ts';
import { createOpenEnvironment } from './cel-environment.ts';
import { SHARED_METER, type Bindings } from './expression.ts';

/** As much as a head of 64 KiB holds: a target of 16 KiB, 100 headers; and what a token may bring. */
const QUERY = new Map(Array.from({ length: 4000 }, (_, index) => [`k${index.toString(36)}`, ['v']]));
const HEADERS = new Map(Array.from({ length: 100 }, (_, index) => [`x-h${index}`, 'aBcÿ'.repeat(160)]));
const HUGE: Bindings = {
  request: { method: 'GET', path: `/${'a'.repeat(16_000)}`, headers: celRecord(HEADERS), query: celRecord(QUERY) },
  jwt: { claims: celRecord(new Map([['wide', '😀'.repeat(16_000)]])) },
};

function compile(source: string): (bindings: Bindings) => unknown {
  const compiled = compileExpression(source, createOpenEnvironment(false), 'bool');
  if ('problem' in compiled) assert.fail(compiled.problem);
  return compiled.evaluate;
}

const TOO_DEAR = { name: 'ExpressionError', message: 'the expression costs too much' };

describe('an expression that a client’s input makes long ends by its cost', () => {
  const sources: Readonly<Record<string, string>> = {
    'loops over headers in loops':
      "request.headers.exists(a, request.headers.exists(b, request.headers.exists(c, a == 'x')))",
    'a loop whose inner loop lists every parameter and looks at one':
      'request.query.all(a, request.query.exists(b, true))',
    'the count of a map in a loop, as a function': 'request.query.all(a, size(request.query) > 1)',
    'the count of a map in a loop, as a method': 'request.query.all(a, request.query.size() > 1)',
    'lists that a loop makes': 'request.query.all(a, request.query.map(b, b).size() > 1)',
    'texts that a loop makes': 'request.query.map(a, request.query.map(b, a + b)).size() > 1',
    'maps compared in a loop':
      'request.query.all(a, request.query == dyn(request.query) && size(a) > 0 && request.query.exists(b, b == a))',
    'letters between others than ASCII, converted':
      'request.headers.all(a, request.headers.all(b, request.headers[b].lowerAscii() != a))',
    'a long path, converted': "request.query.all(a, request.path.upperAscii() != '')",
    'characters of two units, counted': 'request.query.all(a, jwt.claims.wide.size() > 1)',
    'characters of two units, searched': "request.query.all(a, jwt.claims.wide.indexOf('b', 2) < 1)",
    'characters of two units, cut': "request.query.all(a, jwt.claims.wide.substring(2, 3) != '')",
    'a needle made for the search': "request.query.all(a, !request.path.contains('aaaaaaaaab'))",
    'a replacement that grows': "request.query.all(a, request.path.replace('a', 'bb') != '')",
    'a split into single characters': "request.query.all(a, request.path.split('a').size() > 1)",
    'a pattern on a long text': "request.query.all(a, !request.path.matches('(a|b|ab)*c'))",
    'a pattern that has a state of its own for every character': "request.path.matches('(a|b)*a(a|b){60}c')",
    'times in a zone': "request.query.all(a, timestamp('2024-01-01T00:00:00Z').getFullYear('Europe/Berlin') > 1)",
  };
  for (const [sentence, source] of Object.entries(sources)) {
    test(sentence, () => assert.throws(() => compile(source)(HUGE), TOO_DEAR));
  }
});

describe('expressions that share a meter', () => {
  const cheap = compile("request.method == 'GET'");
  const dear = compile('request.query.exists(a, size(request.query) < 0)');

  test('use up what there is together, each at most its own budget', () => {
    const meter = { left: 1_000_000 };
    const bindings: Bindings = { ...HUGE, [SHARED_METER]: meter };
    assert.throws(() => dear(bindings), TOO_DEAR);
    assert.throws(() => dear(bindings), TOO_DEAR);
    assert.ok(meter.left > 0, 'two budgets are less than the whole');
    assert.equal(cheap(bindings), true);
    assert.throws(() => dear(bindings), TOO_DEAR);
    assert.ok(meter.left < 0);
    assert.throws(() => cheap(bindings), TOO_DEAR);
  });

  test('use next to nothing when they are what policies hold', () => {
    const meter = { left: 1_000_000 };
    for (let times = 0; times < 1000; times++) cheap({ ...HUGE, [SHARED_METER]: meter });
    assert.ok(meter.left > 990_000);
  });
});
