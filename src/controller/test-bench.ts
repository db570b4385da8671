/** Runs the policy tests of namespaces that have some, by the evaluator of the data path, whenever something changed. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { runPolicyTest, type CaseResult } from '../policy-tests/run-policy-test.ts';
import type { Resources } from '../sources/source.ts';
import type { Model } from './model.ts';
import type { NamedData } from './named-data.ts';
import type { KnownObject } from './objects.ts';

export interface TestReport {
  readonly test: KnownObject;
  /** `spec.gate`. */
  readonly gate: boolean;
  readonly cases: readonly CaseResult[];
}

export interface Verdict {
  readonly reports: readonly TestReport[];
  /** AuthPolicies of the namespace as they were tested. */
  readonly policies: readonly KnownObject[];
}

export interface TestBench {
  /** Something in these namespaces changed; undefined: in all. */
  refresh(namespaces?: ReadonlySet<string>): void;
  /** Of the newest run that ended; undefined: the namespace has no tests, or none ran yet. */
  verdictOf(namespace: string): Verdict | undefined;
  stop(): void;
}

export interface TestBenchOptions {
  readonly model: Model;
  readonly data: NamedData;
  readonly clock: () => number;
  /** A run ended, or the last test of the namespace is gone. */
  readonly onVerdict: (namespace: string) => void;
  readonly onFault: (namespace: string, error: unknown) => void;
}

export function createTestBench(options: TestBenchOptions): TestBench {
  const { model, data, clock, onVerdict, onFault } = options;
  const verdicts = new Map<string, { readonly version: string; readonly verdict: Verdict }>();
  const waiting = new Set<string>();
  let running = false;
  let stopped = false;

  async function work(): Promise<void> {
    running = true;
    for (const namespace of waiting) {
      if (isStopped()) break;
      waiting.delete(namespace);
      try {
        await judge(namespace);
      } catch (error) {
        onFault(namespace, error);
      }
    }
    running = false;
  }

  const isStopped = (): boolean => stopped;

  async function judge(namespace: string): Promise<void> {
    const version = model.version(namespace);
    if (verdicts.get(namespace)?.version === version) return;
    const objects = model.objectsFor(namespace);
    const tests = objects.flatMap(object =>
      object.namespace === namespace && object.parsed?.kind === 'PolicyTest' ? [{ object, test: object.parsed }] : [],
    );
    if (tests.length === 0) {
      if (verdicts.delete(namespace)) onVerdict(namespace);
      return;
    }
    const resources = describeResources(namespace, objects, model, data);
    const reports: TestReport[] = [];
    for (const { object, test } of tests) reports.push(await run(object, test, resources, clock()));
    const policies = objects.filter(({ kind, namespace: of }) => kind === 'AuthPolicy' && of === namespace);
    verdicts.set(namespace, { version, verdict: { reports, policies } });
    onVerdict(namespace);
    // It changed while the tests ran.
    if (model.version(namespace) !== version) waiting.add(namespace);
  }

  return {
    refresh(namespaces = new Set([...model.watched(), ...verdicts.keys()])) {
      for (const namespace of namespaces) waiting.add(namespace);
      if (!running && !stopped) void work();
    },
    verdictOf: namespace => verdicts.get(namespace)?.verdict,
    stop() {
      stopped = true;
    },
  };
}

async function run(
  object: KnownObject,
  test: ObjectOfKind<'PolicyTest'>,
  resources: Resources,
  now: number,
): Promise<TestReport> {
  return { test: object, gate: test.spec.gate, cases: await runPolicyTest(test, resources, now) };
}

/** What the namespace’s sidecars would be given. */
function describeResources(
  namespace: string,
  objects: readonly KnownObject[],
  model: Model,
  data: NamedData,
): Resources {
  const find = (kind: 'Secret' | 'ConfigMap', key: string) => {
    const entry = data.find(kind, key);
    if (entry === undefined || entry === null) return undefined;
    return new Map([...entry.data].map(([name, text]) => [name, new Uint8Array(Buffer.from(text, 'base64'))]));
  };
  return {
    complete: true,
    objects: objects.flatMap(({ parsed }) => parsed ?? []),
    invalid: objects.flatMap(({ invalid }) => invalid ?? []),
    kept: [],
    material: { secret: key => find('Secret', key), configMap: key => find('ConfigMap', key) },
    namespaces: new Map([[namespace, model.population.labelsOf(namespace)]]),
    hash: '',
    violations: [],
  };
}
