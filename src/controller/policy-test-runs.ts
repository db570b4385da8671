/** The leader runs every PolicyTest of a namespace against each new state of what it depends on. */
import { compileForTests, runPolicyTest } from '../policy-tests/run-policy-test.ts';
import type { Model } from './model.ts';
import type { NamedData } from './named-data.ts';
import type { KnownObject } from './objects.ts';
import { findProblems, judgeTests, NO_TESTS, type NamespaceTests, type TestRun } from './test-judgement.ts';
import { makeTestResources } from './test-resources.ts';

export interface PolicyTestRuns {
  /** Something of these namespaces changed; undefined: of all. */
  mark(namespaces?: ReadonlySet<string>): void;
  start(): void;
  /** Ends what runs, before its next case. */
  stop(): void;
  /** Of the last run that ended. Undefined: the tests of the namespace did not run here yet. */
  resultOf(namespace: string): NamespaceTests | undefined;
}

export interface PolicyTestRunsOptions {
  readonly model: Model;
  readonly data: NamedData;
  readonly clock: () => number;
  readonly onResult: (namespace: string) => void;
  /** A fault of ours, which must not keep other namespaces from their tests. */
  readonly onFault: (namespace: string, error: unknown) => void;
  /** Between the first mark and the run; default 300 ms. */
  readonly settleMs?: number;
}

export const listTests = (objects: readonly KnownObject[], namespace: string): readonly KnownObject[] =>
  objects.filter(object => object.kind === 'PolicyTest' && object.namespace === namespace);

/** A run that a newer state overtook is ended, but not so often that none ever comes to its end. */
const MOST_OVERTAKEN = 3;

export function createPolicyTestRuns(options: PolicyTestRunsOptions): PolicyTestRuns {
  const { model, data, clock, onResult, onFault, settleMs = 300 } = options;
  const results = new Map<string, { readonly version: string; readonly tests: NamespaceTests }>();
  const overtaken = new Map<string, number>();
  let marked = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  /** Counts starts and stops: a run of an earlier one ends. */
  let term = 0;
  let started = false;

  function schedule(): void {
    if (!started || running || marked.size === 0) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      running = true;
      void round(term).finally(() => {
        running = false;
        schedule();
      });
    }, settleMs);
  }

  async function round(own: number): Promise<void> {
    const namespaces = marked;
    marked = new Set();
    for (const namespace of results.keys()) if (!model.watched().has(namespace)) results.delete(namespace);
    for (const namespace of namespaces) {
      if (own !== term) return;
      try {
        await runIn(namespace, own);
      } catch (error) {
        if (error instanceof Overtaken) marked.add(namespace);
        else onFault(namespace, error);
      }
    }
  }

  async function runIn(namespace: string, own: number): Promise<void> {
    const version = model.version(namespace);
    if (results.get(namespace)?.version === version) return;
    const objects = model.objectsFor(namespace);
    const found = listTests(objects, namespace);
    if (found.length === 0) return void results.delete(namespace);
    const mayEnd = (overtaken.get(namespace) ?? 0) < MOST_OVERTAKEN;
    const tests = await runTests(namespace, objects, found, async () => {
      await new Promise(resolve => setImmediate(resolve));
      if (own === term && (!mayEnd || model.version(namespace) === version)) return;
      if (own === term) overtaken.set(namespace, (overtaken.get(namespace) ?? 0) + 1);
      throw new Overtaken();
    });
    overtaken.delete(namespace);
    results.set(namespace, { version, tests });
    onResult(namespace);
  }

  async function runTests(
    namespace: string,
    objects: readonly KnownObject[],
    found: readonly KnownObject[],
    breathe: () => Promise<void>,
  ): Promise<NamespaceTests> {
    const namespaceLabels = model.population.labelsOf(namespace);
    const resources = makeTestResources({ namespace, namespaceLabels, objects, data });
    const listeners = compileForTests(resources, namespace);
    const runs: TestRun[] = [];
    for (const object of found) {
      const { parsed, violations } = object;
      if (parsed?.kind === 'PolicyTest') {
        const cases = await runPolicyTest(parsed, resources, clock(), { listeners, breathe });
        runs.push({ object, cases, problems: findProblems(parsed, objects) });
      } else runs.push({ object, cases: [], problems: violations });
    }
    return judgeTests(namespace, runs, objects);
  }

  return {
    mark(namespaces = model.watched()) {
      for (const namespace of namespaces) marked.add(namespace);
      schedule();
    },
    start() {
      [started, term] = [true, term + 1];
      this.mark();
    },
    stop() {
      [started, term] = [false, term + 1];
      clearTimeout(timer);
      timer = undefined;
    },
    resultOf(namespace) {
      if (listTests(model.objectsFor(namespace), namespace).length === 0) return NO_TESTS;
      return results.get(namespace)?.tests;
    },
  };
}

class Overtaken extends Error {}
