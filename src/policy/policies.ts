/** The policies in force: compiled in what surrounds them, or their last good generation, or held as invalid (S6). */
import type { InvalidObject } from '../api/object.ts';
import { listAllowances } from './allowances.ts';
import type { ApiDraft } from './apis.ts';
import { foldName } from '../http/head.ts';
import { flattenRequest } from './flat-steps.ts';
import { createGroups, createViews, findSurroundings, type Group, type ViewOf } from './groups.ts';
import { listWrittenHeaders } from './header-names.ts';
import { describePolicy, isBroader, type PolicyInForce } from './in-force.ts';
import { holdPolicy } from './invalid-objects.ts';
import { identifyInvalid, type Inventory } from './inventory.ts';
import type { AllowancePlan } from './model.ts';
import type { Member } from './overrides.ts';
import { compileBody, describeP13, type PolicyBody } from './policy-body.ts';
import type { Needs } from './step-compiler.ts';
import type { Lookup } from './references.ts';
import type { LastPolicy, Remembered } from './remembered.ts';
import { reportOn, type Report } from './report.ts';
import { readTargets, type Participation, type PolicyObject, type Targets, type Workload } from './scopes.ts';
import { createSupporting, type Supporting } from './supporting.ts';

export interface PolicySet {
  readonly groups: readonly Group[];
  readonly policyOf: (participation: Participation) => PolicyInForce;
  readonly policiesOf: (api: ApiDraft) => readonly PolicyInForce[];
  /** In the order of their names. */
  readonly allowances: readonly AllowancePlan[];
  /** Those that say how denials look before a match is known (S5): cluster and namespace scope, not narrowed to Apis. */
  readonly unmatched: readonly Member[];
  readonly remembered: Remembered['policies'];
  /** Identities of those that are in force with their last good generation. */
  readonly kept: readonly string[];
  /** What last good policies name and may be gone. */
  readonly borrowed: readonly Supporting[];
}

export interface PoliciesContext {
  readonly inventory: Inventory;
  readonly invalid: readonly InvalidObject[];
  readonly supporting: Supporting;
  readonly lookup: Lookup;
  readonly report: Report;
  readonly workload: Workload;
  readonly apis: readonly ApiDraft[];
  readonly remembered: Remembered;
}

interface Candidate {
  readonly object: PolicyObject;
  readonly targets: Targets;
}

export function compilePolicies(context: PoliciesContext): PolicySet {
  const { inventory, workload, apis } = context;
  const objects: readonly PolicyObject[] = [...inventory.all('ClusterAuthPolicy'), ...inventory.all('AuthPolicy')];
  const candidates = objects.flatMap(object => {
    const targets = readTargets(object, workload);
    return targets === undefined ? [] : [{ object, targets }];
  });
  const bodies = compileBodies(candidates, context);
  const remembered = new Map<string, LastPolicy>();
  const borrowed: Supporting[] = [];
  const kept: string[] = [];
  const inForce = new Map<string, PolicyInForce>();
  const settle = (id: string, fresh: PolicyInForce | undefined, fallback: PolicyInForce | undefined): void => {
    const last = fresh === undefined ? context.remembered.policies.get(id) : rememberPolicy(fresh, context.supporting);
    if (last !== undefined) remembered.set(id, last);
    if (fresh === undefined && last !== undefined) {
      borrowed.push(last.plans);
      kept.push(id);
    }
    const policy = fresh ?? last?.policy ?? fallback;
    if (policy !== undefined) inForce.set(id, policy);
  };
  for (const { object, targets } of candidates) {
    const body = bodies.get(targets.id);
    const held = describePolicy(object, targets, undefined);
    settle(targets.id, body === undefined ? undefined : describePolicy(object, targets, body), held);
  }
  for (const invalid of context.invalid) {
    const id = identifyInvalid(invalid);
    if (!inForce.has(id)) settle(id, undefined, holdPolicy(invalid, workload));
  }
  return { ...createSet(apis, inForce), allowances: collectAllowances(inForce, workload), remembered, borrowed, kept };
}

/** An invalid policy without a last good generation allows nothing. */
function collectAllowances(
  inForce: ReadonlyMap<string, PolicyInForce>,
  { namespaceLabels }: Workload,
): readonly AllowancePlan[] {
  return [...inForce.values()].flatMap(({ key, body, object }) =>
    body === undefined || object?.kind !== 'ClusterAuthPolicy' ? [] : listAllowances(key, object.spec, namespaceLabels),
  );
}

function createSet(
  apis: readonly ApiDraft[],
  inForce: ReadonlyMap<string, PolicyInForce>,
): Omit<PolicySet, 'allowances' | 'remembered' | 'borrowed' | 'kept'> {
  const policies = [...inForce.values()];
  const find = (targets: Targets): PolicyInForce => {
    const policy = inForce.get(targets.id);
    if (policy === undefined) throw new Error('a policy takes part that is not in force');
    return policy;
  };
  const groups = createGroups(
    apis,
    policies.map(({ targets }) => targets),
    targets => find(targets).sealed,
  );
  const unmatched = policies
    .filter(({ targets }) => targets.everywhere)
    .map((policy): Member => {
      const { targets } = policy;
      return { policy, participation: { targets, scope: targets.cluster ? 'Cluster' : 'Namespace', widened: false } };
    });
  return {
    groups,
    policyOf: ({ targets }) => find(targets),
    policiesOf: api => {
      const own = groups.filter(group => group.api === api).flatMap(({ all }) => all.map(({ targets }) => targets));
      return [...new Set(own.map(find))];
    },
    unmatched,
  };
}

/** Bodies of the policies that are valid, by identity. */
function compileBodies(candidates: readonly Candidate[], context: PoliciesContext): ReadonlyMap<string, PolicyBody> {
  const objects = new Map(candidates.map(({ object, targets }) => [targets.id, object]));
  const objectOf = (targets: Targets): PolicyObject | undefined => objects.get(targets.id);
  const groups = createGroups(
    context.apis,
    candidates.map(({ targets }) => targets),
    targets => objectOf(targets)?.spec.sealed ?? true,
  );
  const byPolicy = indexGroups(groups, objectOf);
  const bodies = new Map<string, PolicyBody>();
  for (const { object, targets } of candidates) {
    const surroundings = findSurroundings(targets, byPolicy.get(targets.id) ?? []);
    const body = compileBody(object, { ...context, surroundings }, reportOn(context.report, object));
    if (body !== undefined) bodies.set(targets.id, body);
  }
  for (const id of findHeaderConflicts(groups, objects, bodies, context.report)) bodies.delete(id);
  return bodies;
}

interface SeenGroup {
  readonly group: Group;
  readonly viewOf: ViewOf;
}

function indexGroups(
  groups: readonly Group[],
  objectOf: (targets: Targets) => PolicyObject | undefined,
): ReadonlyMap<string, readonly SeenGroup[]> {
  const index = new Map<string, SeenGroup[]>();
  for (const group of groups) {
    const seen = { group, viewOf: createViews(group, objectOf) };
    for (const { targets } of group.all) {
      const known = index.get(targets.id);
      if (known === undefined) index.set(targets.id, [seen]);
      else known.push(seen);
    }
  }
  return index;
}

/** P13 across policies: the narrower of writer and reader is at fault, so that no tenant can undo a broader policy. */
function findHeaderConflicts(
  groups: readonly Group[],
  objects: ReadonlyMap<string, PolicyObject>,
  bodies: ReadonlyMap<string, PolicyBody>,
  report: Report,
): ReadonlySet<string> {
  const atFault = new Set<string>();
  for (const { all } of groups) {
    const readers = all.filter(({ targets }) => (bodies.get(targets.id)?.reads.size ?? 0) > 0);
    for (const writer of all) {
      const written = bodies.get(writer.targets.id)?.writes ?? new Set();
      if (written.size === 0) continue;
      for (const reader of readers) {
        if (reader === writer) continue;
        const names = [...(bodies.get(reader.targets.id)?.reads ?? [])].filter(name => written.has(foldName(name)));
        for (const name of names) atFault.add(blame(writer, reader, name, objects, report));
      }
    }
  }
  return atFault;
}

function blame(
  writer: Participation,
  reader: Participation,
  name: string,
  objects: ReadonlyMap<string, PolicyObject>,
  report: Report,
): string {
  const narrowerReader = isBroader(writer.scope, reader.scope);
  const { id } = narrowerReader ? reader.targets : writer.targets;
  const object = objects.get(id);
  if (object === undefined) return id;
  if (narrowerReader) {
    report.add('error', object, 'spec.request', {
      problem: `reads a credential from the header "${name}", which ${writer.targets.id} sets`,
      fix: 'use another header',
    });
    return id;
  }
  for (const { step, field } of flattenRequest(object.spec.request)) {
    const found = listWrittenHeaders(step).find(header => foldName(header.name) === foldName(name));
    if (found !== undefined) report.add('error', object, `${field}.${found.field}`, describeP13(found.name));
  }
  return id;
}

function rememberPolicy(policy: PolicyInForce, supporting: Supporting): LastPolicy {
  const plans = createSupporting();
  const needs: Needs | undefined = policy.body?.needs;
  const pick = <P>(keys: Iterable<string>, from: ReadonlyMap<string, P>, to: Map<string, P>): void => {
    for (const key of keys) {
      const plan = from.get(key);
      if (plan !== undefined) to.set(key, plan);
    }
  };
  pick(needs?.issuers ?? [], supporting.issuers, plans.issuers);
  pick(needs?.trusts ?? [], supporting.trusts, plans.trusts);
  pick(needs?.services ?? [], supporting.services, plans.services);
  pick(needs?.credentials ?? [], supporting.credentials, plans.credentials);
  return { policy, plans };
}
