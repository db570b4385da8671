/** What the cases of a namespace's PolicyTests came to: for each test, and for each policy whose pipeline judged them. Pure. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { findTestProblems } from '../policy-tests/test-references.ts';
import type { Difference } from '../policy-tests/compare-case.ts';
import type { CaseResult } from '../policy-tests/run-policy-test.ts';
import { find, type Finding } from './conditions.ts';
import { describeProblems } from './judgement.ts';
import type { KnownObject } from './objects.ts';
import type { WantedStatus } from './namespace-status.ts';

/** Of one object, as it was when the tests ran. */
interface Judged {
  readonly uid: string;
  readonly generation: number;
  readonly total: number;
  /** `"name": status is 503, not 403`. */
  readonly failures: readonly string[];
}

export interface TestJudgement extends Judged {
  /** Names that lead nowhere, or that it cannot be parsed: such a test does not pass. */
  readonly problems: readonly Violation[];
}

export interface NamespaceTests {
  /** By identity of the PolicyTest. */
  readonly tests: ReadonlyMap<string, TestJudgement>;
  /** By identity of the AuthPolicy or ClusterAuthPolicy; policies that no case went through are absent. */
  readonly policies: ReadonlyMap<string, Judged>;
  /** Manifests of the namespace's AuthPolicies against which the cases ran. */
  readonly manifests: readonly unknown[];
}

export const NO_TESTS: NamespaceTests = { tests: new Map(), policies: new Map(), manifests: [] };

export interface TestRun {
  readonly object: KnownObject;
  readonly problems: readonly Violation[];
  /** Empty: it cannot be parsed. */
  readonly cases: readonly CaseResult[];
}

/** Whatever its cases came to, a test does not pass whose names lead nowhere: it is not what its author meant. */
export function findProblems(test: ObjectOfKind<'PolicyTest'>, objects: readonly KnownObject[]): readonly Violation[] {
  const known = objects.flatMap(({ parsed, lastGood }) => parsed ?? lastGood ?? []);
  return findTestProblems(test, known).map(({ severity, object, field, problem, fix }) => ({
    severity,
    object,
    field,
    problem,
    fix,
  }));
}

const isFailed = ({ differences }: CaseResult): boolean => differences.length > 0;

/** `objects`: those that the cases ran against. */
export function judgeTests(
  namespace: string,
  runs: readonly TestRun[],
  objects: readonly KnownObject[],
): NamespaceTests {
  const tests = new Map(
    runs.map(({ object: { id, uid, generation }, problems, cases }) => [
      id,
      { uid, generation, total: cases.length, failures: cases.filter(isFailed).map(describeCase), problems },
    ]),
  );
  const own = objects.filter(object => object.kind === 'AuthPolicy' && object.namespace === namespace);
  const policies = [...own, ...objects.filter(({ kind }) => kind === 'ClusterAuthPolicy')];
  return {
    tests,
    policies: new Map(policies.flatMap(policy => judgePolicy(policy, runs))),
    manifests: own.map(({ manifest }) => manifest),
  };
}

function judgePolicy({ id, key, uid, generation }: KnownObject, runs: readonly TestRun[]): [string, Judged][] {
  const through = runs.flatMap(({ object, cases }) =>
    cases.filter(({ policies }) => policies.has(key)).map(result => ({ test: object.metadata.name, result })),
  );
  if (through.length === 0) return [];
  const failures = through
    .filter(({ result }) => isFailed(result))
    .map(({ test, result }) => `${test} ${describeCase(result)}`);
  return [[id, { uid, generation, total: through.length, failures }]];
}

const describeCase = ({ name, differences }: CaseResult): string =>
  `${JSON.stringify(name)}: ${differences.map(describeDifference).join(', ')}`;

/** What an app is sent may be a secret: of headers only their names get into status. */
const describeDifference = ({ field, expected, got }: Difference): string =>
  field.startsWith('headers.') ? `${field} has another value` : `${field} is ${got}, not ${expected}`;

export const isPassed = ({ failures, problems }: TestJudgement): boolean => failures.length + problems.length === 0;

const MOST_NAMED = 3;

function describeCount({ total, failures }: Judged, what: string): string {
  if (failures.length === 0) return `${total} of ${total} ${what} pass`;
  const more = failures.length > MOST_NAMED ? `; and ${failures.length - MOST_NAMED} more` : '';
  return `${failures.length} of ${total} ${what} fail: ${failures.slice(0, MOST_NAMED).join('; ')}${more}`;
}

/** TestsPassed of a PolicyTest. `note`: what follows for the gate. */
export function describeTest(
  object: KnownObject,
  known: NamespaceTests | undefined,
  note: string | undefined,
): Omit<WantedStatus, 'unsettled'> {
  const judged = known?.tests.get(object.id);
  if (judged?.uid !== object.uid) return keepStored(object);
  const { total, failures, problems, generation } = judged;
  const passed = isPassed(judged);
  const told =
    failures.length > 0 || problems.length === 0 ? describeCount(judged, 'cases') : describeProblems(problems);
  const message = passed || note === undefined ? told : `${told}. ${note}`;
  return {
    findings: [{ ...find('TestsPassed', passed, passed ? 'Passed' : 'Failed', message), observed: generation }],
    fields: { cases: { total, failed: failures.length } },
  };
}

/** TestsPassed of a policy: absent where no case goes through it. `known` holds an entry for each namespace that it applies in. */
export function describeTested(
  object: KnownObject,
  known: readonly (NamespaceTests | undefined)[],
): readonly Finding[] {
  if (known.includes(undefined)) return keepStored(object).findings;
  const judged = known.flatMap(tests => tests?.policies.get(object.id) ?? []).filter(({ uid }) => uid === object.uid);
  if (judged.length === 0) return [];
  const sum = {
    uid: object.uid,
    generation: Math.min(...judged.map(({ generation }) => generation)),
    total: judged.reduce((total, one) => total + one.total, 0),
    failures: judged.flatMap(({ failures }) => failures),
  };
  const passed = sum.failures.length === 0;
  const message = describeCount(sum, 'cases through it');
  return [{ ...find('TestsPassed', passed, passed ? 'Passed' : 'Failed', message), observed: sum.generation }];
}

/** Until the tests ran here, what a leader before wrote stays. */
function keepStored({ conditions, status }: KnownObject): Omit<WantedStatus, 'unsettled'> {
  const stored = conditions.find(({ type }) => type === 'TestsPassed');
  if (stored === undefined) return { findings: [], fields: {} };
  const { reason, message, observedGeneration: observed } = stored;
  const finding = { type: 'TestsPassed', holds: stored.status === 'True', reason, message, observed } as const;
  return { findings: [finding], fields: status['cases'] === undefined ? {} : { cases: status['cases'] } };
}
