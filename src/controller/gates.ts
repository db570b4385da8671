/**
 * What the gates of namespaces hold back: a policy whose tests fail stays as it last passed. What passed is kept in a
 * ConfigMap for each such namespace, so that another replica, or this one after a restart, knows it too.
 */
import type { HeldObject, MaterialMessage } from '../material/protocol.ts';
import { isRecord } from '../kube/objects.ts';
import type { KnownObject } from './objects.ts';
import type { TestBench, Verdict } from './test-bench.ts';
import { hasGate, listBlocked } from './test-findings.ts';

/** A generation that passed. */
export interface Passed {
  readonly uid: string;
  readonly generation: number;
  readonly manifest: unknown;
}

/** By name of the policy. */
export type PassedPolicies = ReadonlyMap<string, Passed>;

export interface GateState {
  readonly held: readonly HeldObject[];
  /** Absent: the namespace has no gate. */
  readonly judged?: NonNullable<MaterialMessage['judged']>;
  /** By identity: the gate that holds it back. */
  readonly heldBy: ReadonlyMap<string, string>;
  /** What has passed by now, to be kept. */
  readonly passed: PassedPolicies;
}

const OPEN: GateState = { held: [], heldBy: new Map(), passed: new Map() };

export interface Gates {
  /** Undefined: there is a gate, and its tests have not run yet. */
  stateOf(namespace: string): GateState | undefined;
  /** The tests of the namespace ran again, or what was kept was read. */
  refresh(namespace: string): void;
}

export interface GatesOptions {
  readonly bench: Pick<TestBench, 'verdictOf'>;
  /** Whether the namespace has a test with `gate: true`. */
  readonly isGated: (namespace: string) => boolean;
  /** What was kept, as it was last read. */
  readonly kept: (namespace: string) => PassedPolicies;
}

export function createGates({ bench, kept, isGated }: GatesOptions): Gates {
  const states = new Map<string, GateState>();
  return {
    stateOf: namespace => states.get(namespace) ?? (isGated(namespace) ? undefined : OPEN),
    refresh(namespace) {
      const verdict = bench.verdictOf(namespace);
      if (verdict === undefined || !hasGate(verdict)) states.delete(namespace);
      else
        states.set(
          namespace,
          settleGate(verdict, new Map([...kept(namespace), ...(states.get(namespace)?.passed ?? [])])),
        );
    },
  };
}

export function settleGate(verdict: Verdict, before: PassedPolicies): GateState {
  const blocked = listBlocked(verdict);
  const passed = new Map<string, Passed>();
  const held: HeldObject[] = [];
  const judged: Record<string, { uid: string; generation: number }> = {};
  for (const policy of verdict.policies) {
    const { id, kind, namespace, metadata, uid, generation } = policy;
    judged[id] = { uid, generation };
    const last = findLast(policy, before);
    if (!blocked.has(id)) passed.set(metadata.name, { uid, generation, manifest: policy.manifest });
    else {
      if (last !== undefined) passed.set(metadata.name, last);
      held.push({ kind, namespace, name: metadata.name, generation, use: last?.manifest ?? null });
    }
  }
  return { held, judged, heldBy: blocked, passed };
}

/** Another object of that name is another. */
function findLast({ metadata, uid }: KnownObject, before: PassedPolicies): Passed | undefined {
  const last = before.get(metadata.name);
  return last?.uid === uid ? last : undefined;
}

/** Data of the ConfigMap. */
export const writePassed = (passed: PassedPolicies): Readonly<Record<string, string>> =>
  Object.fromEntries([...passed].map(([name, one]) => [name, JSON.stringify(one)]));

/** What cannot be read is left out. */
export function readPassed(data: unknown): PassedPolicies {
  const passed = new Map<string, Passed>();
  for (const [name, text] of Object.entries(isRecord(data) ? data : {})) {
    const value = typeof text === 'string' ? parseJson(text) : undefined;
    if (!isRecord(value)) continue;
    const { uid, generation, manifest } = value;
    if (typeof uid === 'string' && typeof generation === 'number') passed.set(name, { uid, generation, manifest });
  }
  return passed;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
