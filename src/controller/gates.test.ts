import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { isKind } from '../api/parse.ts';
import { createGates, readPassed, settleGate, writePassed, type PassedPolicies } from './gates.ts';
import { createModel, type Model } from './model.ts';
import type { RawObject } from './objects.ts';
import { createTestBench, type TestBench, type Verdict } from './test-bench.ts';
import { hasGate, judgeTests, listBlocked } from './test-findings.ts';
import { makeData } from './testing/scene.ts';

const API = `kind: Api
metadata: {name: fleet}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
`;
const policy = (spec: string, generation = 1): string => `kind: AuthPolicy
metadata: {name: p, generation: ${generation}}
spec: {request: [{name: who, anyOf: [{anonymous: {}}]}, ${spec}]}
`;
const PASSES = '{name: rules, authorize: {deny: [{expression: "request.path == \'/admin\'"}]}}';
const FAILS = '{name: rules, authorize: {deny: [{expression: "request.path == \'/other\'"}]}}';
const tests = (gate: boolean): string => `kind: PolicyTest
metadata: {name: t}
spec:
  gate: ${gate}
  cases: [{name: admin, given: {request: {path: /admin}}, expect: {verdict: Deny}}, {name: rest, given: {request: {path: /x}}, expect: {verdict: Permit}}]
`;

interface Scene {
  readonly model: Model;
  readonly bench: TestBench;
  apply(...documents: readonly string[]): Promise<Verdict | undefined>;
}

function openScene(): Scene {
  let told: (() => void) | undefined;
  const model = createModel({
    excluded: new Set(),
    clock: () => 0,
    onChange: () => undefined,
  });
  const bench = createTestBench({
    ...{ model, data: makeData(), clock: () => 0 },
    onVerdict: () => told?.(),
    onFault: (_, error) => assert.fail(String(error)),
  });
  return {
    model,
    bench,
    async apply(...documents) {
      const objects = parseAllDocuments(documents.join('---\n')).map(
        document => document.toJS() as RawObject & { kind: string },
      );
      for (const kind of ['Api', 'AuthPolicy', 'PolicyTest'] as const) {
        const own = objects.filter(object => object.kind === kind).map(complete);
        model.takeObjects(kind, new Map(own.map(object => [`shop/${object.metadata.name}`, object])));
      }
      await new Promise<void>(resolve => {
        told = resolve;
        bench.refresh(new Set(['shop']));
      });
      return bench.verdictOf('shop');
    },
  };
}

function complete(object: RawObject & { kind: string }): RawObject {
  assert.ok(isKind(object.kind));
  const { metadata } = object;
  return { ...object, metadata: { generation: 1, uid: `uid-${metadata.name}`, namespace: 'shop', ...metadata } };
}

const show = (verdict: Verdict | undefined, id: string): string => {
  const finding = verdict === undefined ? undefined : judgeTests(verdict).get(id);
  return finding === undefined ? 'absent' : `${finding.holds ? 'True' : 'False'} ${finding.reason}: ${finding.message}`;
};

describe('TestsPassed', () => {
  test('says how many cases pass, of a test and of the policies that its cases meet', async () => {
    const verdict = await openScene().apply(API, policy(PASSES), tests(false));
    assert.equal(show(verdict, 'PolicyTest shop/t'), 'True Passed: 2 cases pass');
    assert.equal(show(verdict, 'AuthPolicy shop/p'), 'True Passed: 2 cases pass');
  });

  test('says which case fails, what it expected and got, on the test and on every policy of its pipeline', async () => {
    const verdict = await openScene().apply(API, policy(FAILS), tests(false));
    assert.match(
      show(verdict, 'PolicyTest shop/t'),
      /^False Failed: the case "admin" fails: verdict is Permit, not Deny/,
    );
    assert.match(show(verdict, 'AuthPolicy shop/p'), /^False Failed: PolicyTest shop\/t: the case "admin" fails/);
  });

  test('goes with the last test', async () => {
    const scene = openScene();
    await scene.apply(API, policy(FAILS), tests(false));
    assert.equal(await scene.apply(API, policy(FAILS)), undefined);
  });
});

describe('a gate', () => {
  const settle = (verdict: Verdict | undefined, before: PassedPolicies = new Map()) => {
    assert.ok(verdict);
    return settleGate(verdict, before);
  };

  test('holds nothing while its cases pass, and remembers what passed', async () => {
    const state = settle(await openScene().apply(API, policy(PASSES, 3), tests(true)));
    assert.deepEqual(state.held, []);
    assert.deepEqual(state.judged, { 'AuthPolicy shop/p': { uid: 'uid-p', generation: 3 } });
    assert.equal(state.passed.get('p')?.generation, 3);
  });

  test('holds a failing generation back, and gives the one that passed', async () => {
    const scene = openScene();
    const first = settle(await scene.apply(API, policy(PASSES, 3), tests(true)));
    const state = settle(await scene.apply(API, policy(FAILS, 4), tests(true)), first.passed);
    assert.deepEqual(
      state.held.map(({ name, generation, use }) => [name, generation, (use as RawObject).metadata.generation]),
      [['p', 4, 3]],
    );
    assert.equal(state.judged?.['AuthPolicy shop/p']?.generation, 4);
    assert.equal(state.heldBy.get('AuthPolicy shop/p'), 'PolicyTest shop/t');
    assert.equal(state.passed.get('p')?.generation, 3);
    const mended = settle(await scene.apply(API, policy(PASSES, 5), tests(true)), state.passed);
    assert.deepEqual([mended.held, mended.passed.get('p')?.generation], [[], 5]);
  });

  test('lets nothing of a policy through that never passed, nor what another of that name passed', async () => {
    const scene = openScene();
    const verdict = await scene.apply(API, policy(FAILS), tests(true));
    assert.deepEqual(
      settle(verdict).held.map(({ use }) => use),
      [null],
    );
    const another = new Map([['p', { uid: 'another', generation: 9, manifest: {} }]]);
    assert.deepEqual(
      settle(verdict, another).held.map(({ use }) => use),
      [null],
    );
  });

  test('is none without gate: true', async () => {
    const verdict = await openScene().apply(API, policy(FAILS), tests(false));
    assert.ok(verdict);
    assert.deepEqual([hasGate(verdict), listBlocked(verdict).size], [false, 0]);
  });

  test('is pending until its tests ran, and open where there is none', async () => {
    const scene = openScene();
    let gated = true;
    const gates = createGates({ bench: scene.bench, kept: () => new Map(), isGated: () => gated });
    assert.equal(gates.stateOf('shop'), undefined);
    await scene.apply(API, policy(PASSES), tests(true));
    gates.refresh('shop');
    assert.deepEqual(gates.stateOf('shop')?.held, []);
    gated = false;
    await scene.apply(API, policy(FAILS));
    gates.refresh('shop');
    assert.deepEqual(gates.stateOf('shop'), { held: [], heldBy: new Map(), passed: new Map() });
  });

  test('what passed is written and read back, without what cannot be read', () => {
    const passed: PassedPolicies = new Map([['p', { uid: 'u', generation: 3, manifest: { spec: {} } }]]);
    assert.deepEqual(readPassed({ ...writePassed(passed), broken: '{', other: '[]' }), passed);
    assert.deepEqual(readPassed(undefined), new Map());
  });
});
