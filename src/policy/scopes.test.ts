import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  indexOperationTargets,
  orderPolicies,
  participate,
  SCOPE_ORDER,
  type Participation,
  type Targets,
} from './scopes.ts';
import type { Scope } from './model.ts';
import { API, compileYaml, policy, routeOf, stepsOf } from './testing/compile-yaml.ts';

const targets = (name: string, changes: Partial<Targets> = {}): Targets => ({
  id: `AuthPolicy shop/${name}`,
  name,
  cluster: false,
  inherit: 'Before',
  everywhere: false,
  refs: [],
  selectors: [],
  ...changes,
});

const api = { name: 'fleet', labels: { product: 'gold' }, operations: new Set(['a', 'b']) };

const takePart = (policy: Targets, operation: string | undefined): Participation | undefined =>
  participate(policy, api) ??
  (operation === undefined ? undefined : indexOperationTargets([policy], api).get(operation)?.[0]);

describe('S1: at what scope a policy takes part', () => {
  const refs = (...names: readonly (string | undefined)[]): Partial<Targets> => ({
    refs: names.map(sectionName => (sectionName === undefined ? { name: 'fleet' } : { name: 'fleet', sectionName })),
  });
  const gold = [{ product: 'gold' }];
  const rows: Readonly<Record<string, readonly [Partial<Targets>, string | undefined, string | undefined]>> = {
    'without targets: namespace': [{ everywhere: true }, 'a', 'Namespace'],
    'by selector: product': [{ selectors: gold }, 'a', 'Product'],
    'by a selector that does not match: not at all': [{ selectors: [{ product: 'lead' }] }, 'a', undefined],
    'by reference: Api': [refs(undefined), 'a', 'Api'],
    'by sectionName: operation': [refs('a'), 'a', 'Operation'],
    'by the sectionName of another operation: not at all': [refs('b'), 'a', undefined],
    'another Api: not at all': [{ refs: [{ name: 'other' }] }, 'a', undefined],
    'the broadest of several': [{ ...refs('a', undefined), selectors: gold }, 'a', 'Product'],
    'Api before operation': [refs('a', undefined), 'a', 'Api'],
    'the rest of the Api is at API scope': [refs(undefined), undefined, 'Api'],
    'an operation’s policy does not reach the rest': [refs('a'), undefined, undefined],
    'a cluster policy: cluster': [{ cluster: true, everywhere: true }, 'a', 'Cluster'],
    'a cluster policy with selectors: cluster, narrowed': [{ cluster: true, selectors: gold }, 'a', 'Cluster'],
    'a cluster policy whose selectors do not match: not at all': [
      { cluster: true, selectors: [{ x: 'y' }] },
      'a',
      undefined,
    ],
  };
  for (const [sentence, [changes, operation, expected]] of Object.entries(rows)) {
    test(sentence, () => assert.equal(takePart(targets('p', changes), operation)?.scope, expected));
  }

  test('S6: a missing operation widens the target to the whole Api', () => {
    const found = participate(targets('p', refs('gone')), api);
    assert.equal(found?.scope, 'Api');
    assert.equal(found.widened, true);
  });

  test('a policy with several matching targets runs once', () => {
    const text = API + policy('p', 'targetRefs: [{kind: Api, name: fleet}, {kind: Api, name: fleet, sectionName: a}]');
    assert.deepEqual(stepsOf(compileYaml(text).snapshot), ['p/s']);
  });
});

/** `C`luster, `N`amespace, `P`roduct, `A`pi, `O`peration; then name, `-` for unsealed, `>` After, `!` None. */
function parse(text: string): { participation: Participation; sealed: boolean }[] {
  const scopes: Readonly<Record<string, Scope>> = {
    C: 'Cluster',
    N: 'Namespace',
    P: 'Product',
    A: 'Api',
    O: 'Operation',
  };
  return text.split(' ').map(word => {
    const inherit = word.includes('>') ? 'After' : word.includes('!') ? 'None' : 'Before';
    const name = word.replace(/[->!]/g, '');
    const scope = scopes[word.charAt(0)] ?? 'Api';
    return {
      participation: { targets: targets(name, { inherit }), scope, widened: false },
      sealed: !word.includes('-'),
    };
  });
}

function order(text: string): string {
  const parsed = parse(text);
  const sealed = new Map(parsed.map(({ participation, sealed: is }) => [participation.targets, is]));
  return orderPolicies(
    parsed.map(({ participation }) => participation),
    of => sealed.get(of) ?? true,
  )
    .map(({ targets: { name } }) => name)
    .join(' ');
}

describe('S2: the effective order', () => {
  const rows: Readonly<Record<string, readonly [string, string]>> = {
    'broadest first': ['O1 A1 P1 N1 C1', 'C1 N1 P1 A1 O1'],
    'within a scope by name, bytewise': ['Ab AB Aa A-', 'A AB Aa Ab'],
    'After puts a policy before the unsealed broader ones': ['C1- N1- A1>', 'A1 C1 N1'],
    'After does not put a policy before sealed broader ones': ['C1 N1- A1>', 'C1 A1 N1'],
    'sealed broader steps come first even when they were later': ['C1- N1 A1>', 'N1 A1 C1'],
    'None leaves out unsealed broader policies': ['C1- N1 A1!', 'N1 A1'],
    'None beside After': ['C1- N1 A1> A2! A3', 'N1 A1 A2 A3'],
    'Before beside After: after the broader ones': ['N1- A1 A2>', 'A2 N1 A1'],
    'a narrower None leaves out what was kept so far, unsealed ones only': ['C1- A1- A2 O1!', 'A2 O1'],
    'a scope’s None does not leave out its own scope': ['A1- A2!', 'A1 A2'],
    'After at two scopes': ['C1- A1->  O1>'.replace('  ', ' '), 'O1 A1 C1'],
    'sealed cannot be undone below': ['C1 N1! P1! A1! O1!', 'C1 N1 P1 A1 O1'],
  };
  for (const [sentence, [input, expected]] of Object.entries(rows)) {
    test(`${sentence}: ${input}`, () => {
      assert.equal(order(input), expected);
      assert.equal(order(input.split(' ').reverse().join(' ')), expected, 'whatever the order of the objects');
    });
  }

  const anyPolicy = fc.record({
    scope: fc.constantFrom<Scope>('Cluster', 'Namespace', 'Product', 'Api', 'Operation'),
    inherit: fc.constantFrom<Targets['inherit']>('Before', 'After', 'None'),
    sealed: fc.boolean(),
  });
  const create = ({ scope, inherit }: { scope: Scope; inherit: Targets['inherit'] }, index: number): Participation => ({
    targets: targets(`p${index}`, { inherit }),
    scope,
    widened: false,
  });

  test('adding a policy never removes a sealed broader one, nor puts itself before it', () => {
    fc.assert(
      fc.property(fc.array(anyPolicy, { maxLength: 8 }), anyPolicy, (policies, added) => {
        const all = [...policies, added].map(create);
        const sealedIds = new Set(
          all.filter((_, i) => [...policies, added][i]?.sealed).map(({ targets: { id } }) => id),
        );
        const isSealed = ({ id }: Targets): boolean => sealedIds.has(id);
        const own = all.at(-1);
        assert.ok(own !== undefined);
        const before = orderPolicies(all.slice(0, -1), isSealed);
        const after = orderPolicies(all, isSealed);
        for (const other of before.filter(participation => isSealed(participation.targets))) {
          assert.ok(after.includes(other), 'a sealed policy was left out');
          if (SCOPE_ORDER[other.scope] < SCOPE_ORDER[own.scope] && after.includes(own)) {
            assert.ok(after.indexOf(other) < after.indexOf(own));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('scopes in a snapshot', () => {
  test('all five scopes in order, with inherit and sealed as written', () => {
    const text = [
      API,
      policy('e', 'targetRefs: [{kind: Api, name: fleet, sectionName: a}]'),
      policy('d', 'targetRefs: [{kind: Api, name: fleet}]'),
      policy('c', 'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]'),
      policy('b'),
      policy('a', 'namespaceSelector: {matchLabels: {team: web}}', 'ClusterAuthPolicy'),
    ].join('');
    const { snapshot } = compileYaml(text);
    assert.deepEqual(stepsOf(snapshot), ['a/s', 'b/s', 'c/s', 'd/s', 'e/s']);
    assert.deepEqual(stepsOf(snapshot, 'GET', '/b/1'), ['a/s', 'b/s', 'c/s', 'd/s']);
    const scopes = routeOf(snapshot, 'GET', '/a').pipeline.steps.map(({ origin }) => origin.scope);
    assert.deepEqual(scopes, ['Cluster', 'Namespace', 'Product', 'Api', 'Operation']);
  });

  test('a cluster policy of other namespaces does not take part', () => {
    const text = API + policy('a', 'namespaceSelector: {matchLabels: {team: other}}', 'ClusterAuthPolicy');
    const { snapshot, idle } = compileYaml(text);
    assert.deepEqual(stepsOf(snapshot), []);
    assert.deepEqual(idle, [{ object: 'ClusterAuthPolicy a', why: 'targets no Api of this workload' }]);
  });

  test('a policy of another namespace does not take part', () => {
    const text = API + policy('a').replace('{name: a}', '{name: a, namespace: other}');
    assert.deepEqual(stepsOf(compileYaml(text).snapshot), []);
  });

  test('a cluster policy and another of the same name run in order, each with its own origin', () => {
    const { snapshot } = compileYaml(API + policy('x') + policy('x', '', 'ClusterAuthPolicy'));
    const origins = routeOf(snapshot, 'GET', '/a').pipeline.steps.map(({ origin }) => origin.kind);
    assert.deepEqual(origins, ['ClusterAuthPolicy', 'AuthPolicy']);
  });
});
