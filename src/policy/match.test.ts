import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_ERRORS } from './errors-plan.ts';
import { createMatcher, expandRoot, type MatchEntry } from './match.ts';
import type { Match, Route } from './model.ts';
import { parsePathTemplate } from './path-template.ts';

interface Operation {
  readonly host?: string;
  readonly base?: string;
  readonly methods?: readonly string[];
  readonly case?: 'Sensitive';
  readonly slash?: 'Distinct';
}

const refused: Match = { kind: 'refused', reason: 'OperationNotFound', errors: DEFAULT_ERRORS };

/** `path` `*` alone is the rest of an Api (M1). */
function createEntries(path: string, operation: Operation = {}): readonly MatchEntry[] {
  const rest = path === '*';
  const template = parsePathTemplate(operation.base ?? '', rest ? '/' : path);
  if ('problem' in template) return assert.fail(template.problem);
  const name = `${operation.methods?.join() ?? ''} ${operation.host ?? ''}${operation.base ?? ''}${path}`.trim();
  const entry: MatchEntry = {
    template,
    rest,
    foldCase: operation.case !== 'Sensitive',
    foldSlash: operation.slash !== 'Distinct',
    target: { operation: name } as Route,
    ...(operation.host === undefined ? {} : { host: operation.host }),
    ...(operation.methods === undefined ? {} : { methods: operation.methods }),
  };
  return expandRoot(entry, path);
}

type Table = readonly (readonly [path: string, operation?: Operation])[];

function createTable(operations: Table, onVisit?: () => void): (method: string, host: string, path: string) => Match {
  const entries = operations.flatMap(([path, operation]) => createEntries(path, operation));
  const match = createMatcher(entries, { errors: DEFAULT_ERRORS, ...(onVisit === undefined ? {} : { onVisit }) });
  return (method, host, path) => match(method, host, path) ?? refused;
}

/** The operation's name with its parameters, or the reason. */
function describeMatch(found: Match): string {
  if (found.kind === 'refused') return found.reason;
  const params = Object.entries(found.params).map(([name, value]) => ` ${name}=${value}`);
  return `${found.route.operation ?? ''}${params.join('')}`;
}

const get = (operations: Table, path: string, host = 'h.example', method = 'GET'): string =>
  describeMatch(createTable(operations)(method, host, path));

describe('M: the most specific operation wins', () => {
  const GET = ['GET'];
  const rows: Readonly<Record<string, readonly [Table, string, string]>> = {
    'host over no host': [[['/a/b'], ['/*', { host: 'h.example' }]], '/a/b', 'h.example/*'],
    'an exact host over a wildcard': [
      [
        ['/a', { host: '*.example' }],
        ['/*', { host: 'h.example' }],
      ],
      '/a',
      'h.example/*',
    ],
    'a wildcard host over no host': [[['/a'], ['/*', { host: '*.example' }]], '/a', '*.example/*'],
    'a less specific host where the more specific one has no match': [
      [['/a'], ['/b', { host: 'h.example' }]],
      '/a',
      '/a',
    ],
    'a longer literal prefix': [[['/a/*'], ['/a/b/*'], ['/*']], '/a/b/c', '/a/b/*'],
    'literal over parameter': [[['/a/{x}'], ['/a/b']], '/a/b', '/a/b'],
    'parameter over wildcard': [[['/a/*'], ['/a/{x}']], '/a/b', '/a/{x} x=b'],
    'literal over parameter further down': [[['/{x}/{y}'], ['/{x}/b']], '/1/b', '/{x}/b x=1'],
    'a literal prefix over a later literal': [[['/a/{x}/c'], ['/a/b/*']], '/a/b/c', '/a/b/*'],
    'method over none': [[['/a'], ['/a', { methods: GET }]], '/a', 'GET /a'],
    'a less specific path that has the method': [
      [
        ['/a/{x}', { methods: GET }],
        ['/a/b', { methods: ['PUT'] }],
      ],
      '/a/b',
      'GET /a/{x} x=b',
    ],
    'backtracking out of a literal': [[['/a/b/c'], ['/a/{x}/d']], '/a/b/d', '/a/{x}/d x=b'],
    'an operation over the rest of the Api': [[['*'], ['/*']], '/q', '/*'],
    'the rest of the Api when no operation matches': [
      [
        ['*', { base: '/v1' }],
        ['/a', { base: '/v1' }],
      ],
      '/v1/q',
      '/v1*',
    ],
    'the rest of the Api: basePath itself': [[['*', { base: '/v1' }]], '/v1', '/v1*'],
    'nothing beside the basePath': [[['*', { base: '/v1' }]], '/v10', 'OperationNotFound'],
    'nothing for another host': [[['/a', { host: 'other.example' }]], '/a', 'OperationNotFound'],
    'a wildcard host is one label': [[['/a', { host: '*.h.example' }]], '/a', 'OperationNotFound'],
    'nothing for another method': [[['/a', { methods: ['PUT'] }]], '/a', 'OperationNotFound'],
  };
  for (const [sentence, [table, path, expected]] of Object.entries(rows)) {
    test(sentence, () => {
      assert.equal(get(table, path), expected);
      assert.equal(get([...table].reverse(), path), expected, 'in the other order');
    });
  }

  test('two labels do not match a wildcard host', () => {
    assert.equal(get([['/a', { host: '*.example' }]], '/a', 'x.y.example'), 'OperationNotFound');
    assert.equal(get([['/a', { host: '*.example' }]], '/a', 'example'), 'OperationNotFound');
    assert.equal(get([['/a', { host: '*.example' }]], '/a', ''), 'OperationNotFound');
  });

  test('of two equals the first given wins', () => {
    assert.equal(get([['/a/{x}'], ['/a/{y}']], '/a/1'), '/a/{x} x=1');
  });
});

describe('M2: parameters', () => {
  test('are one non-empty segment, decoded once, with their case', () => {
    const table: Table = [['/d/{id}/t']];
    assert.equal(get(table, '/D/Robot-%C3%9C/T'), '/d/{id}/t id=Robot-Ü');
    assert.equal(get(table, '/d/a%20b/t'), '/d/{id}/t id=a b');
    assert.equal(get(table, '/d//t'), 'OperationNotFound');
    assert.equal(get(table, '/d/a/b/t'), 'OperationNotFound');
  });

  for (const segment of [
    'a%2Fb',
    'a%5Cb',
    '%2525',
    'a%25',
    '%00',
    'a%0Ab',
    '%7F',
    '%C2%85',
    '%2E%2E',
    '..',
    '.',
    '%FF',
    '%zz',
  ]) {
    test(`${segment} is 400 AmbiguousPath`, () => assert.equal(get([['/d/{id}']], `/d/${segment}`), 'AmbiguousPath'));
  }

  test('path / is basePath with and without the slash', () => {
    for (const slash of [undefined, 'Distinct'] as const) {
      const table: Table = [['/', { base: '/v1', ...(slash === undefined ? {} : { slash }) }]];
      assert.equal(get(table, '/v1'), '/v1/');
      assert.equal(get(table, '/v1/'), '/v1/');
      assert.equal(get(table, '/v1/x'), 'OperationNotFound');
    }
    assert.equal(get([['/']], '/'), '/');
  });
});

describe('M3: what frameworks take for the same path', () => {
  test('case does not count unless paths.case is Sensitive', () => {
    assert.equal(get([['/Files/A']], '/fILES/a'), '/Files/A');
    assert.equal(get([['/Files/A', { case: 'Sensitive' }]], '/files/A'), 'OperationNotFound');
    assert.equal(get([['/Files/A', { case: 'Sensitive' }]], '/Files/A'), '/Files/A');
    assert.equal(get([['/café']], '/CAF%C3%89'), '/café', 'beyond ASCII too');
  });

  test('a trailing slash does not count unless paths.trailingSlash is Distinct', () => {
    assert.equal(get([['/a']], '/a/'), '/a');
    assert.equal(get([['/a/']], '/a'), '/a/');
    assert.equal(get([['/a', { slash: 'Distinct' }]], '/a/'), 'OperationNotFound');
    assert.equal(get([['/a/', { slash: 'Distinct' }]], '/a'), 'OperationNotFound');
    assert.equal(get([['/a/', { slash: 'Distinct' }]], '/a/'), '/a/');
    assert.equal(get([['/a/{x}', { slash: 'Distinct' }]], '/a/'), 'OperationNotFound');
  });

  test('a wildcard holds what is below, and the folder itself where the slash does not count', () => {
    assert.equal(get([['/f/*']], '/f/a/b'), '/f/*');
    assert.equal(get([['/f/*']], '/f/'), '/f/*');
    assert.equal(get([['/f/*']], '/f'), '/f/*');
    assert.equal(get([['/f/*', { slash: 'Distinct' }]], '/f/'), '/f/*');
    assert.equal(get([['/f/*', { slash: 'Distinct' }]], '/f'), 'OperationNotFound');
    assert.equal(get([['/f/*']], '/ff'), 'OperationNotFound');
  });

  test('HEAD matches GET, and its own operation before that', () => {
    const table: Table = [
      ['/a', { methods: ['GET'] }],
      ['/b', { methods: ['GET'] }],
      ['/b', { methods: ['HEAD'] }],
    ];
    assert.equal(get(table, '/a', 'h', 'HEAD'), 'GET /a');
    assert.equal(get(table, '/b', 'h', 'HEAD'), 'HEAD /b');
    assert.equal(get(table, '/a', 'h', 'get'), 'OperationNotFound');
  });

  test('Apis of both sorts on one host: the most specific wins', () => {
    const table: Table = [['/{x}', { case: 'Sensitive' }], ['/a']];
    assert.equal(get(table, '/A'), '/a');
    assert.equal(get(table, '/B'), '/{x} x=B');
  });
});

describe('names are data', () => {
  test('__proto__ and its kind are ordinary segments, parameters and hosts', () => {
    assert.equal(
      get([['/__proto__/{constructor}']], '/__proto__/toString'),
      '/__proto__/{constructor} constructor=toString',
    );
    assert.equal(get([['/a']], '/constructor'), 'OperationNotFound');
    assert.equal(get([['/{__proto__}']], '/x'), '/{__proto__} __proto__=x');
    assert.equal(get([['/a', { host: 'constructor' }]], '/a', '__proto__'), 'OperationNotFound');
  });
});

describe('path templates that are refused', () => {
  const refusals: Readonly<Record<string, string>> = {
    '/a/{x}/{x}': 'has the parameter "x" twice, give one another name',
    '/a{x}': 'has "a{x}", which is neither a literal nor one {parameter}, write /{name}/',
    '/a/{}': 'has "{}", which is neither a literal nor one {parameter}, write /{name}/',
    '/*/a': 'has a * that is not its last segment, write /* at the end only',
    '/a*': 'has a * that is not its last segment, write /* at the end only',
    '/a//b': 'has the segment "", which no request can have, write it without //, ., .. and ;',
    '/a/../b': 'has the segment "..", which no request can have, write it without //, ., .. and ;',
    '/a;b': 'has the segment "a;b", which no request can have, write it without //, ., .. and ;',
  };
  for (const [path, words] of Object.entries(refusals)) {
    test(path, () => {
      const parsed = parsePathTemplate('', path);
      assert.ok('problem' in parsed);
      assert.equal(`${parsed.problem}, ${parsed.fix}`, words);
    });
  }
});

/** Tries every operation and compares all that match, segment by segment. */
function matchSlowly(operations: Table, method: string, path: string): string {
  const segments = path === '/' ? [] : path.replace(/\/$/, '').slice(1).split('/');
  const ranked = operations
    .filter(([template, { methods } = {}]) => {
      const wanted = method === 'HEAD' && methods?.includes('HEAD') === false ? 'GET' : method;
      return fits(template, segments) && (methods?.includes(wanted) ?? true);
    })
    .sort(([left, a], [right, b]) => rank(right, b, method).localeCompare(rank(left, a, method)));
  const [best] = ranked;
  return best === undefined ? 'OperationNotFound' : `${best[1]?.methods?.join() ?? ''} ${best[0]}`.trim();
}

function fits(template: string, segments: readonly string[]): boolean {
  const parts = template === '/' ? [] : template.slice(1).split('/');
  const below = parts.at(-1) === '*';
  const fixed = below ? parts.slice(0, -1) : parts;
  if (below ? segments.length < fixed.length : segments.length !== fixed.length) return false;
  return fixed.every((part, i) => (part.startsWith('{') ? segments[i] !== '' : part === segments[i]));
}

/** Text that sorts by specificity: 3 literal, 2 the end, 1 parameter — an end only ever meets a wildcard. */
function rank(template: string, { methods }: Operation = {}, method: string): string {
  const parts = template === '/' ? [] : template.slice(1).split('/');
  const marks = parts.map(part => (part === '*' ? '0' : part.startsWith('{') ? '2' : '3')).join('');
  const exact = methods === undefined ? '0' : methods.includes(method) ? '2' : '1';
  return `${marks}${parts.at(-1) === '*' ? '' : '1'}-${exact}`;
}

describe('properties', () => {
  const part = fc.constantFrom('a', 'b', 'c', '{p}');
  const path = fc.tuple(fc.array(part, { maxLength: 4 }), fc.boolean()).map(
    ([parts, below]) =>
      `/${parts
        .map((text, i) => (text === '{p}' ? `{p${i}}` : text))
        .concat(below ? ['*'] : [])
        .join('/')}`,
  );
  const methods = fc.constantFrom(undefined, ['GET'], ['PUT', 'POST'], ['HEAD']);
  const table = fc.uniqueArray(fc.tuple(path, methods), {
    maxLength: 12,
    selector: ([p, m]) => `${p} ${m?.join() ?? ''}`,
  });
  const request = fc.tuple(
    fc.constantFrom('GET', 'HEAD', 'PUT'),
    fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 5 }),
  );

  test('the tree finds what a slow search finds, in any order of the operations', () => {
    fc.assert(
      fc.property(table, request, fc.boolean(), (rows, [method, segments], slash) => {
        const operations = rows.map(([p, m]): Table[number] => [p, m === undefined ? {} : { methods: m }]);
        const target = `/${segments.join('/')}${slash && segments.length > 0 ? '/' : ''}`;
        const expected = matchSlowly(operations, method, target);
        const name = (found: Match): string =>
          found.kind === 'matched' ? (found.route.operation ?? '') : found.reason;
        assert.equal(name(createTable(operations)(method, 'h', target)), expected);
        assert.equal(name(createTable([...operations].reverse())(method, 'h', target)), expected);
      }),
      { numRuns: 300 },
    );
  });

  test('the cost is flat: as many nodes are visited among 10,000 operations as among 10', () => {
    const count = (operations: number): number => {
      let visits = 0;
      const rows = Array.from({ length: operations }, (_, i): Table[number] => [`/kind-${i}/{id}/part`]);
      const match = createTable(rows, () => (visits += 1));
      assert.equal(match('GET', 'h', '/kind-7/x/part').kind, 'matched');
      assert.equal(match('GET', 'h', '/kind-7/x/other').kind, 'refused');
      assert.equal(match('GET', 'h', '/unknown/x/other').kind, 'refused');
      return visits;
    };
    assert.equal(count(10_000), count(10));
  });
});
