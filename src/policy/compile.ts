/** compileSnapshot: resources in, one immutable Snapshot out. Bad objects are violations, never exceptions (S6). */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Severity } from '../api/violation.ts';
import type { InvalidObject, ObjectKey } from '../api/object.ts';
import { closePorts } from './allowances.ts';
import type { ApiDraft } from './apis.ts';
import { compileErrors } from './errors-plan.ts';
import type { Group } from './groups.ts';
import { listIdle, type IdleObject } from './idle.ts';
import { holdApi } from './invalid-objects.ts';
import { createInventory, identify, identifyInvalid, type Labels } from './inventory.ts';
import { createApiPlan, createListeners, type ServedApi, type ServedRoute } from './listeners.ts';
import type { ErrorsPlan, Snapshot, SubscriptionSet } from './model.ts';
import { collectNotices } from './notices.ts';
import { createPipelineFactory, type PipelineFactory } from './pipelines.ts';
import { compilePolicies, type PolicySet } from './policies.ts';
import { resolveName, type Lookup } from './references.ts';
import { createReport, type Report } from './report.ts';
import { NOTHING_REMEMBERED, rememberApis, type Remembered } from './remembered.ts';
import { settleApis, type SettledApis } from './settle-apis.ts';
import {
  NO_SUBSCRIPTIONS,
  planSubscriptions,
  settleSubscriptions,
  type SettledSubscriptions,
} from './subscriptions.ts';
import { findSharedStore } from './shared-store.ts';
import { compileSupporting, createSupporting, type Supporting } from './supporting.ts';
import { isTcpServable } from './tcp.ts';
import { reportCallerReads } from './caller-reads.ts';
import { reportTargets } from './target-report.ts';

export type { IdleObject };

export interface CompileInput {
  readonly objects: readonly SallyportObject[];
  readonly invalid: readonly InvalidObject[];
  /** Text of a Secret's or ConfigMap's key, for `variables` and warnings about missing references. */
  readonly lookup: Lookup;
  readonly workload: CompileWorkload;
  /** What earlier compilations remembered: the last good generation of each object (S6). */
  readonly remembered?: Remembered;
  readonly generation: number;
  readonly hash: string;
  /** In files a conflict is an error; in the cluster the younger loses. */
  readonly source: 'files' | 'kubernetes';
}

export interface CompileWorkload {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  readonly labels: Labels;
  /** Numbers of named container ports. */
  readonly ports?: Readonly<Record<string, number>>;
  /** Authorities by which the app of a port is known, for hideBackend: `127.0.0.1:3000`. */
  readonly appAuthorities?: (port: number) => readonly string[];
}

export interface CompileOutput {
  readonly snapshot: Snapshot;
  readonly remembered: Remembered;
  /** `AuthPolicy shop/fleet`: in force with its last good generation, since the newest cannot be (S6). */
  readonly kept: readonly string[];
  /** Objects that apply to nothing here, those of other namespaces included, with the reason. */
  readonly idle: readonly IdleObject[];
}

export function compileSnapshot(input: CompileInput): CompileOutput {
  const { workload, lookup } = input;
  const remembered = input.remembered ?? NOTHING_REMEMBERED;
  const report = createReport();
  const inventory = createInventory(input.objects);
  const invalidIds = new Set(input.invalid.map(identifyInvalid));
  const supporting = addRemembered(
    compileSupporting({ inventory, report, lookup, invalidIds, lastService: id => remembered.services.get(id) }),
    remembered,
    invalidIds,
  );
  const apis = settleApis({ workload, lookup, inventory, supporting, report, remembered, invalidIds });
  const storeContext = { inventory, invalid: input.invalid, remembered, workload, supporting, lookup, report };
  const store = findSharedStore({ ...storeContext, severity: input.source === 'files' ? 'error' : 'warning' });
  if (store !== undefined) supporting.sharedStore = store;
  const policies = compilePolicies({ ...input, remembered, inventory, supporting, report, apis: apis.known });
  const known = mergeSupporting(supporting, [...policies.borrowed, ...apis.borrowed]);
  const severity = input.source === 'files' ? 'error' : 'warning';
  const conflicts = { report, severity } as const;
  const factory = createPipelineFactory({
    ...conflicts,
    policyOf: policies.policyOf,
    trusts: known.trusts,
    credentials: known.credentials,
    secretHosts: secret => lookup.secretHosts?.(secret),
    appAuthorities: workload.appAuthorities ?? (() => []),
  });
  const errors = compileErrors(policies.unmatched, conflicts);
  const served = serve(apis, policies.groups, factory, conflicts);
  const held = input.invalid.map(object => holdApi(object, workload)).filter(api => api !== undefined);
  const listeners = createListeners(served, { ...conflicts, errors, held });
  reportTargets({ inventory, invalidIds, policies, apis: apis.known, workload, report, severity });
  reportCallerReads(policies, report);
  const settled = settleSubscriptions({
    ...conflicts,
    ...{ inventory, lookup, invalid: input.invalid, namespace: workload.namespace },
    remembered: remembered.subscriptions,
  });
  const plans = pickNamed(known, served, policies);
  const subscriptions = pickSubscriptions(settled, served, policies);
  const isShared = served.some(({ draft }) => uses(draft, policies, 'sharedStore'));
  const unplaced = held.some(({ port }) => port === undefined) || apis.unplaced;
  const allowances = unplaced ? closePorts(policies.allowances) : policies.allowances;
  const snapshot = freeze(input, {
    listeners,
    plans,
    subscriptions,
    store: isShared ? store : undefined,
    policies,
    allowances,
    errors,
    served,
    report,
  });
  return {
    snapshot,
    remembered: {
      policies: policies.remembered,
      services: rememberServices(supporting),
      apis: rememberApis(apis, supporting),
      supporting,
      subscriptions: new Map(settled.objects.map(object => [identify(object), object])),
    },
    kept: [...new Set([...apis.kept.keys(), ...policies.kept, ...settled.kept])].sort(),
    idle: listIdle({ inventory, invalid: input.invalid, workload, served, active: listActive(policies, served) }),
  };
}

function serve(
  apis: SettledApis,
  groups: readonly Group[],
  factory: PipelineFactory,
  conflicts: { readonly report: Report; readonly severity: Severity },
): readonly ServedApi[] {
  const valid = apis.selected.map((draft): ServedApi => {
    const routes = createRoutes(draft, groups, factory);
    const isTcp = draft.object.spec.protocol === 'TCP';
    const isServable = !isTcp || routes.every(({ route }) => isTcpServable(draft, route.pipeline, conflicts));
    return isServable ? { draft, routes } : { draft };
  });
  return [...valid, ...apis.shadows.map(draft => ({ draft }))];
}

function createRoutes(draft: ApiDraft, groups: readonly Group[], factory: PipelineFactory): readonly ServedRoute[] {
  const api = createApiPlan(draft);
  const operations = new Map(draft.operations.map(operation => [operation.name, operation]));
  return groups
    .filter(group => group.api === draft)
    .flatMap(group => {
      const pipeline = factory.create(draft, group.ordered, group.all);
      const policies = JSON.stringify(group.all.map(({ targets, scope }) => [targets.id, scope]));
      return group.operations.map((name): ServedRoute => {
        const operation = name === undefined ? undefined : operations.get(name);
        if (operation === undefined) return { policies, route: { api, template: `${draft.basePath}/*`, pipeline } };
        const template = joinTemplate(draft.basePath, operation.path);
        return { operation, policies, route: { api, operation: operation.name, template, pipeline } };
      });
    });
}

const joinTemplate = (basePath: string, path: string): string =>
  path === '/' && basePath !== '' ? basePath : basePath + path;

interface Parts {
  readonly listeners: Snapshot['listeners'];
  readonly plans: Supporting;
  readonly subscriptions: SubscriptionSet;
  readonly store: Supporting['sharedStore'];
  readonly policies: PolicySet;
  readonly allowances: Snapshot['allowances'];
  readonly errors: ErrorsPlan;
  readonly served: readonly ServedApi[];
  readonly report: Report;
}

function freeze(
  input: CompileInput,
  { listeners, plans, subscriptions, store, policies, allowances, errors, served, report }: Parts,
): Snapshot {
  const used = new Set(served.flatMap(({ draft }) => policies.policiesOf(draft)));
  return {
    generation: input.generation,
    hash: input.hash,
    listeners,
    reservedHeaders: new Set([...used].flatMap(policy => [...(policy.body?.reserves ?? [])])),
    issuers: plans.issuers,
    trusts: plans.trusts,
    deviceServices: plans.services,
    credentials: plans.credentials,
    subscriptions,
    ...(store === undefined ? {} : { sharedStore: store }),
    counters: new Set([...used].flatMap(policy => [...(policy.body?.needs.counters ?? [])])),
    allowances,
    errorsBeforeMatch: errors,
    notices: collectNotices([...used], plans, listeners, allowances, store),
    violations: report.violations,
  };
}

const uses = (draft: ApiDraft, policies: PolicySet, what: 'subscriptions' | 'sharedStore'): boolean =>
  policies.policiesOf(draft).some(({ body }) => body?.needs.uses.has(what) === true);

/** A sidecar holds no hashes of keys that nobody asks for. */
function pickSubscriptions(
  settled: SettledSubscriptions,
  served: readonly ServedApi[],
  policies: PolicySet,
): SubscriptionSet {
  const asking = served.filter(({ draft }) => uses(draft, policies, 'subscriptions'));
  if (asking.length === 0) return NO_SUBSCRIPTIONS;
  return planSubscriptions(
    settled,
    asking.map(({ draft }) => draft.object),
  );
}

/** Objects that cannot be parsed now keep the plan that they had. */
function addRemembered(
  supporting: Supporting,
  { supporting: last }: Remembered,
  invalid: ReadonlySet<string>,
): Supporting {
  const restore = <P extends { readonly key: ObjectKey }>(
    kind: string,
    from: Map<ObjectKey, P>,
    to: Map<ObjectKey, P>,
  ): void => {
    for (const [key, plan] of from) if (!to.has(key) && invalid.has(identify({ kind, key }))) to.set(key, plan);
  };
  restore('TokenIssuer', last.issuers, supporting.issuers);
  restore('ClientTrust', last.trusts, supporting.trusts);
  restore('DeviceAuthService', last.services, supporting.services);
  restore('BackendCredential', last.credentials, supporting.credentials);
  return supporting;
}

/** Plans in force: the newest, and for what only last good policies name, those that they were compiled with. */
function mergeSupporting(current: Supporting, borrowed: readonly Supporting[]): Supporting {
  const merged = createSupporting();
  for (const plans of [...borrowed, current]) {
    plans.issuers.forEach((plan, key) => merged.issuers.set(key, plan));
    plans.trusts.forEach((plan, key) => merged.trusts.set(key, plan));
    plans.services.forEach((plan, key) => merged.services.set(key, plan));
    plans.credentials.forEach((plan, key) => merged.credentials.set(key, plan));
  }
  return merged;
}

/** What this workload's policies and Apis name: a sidecar asks no issuer and holds no trust that it does not need. */
function pickNamed(known: Supporting, served: readonly ServedApi[], policies: PolicySet): Supporting {
  const named = createSupporting();
  const needs = served.flatMap(({ draft }) => policies.policiesOf(draft).map(({ body }) => body?.needs));
  const pick = <P>(keys: readonly (ObjectKey | undefined)[], from: Map<ObjectKey, P>, to: Map<ObjectKey, P>): void => {
    for (const [key, plan] of from) if (keys.includes(key)) to.set(key, plan);
  };
  const drafts = served.map(({ draft }) => draft);
  const peers = drafts.flatMap(({ trustedPeers }) => trustedPeers.map(({ trust }) => trust));
  pick(
    needs.flatMap(need => [...(need?.issuers ?? [])]),
    known.issuers,
    named.issuers,
  );
  pick([...needs.flatMap(need => [...(need?.trusts ?? [])]), ...peers], known.trusts, named.trusts);
  pick(
    needs.flatMap(need => [...(need?.services ?? [])]),
    known.services,
    named.services,
  );
  const ofServices = [...named.services.values()].flatMap(({ namespace, spec }) =>
    [spec.tls?.credential, spec.credential].map(name =>
      name === undefined ? undefined : resolveName(name, namespace),
    ),
  );
  const ofPolicies = needs.flatMap(need => [...(need?.credentials ?? [])]);
  const ofApis = drafts.map(({ credential }) => credential);
  pick([...ofServices, ...ofPolicies, ...ofApis], known.credentials, named.credentials);
  return named;
}

const rememberServices = ({ services }: Supporting): Remembered['services'] =>
  new Map([...services].map(([key, plan]) => [identify({ kind: 'DeviceAuthService', key }), plan]));

/** Identities of the policies that take part in what is served. */
const listActive = (policies: PolicySet, served: readonly ServedApi[]): ReadonlySet<string> =>
  new Set(served.flatMap(({ draft }) => policies.policiesOf(draft).map(({ targets }) => targets.id)));
