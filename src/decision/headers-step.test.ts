import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledRequireHeader } from '../policy/steps.ts';
import { judgeNow, literal, permitOf, request, route, setting, step, summary, type Given } from './testing/fakes.ts';

const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
type Lines = readonly (readonly [string, string])[];

const sent = (settings: ReturnType<typeof setting>[], lines: Lines, given: Given = {}, removed: string[] = []) => {
  const steps = [
    open,
    step({ type: 'setHeaders', setHeaders: settings }),
    step({ type: 'removeHeaders', removeHeaders: removed }),
  ];
  const { edits } = permitOf(judgeNow(route(steps), { request: request(lines), ...given }));
  return Object.fromEntries([...edits.headers].map(([lower, { values }]) => [lower, values]));
};

suite('setHeaders and removeHeaders on requests', () => {
  test('Override sends its value instead of whatever came', () =>
    assert.deepEqual(sent([setting('X-A', literal('1'))], [['x-a', 'forged']]), { 'x-a': ['1'] }));
  test('Append keeps what came, in its order', () =>
    assert.deepEqual(
      sent(
        [setting('X-A', literal('3'), { ifExists: 'Append' })],
        [
          ['X-A', '1'],
          ['x-a', '2'],
        ],
      ),
      { 'x-a': ['1', '2', '3'] },
    ));
  test('Skip leaves what came', () =>
    assert.deepEqual(sent([setting('X-A', literal('2'), { ifExists: 'Skip' })], [['X-A', '1']]), {}));
  test('Skip sets what did not come', () =>
    assert.deepEqual(sent([setting('X-A', literal('2'), { ifExists: 'Skip' })], []), { 'x-a': ['2'] }));
  test('a reserved header that a client sent does not exist, in any spelling', () => {
    const given = { reserved: new Set(['x-a']) };
    assert.deepEqual(sent([setting('X-A', literal('2'), { ifExists: 'Skip' })], [['X-A', 'forged']], given), {
      'x-a': ['2'],
    });
    assert.deepEqual(sent([setting('X_A', literal('2'), { ifExists: 'Append' })], [['X_A', 'forged']], given), {
      x_a: ['2'],
    });
  });
  test('nor does a forwarding header of an untrusted peer', () =>
    assert.deepEqual(
      sent([setting('X-Forwarded-Proto', literal('https'), { ifExists: 'Skip' })], [['X-Forwarded-Proto', 'http']]),
      {
        'x-forwarded-proto': ['https'],
      },
    ));
  test('S4: what a sealed broader policy owns is not written', () =>
    assert.deepEqual(sent([setting('X-A', literal('1'), { overridden: true })], []), {}));
  test('removal takes every line', () => assert.deepEqual(sent([], [['X-A', '1']], {}, ['X-A']), { 'x-a': [] }));
  test('the last step has the last word', () =>
    assert.deepEqual(sent([setting('X-A', literal('1'))], [], {}, ['x-a']), { 'x-a': [] }));
});

suite('requireHeader', () => {
  const outcome = (required: Partial<CompiledRequireHeader>, lines: Lines, given: Given = {}) => {
    const requireHeader = { name: 'X-Env', ignoreCase: false, ...required };
    return summary(
      judgeNow(route([open, step({ type: 'requireHeader', requireHeader }, { name: 'env' })]), {
        request: request(lines),
        ...given,
      }),
    );
  };
  const cases: Record<string, [string, Partial<CompiledRequireHeader>, Lines, Given?]> = {
    present: ['Permit', {}, [['x-env', 'any']]],
    'present and empty': ['Permit', {}, [['x-env', '']]],
    missing: ['HeaderNotFound policy/env', {}, []],
    'one of the values': ['Permit', { values: ['test', 'prod'] }, [['X-Env', 'prod']]],
    'another value': ['HeaderValueNotAllowed policy/env', { values: ['prod'] }, [['X-Env', 'PROD']]],
    'in any case when told so': ['Permit', { values: ['prod'], ignoreCase: true }, [['X-Env', 'PROD']]],
    'every line must be allowed: back ends differ in which they read': [
      'HeaderValueNotAllowed policy/env',
      { values: ['prod'] },
      [
        ['X-Env', 'prod'],
        ['X-Env', 'dev'],
      ],
    ],
    'a header that is removed on every route proves nothing': [
      'HeaderNotFound policy/env',
      {},
      [['X-Env', 'prod']],
      { reserved: new Set(['x-env']) },
    ],
    'nor does a forwarding header of an untrusted peer': [
      'HeaderNotFound policy/env',
      { name: 'X-Forwarded-Proto' },
      [['X-Forwarded-Proto', 'https']],
    ],
    'nor one that Connection names': [
      'HeaderNotFound policy/env',
      {},
      [
        ['X-Env', 'prod'],
        ['Connection', 'x-env'],
      ],
    ],
  };
  for (const [name, [expected, required, lines, given]] of Object.entries(cases)) {
    test(name, () => assert.equal(outcome(required, lines, given), expected));
  }
});
