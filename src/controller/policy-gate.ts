/** PolicyTests with `gate: true`: which AuthPolicies of their namespace are in force, and what waits (api.md, PolicyTest). */
import { isRecord } from '../kube/objects.ts';
import type { Gate } from '../material/protocol.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Model } from './model.ts';
import { identifyManifest, type KnownObject } from './objects.ts';
import type { PassedPolicies } from './passed-policies.ts';
import { listTests, type PolicyTestRuns } from './policy-test-runs.ts';
import { isPassed } from './test-judgement.ts';

export interface PolicyGate {
  /** Undefined: the namespace has no gate. */
  gateOf(namespace: string): Gate | undefined;
  /** By identity of the AuthPolicy: the PolicyTest that holds its newest generation back. */
  heldBy(namespace: string): ReadonlyMap<string, string>;
  /** What the gate does, for the status of a PolicyTest that does not pass; undefined: it is no gate. */
  describe(test: KnownObject): string | undefined;
  /** Writes what passed, and removes what no gate needs, where that is due. The leader's work. */
  settle(namespace: string): void;
  /** The same for every namespace: what failed before is tried again. */
  settleAll(): void;
}

export interface PolicyGateOptions {
  readonly model: Model;
  readonly passed: PassedPolicies;
  readonly runs: Pick<PolicyTestRuns, 'resultOf'>;
  readonly leads: () => boolean;
  readonly log: Log;
}

/** By the manifest: a test that cannot be parsed is a gate all the same, and closed. */
export function isGate({ manifest }: KnownObject): boolean {
  const { spec } = manifest;
  return isRecord(spec) && spec['gate'] === true;
}

export function createPolicyGate({ model, passed, runs, leads, log }: PolicyGateOptions): PolicyGate {
  const writing = new Set<string>();
  /** What was said of a namespace last: the same problem every few seconds is one line. */
  const problems = new Map<string, string>();

  const listGates = (namespace: string): readonly KnownObject[] =>
    listTests(model.objectsFor(namespace), namespace).filter(isGate);

  const listPolicies = (namespace: string): readonly KnownObject[] =>
    model.objectsFor(namespace).filter(object => object.kind === 'AuthPolicy' && object.namespace === namespace);

  /** Generations that are in force, by identity. */
  const listPassed = (namespace: string): ReadonlyMap<string, string> =>
    new Map(passed.find(namespace)?.manifests.map(manifest => [identifyManifest(manifest), markManifest(manifest)]));

  function listDeleted(namespace: string): readonly string[] {
    const now = new Set(listPolicies(namespace).map(({ id }) => id));
    return [...listPassed(namespace).keys()].filter(id => !now.has(id));
  }

  /** Manifests that passed and are not what is stored; undefined: there are none. */
  function findNewlyPassed(namespace: string): readonly unknown[] | undefined {
    const result = runs.resultOf(namespace);
    const hasPassed = listGates(namespace).every(({ id, uid, generation }) => {
      const judged = result?.tests.get(id);
      return judged?.uid === uid && judged.generation === generation && isPassed(judged);
    });
    if (result === undefined || !hasPassed) return undefined;
    const stored = passed.find(namespace)?.manifests;
    return stored !== undefined && JSON.stringify(stored) === JSON.stringify(result.manifests)
      ? undefined
      : result.manifests;
  }

  async function write(namespace: string): Promise<void> {
    if (listGates(namespace).length === 0) {
      if (passed.find(namespace) !== undefined) await passed.remove(namespace);
      return;
    }
    const manifests = findNewlyPassed(namespace);
    if (manifests === undefined) return;
    await passed.write(namespace, manifests);
    log.info({ namespace, policies: manifests.length }, 'every gated case passes: its policies come into force');
  }

  function settle(namespace: string): void {
    if (!leads() || writing.has(namespace)) return;
    writing.add(namespace);
    write(namespace)
      .then(() => void problems.delete(namespace))
      .catch((error: unknown) => {
        const problem = error instanceof Error ? error.message : 'failed';
        if (problems.get(namespace) !== problem) log.warn({ namespace, problem }, 'cannot keep what passed its tests');
        problems.set(namespace, problem);
      })
      .finally(() => void writing.delete(namespace));
  }

  return {
    gateOf(namespace) {
      if (listGates(namespace).length === 0) return undefined;
      return { policies: passed.find(namespace)?.manifests ?? null };
    },
    heldBy(namespace) {
      const gates = listGates(namespace);
      const tests = runs.resultOf(namespace)?.tests;
      const closed = gates.find(({ id }) => {
        const judged = tests?.get(id);
        return judged !== undefined && !isPassed(judged);
      });
      const holder = closed ?? gates[0];
      if (holder === undefined) return new Map();
      const inForce = listPassed(namespace);
      const held = listPolicies(namespace).filter(({ id, manifest }) => inForce.get(id) !== markManifest(manifest));
      return new Map(held.map(({ id }) => [id, holder.id]));
    },
    describe(test) {
      if (!isGate(test)) return undefined;
      if (passed.find(test.namespace) === undefined) {
        return 'Gate: no AuthPolicies of this namespace have passed yet; what pods have in force stays, others are 503';
      }
      const deleted = listDeleted(test.namespace);
      const kept = deleted.length === 0 ? '' : `, deleted ones included: ${deleted.slice(0, MOST_NAMED).join(', ')}`;
      return `Gate: the AuthPolicies that passed last stay in force${kept}`;
    },
    settle,
    settleAll() {
      for (const namespace of new Set([...model.watched(), ...passed.namespaces()])) settle(namespace);
    },
  };
}

const MOST_NAMED = 5;

/** A new object of the same name is another. */
function markManifest(manifest: unknown): string {
  const metadata = isRecord(manifest) ? manifest['metadata'] : undefined;
  const { uid, generation } = isRecord(metadata) ? metadata : {};
  return JSON.stringify([uid, generation]);
}
