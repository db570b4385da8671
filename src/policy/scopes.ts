/** Which policies apply to which routes, and at what scope (S1, S6). */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { compareBytes } from './encoding.ts';
import { identify, matchLabels, type Labels } from './inventory.ts';
import type { Scope } from './model.ts';

export type PolicyObject = ObjectOfKind<'AuthPolicy'> | ObjectOfKind<'ClusterAuthPolicy'>;

/** Narrower scopes have greater numbers. */
export const SCOPE_ORDER: Readonly<Record<Scope, number>> = {
  Cluster: 0,
  Namespace: 1,
  Product: 2,
  Api: 3,
  Operation: 4,
};

/** The targets of a policy that is in force, or of one that cannot be (S6: invalid, without a last good generation). */
export interface Targets {
  /** `Kind namespace/name`. */
  readonly id: string;
  readonly name: string;
  readonly cluster: boolean;
  readonly inherit: 'Before' | 'After' | 'None';
  /** Every Api of the namespace(s), unless narrowed by selectors. */
  readonly everywhere: boolean;
  readonly refs: readonly { readonly name: string; readonly sectionName?: string }[];
  readonly selectors: readonly Labels[];
}

export interface Workload {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
}

/** What a policy targets here, or undefined when it concerns other namespaces only. */
export function readTargets(policy: PolicyObject, workload: Workload): Targets | undefined {
  const { meta } = policy;
  const selectors = (policy.spec.targetSelectors ?? []).map(selector => selector.matchLabels);
  const common = { id: identify(policy), name: meta.name, selectors };
  if (policy.kind === 'ClusterAuthPolicy') {
    const wanted = policy.spec.namespaceSelector?.matchLabels ?? {};
    if (!matchLabels(wanted, workload.namespaceLabels)) return undefined;
    return { ...common, cluster: true, inherit: 'Before', everywhere: selectors.length === 0, refs: [] };
  }
  if (meta.namespace !== workload.namespace) return undefined;
  const refs = policy.spec.targetRefs ?? [];
  const everywhere = refs.length === 0 && selectors.length === 0;
  return { ...common, cluster: false, inherit: policy.spec.inherit, everywhere, refs };
}

export interface ApiIdentity {
  readonly name: string;
  readonly labels: Labels;
  readonly operations: ReadonlySet<string>;
}

/** How a policy takes part in a route. */
export interface Participation {
  readonly targets: Targets;
  readonly scope: Scope;
  /** S6: a target names a missing operation, so it applies to the whole Api until mended. */
  readonly widened: boolean;
}

/** S1: how a policy takes part in every operation of an Api; undefined: in none, or only in those it names. */
export function participate(targets: Targets, api: ApiIdentity): Participation | undefined {
  const selected = targets.selectors.some(labels => matchLabels(labels, api.labels));
  if (targets.cluster) {
    return targets.everywhere || selected ? { targets, scope: 'Cluster', widened: false } : undefined;
  }
  if (targets.everywhere) return { targets, scope: 'Namespace', widened: false };
  if (selected) return { targets, scope: 'Product', widened: false };
  const refs = targets.refs.filter(ref => ref.name === api.name);
  if (refs.some(ref => ref.sectionName === undefined)) return { targets, scope: 'Api', widened: false };
  const widened = refs.some(ref => ref.sectionName !== undefined && !api.operations.has(ref.sectionName));
  return widened ? { targets, scope: 'Api', widened } : undefined;
}

/**
 * The policies that take part in single operations, by operation. Operations that no policy names share their Api's
 * pipeline. One pass over the policies: 1,000 operations with a policy each must not be a million questions.
 */
export function indexOperationTargets(
  policies: readonly Targets[],
  api: ApiIdentity,
): ReadonlyMap<string, readonly Participation[]> {
  const index = new Map<string, Participation[]>();
  for (const targets of policies) {
    const named = new Set(targets.refs.filter(ref => ref.name === api.name).map(ref => ref.sectionName));
    const isWide = participate(targets, api) !== undefined;
    for (const name of named) {
      if (name === undefined) continue;
      const known = index.get(name) ?? [];
      index.set(name, known);
      // S1: at its broadest scope only. The operation still gets a pipeline of its own.
      if (!isWide) known.push({ targets, scope: 'Operation', widened: false });
    }
  }
  return index;
}

/** By scope, then by name bytewise; the kind tells apart a cluster policy from another of the same name. */
export function sortParticipations(participations: readonly Participation[]): readonly Participation[] {
  return [...participations].sort(
    (a, b) =>
      SCOPE_ORDER[a.scope] - SCOPE_ORDER[b.scope] ||
      compareBytes(a.targets.name, b.targets.name) ||
      compareBytes(a.targets.id, b.targets.id),
  );
}

export interface Ordered {
  readonly participation: Participation;
  readonly sealed: boolean;
}

/**
 * S2: the effective order of policies, broadest scope first: B = eff(next broader scope). If no policy of a scope says
 * After or None: B, then this scope's. Else: the sealed of B, this scope's After, the unsealed of B (left out when a policy of
 * this scope says None), this scope's Before and None.
 */
export function orderPolicies(
  participations: readonly Participation[],
  isSealed: (targets: Targets) => boolean,
): readonly Participation[] {
  const sorted = sortParticipations(participations);
  let effective: readonly Participation[] = [];
  for (const scope of Object.keys(SCOPE_ORDER)) {
    const own = sorted.filter(participation => participation.scope === scope);
    if (own.length > 0) effective = nest(effective, own, isSealed);
  }
  return effective;
}

function nest(
  broader: readonly Participation[],
  own: readonly Participation[],
  isSealed: (targets: Targets) => boolean,
): readonly Participation[] {
  const after = own.filter(({ targets }) => targets.inherit === 'After');
  const leavesOut = own.some(({ targets }) => targets.inherit === 'None');
  if (after.length === 0 && !leavesOut) return [...broader, ...own];
  const sealed = broader.filter(({ targets }) => isSealed(targets));
  const unsealed = leavesOut ? [] : broader.filter(({ targets }) => !isSealed(targets));
  const rest = own.filter(({ targets }) => targets.inherit !== 'After');
  return [...sealed, ...after, ...unsealed, ...rest];
}
