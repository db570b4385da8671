/** The store of limits with scope Shared: of the cluster policies that apply to the namespace, the oldest that names one. */
import type { InvalidObject } from '../api/object.ts';
import type { Severity } from '../api/violation.ts';
import { quote } from '../api/words.ts';
import { compareAge, identifyInvalid, type Inventory } from './inventory.ts';
import type { SharedStorePlan } from './model.ts';
import { readKeyRef, requireObject, type Lookup } from './references.ts';
import type { Remembered } from './remembered.ts';
import { reportOn, type Report } from './report.ts';
import { readTargets, type PolicyObject, type Workload } from './scopes.ts';
import { SHARES_SECRET } from './step-compiler.ts';
import { knownIn, type Supporting } from './supporting.ts';

type ClusterPolicy = Extract<PolicyObject, { kind: 'ClusterAuthPolicy' }>;

export interface SharedStoreContext {
  readonly inventory: Inventory;
  readonly invalid: readonly InvalidObject[];
  readonly remembered: Remembered;
  readonly workload: Workload;
  readonly supporting: Supporting;
  readonly lookup: Lookup;
  readonly report: Report;
  /** Of a conflict. */
  readonly severity: Severity;
}

export function findSharedStore(context: SharedStoreContext): SharedStorePlan | undefined {
  const { workload, report, severity } = context;
  const [winner, ...others] = listPolicies(context)
    .filter(policy => policy.spec.sharedStore !== undefined && readTargets(policy, workload) !== undefined)
    .sort(compareAge);
  if (winner === undefined) return undefined;
  for (const other of others) {
    if (JSON.stringify(other.spec.sharedStore) === JSON.stringify(winner.spec.sharedStore)) continue;
    report.add(severity, other, 'spec.sharedStore', {
      problem: `conflicts with ClusterAuthPolicy ${winner.key}, which names another store for the same namespaces`,
      fix: 'set it in one of the two, or narrow them by namespaceSelector',
      concern: 'Conflict',
    });
  }
  return describeStore(winner, context);
}

/** Those that are valid, and of those that cannot be parsed the last good generation (S6). */
function listPolicies({ inventory, invalid, remembered }: SharedStoreContext): readonly ClusterPolicy[] {
  const kept = invalid.flatMap(object => remembered.policies.get(identifyInvalid(object))?.policy.object ?? []);
  return [...inventory.all('ClusterAuthPolicy'), ...kept.filter(object => object.kind === 'ClusterAuthPolicy')];
}

function describeStore(policy: ClusterPolicy, context: SharedStoreContext): SharedStorePlan | undefined {
  const { spec } = policy;
  const { supporting, lookup, report } = context;
  const on = reportOn(report, policy);
  const store = spec.sharedStore;
  if (store === undefined) return undefined;
  if (store.trust !== undefined) readKeyRef(store.trust, '', lookup, 'spec.sharedStore.trust', on);
  if (store.trust?.secretKeyRef !== undefined && !spec.shareSecrets) {
    on.error('spec.sharedStore.trust.secretKeyRef', SHARES_SECRET);
  }
  const { url, trust, onUnavailable } = store;
  const plan = { policy: policy.key, url, onUnavailable, ...(trust === undefined ? {} : { trust }) };
  if (store.credential === undefined) return plan;
  const field = 'spec.sharedStore.credential';
  const key = requireObject(store.credential, '', knownIn(supporting, 'BackendCredential'), field, on);
  const credential = key === undefined ? undefined : supporting.credentials.get(key);
  // A credential that cannot be had is not left out: the store is away.
  if (credential === undefined) return { ...plan, login: 'missing' };
  const { basic } = credential.spec;
  if (basic === undefined) {
    on.error(field, {
      problem: `names the BackendCredential ${quote(store.credential)}, which is not basic`,
      fix: 'name one with basic: user name and password',
    });
    return { ...plan, login: 'missing' };
  }
  if (!spec.shareSecrets) on.error(field, SHARES_SECRET);
  return { ...plan, login: { ...basic, namespace: credential.namespace } };
}
