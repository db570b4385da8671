/** Subscriptions of the workload's namespace: which Apis each opens, and where the hashes of its keys are kept (P9). */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { InvalidObject, ObjectKey } from '../api/object.ts';
import type { Severity } from '../api/violation.ts';
import { quote } from '../api/words.ts';
import type { ApiObject } from './apis.ts';
import { identify, identifyInvalid, matchLabels, type Inventory } from './inventory.ts';
import type { SubscriptionPlan, SubscriptionSet } from './model.ts';
import { adviseName, readKeyRef, type Lookup } from './references.ts';
import { reportOn, type Report } from './report.ts';

export type SubscriptionObject = ObjectOfKind<'Subscription'>;

export interface SubscriptionContext {
  readonly inventory: Inventory;
  readonly invalid: readonly InvalidObject[];
  /** Those that were good last, by identity (S6). */
  readonly remembered: ReadonlyMap<string, SubscriptionObject>;
  readonly namespace: string;
  readonly lookup: Lookup;
  readonly report: Report;
  /** Of a target that does not exist. */
  readonly severity: Severity;
}

export const NO_SUBSCRIPTIONS: SubscriptionSet = { plans: new Map(), held: [] };

/** Subscriptions in force: as they are, or as they last were good. `held`: invalid ones that never were. */
export interface SettledSubscriptions {
  readonly objects: readonly SubscriptionObject[];
  readonly held: readonly ObjectKey[];
  readonly kept: readonly string[];
}

export function settleSubscriptions(context: SubscriptionContext): SettledSubscriptions {
  const { inventory, invalid, remembered, namespace } = context;
  const objects = inventory.all('Subscription').filter(({ meta }) => meta.namespace === namespace);
  const known = new Set(objects.map(identify));
  const kept: SubscriptionObject[] = [];
  const held: ObjectKey[] = [];
  for (const object of invalid) {
    const id = identifyInvalid(object);
    if (object.kind !== 'Subscription' || object.namespace !== namespace || known.has(id)) continue;
    const last = remembered.get(id);
    if (last === undefined) held.push(`${namespace}/${object.name}`);
    else kept.push(last);
  }
  for (const object of objects) checkSubscription(object, context);
  return { objects: [...objects, ...kept], held, kept: kept.map(identify) };
}

function checkSubscription(object: SubscriptionObject, context: SubscriptionContext): void {
  const { lookup, report, namespace } = context;
  const on = reportOn(report, object);
  const { primaryKeyHash, secondaryKeyHash } = object.spec;
  readKeyRef(primaryKeyHash, namespace, lookup, 'spec.primaryKeyHash', on);
  if (secondaryKeyHash !== undefined) readKeyRef(secondaryKeyHash, namespace, lookup, 'spec.secondaryKeyHash', on);
  checkTargets(object, context);
}

/** As for policies: a target that names nothing is an error where everything is at hand. */
function checkTargets(
  object: SubscriptionObject,
  { inventory, namespace, report, severity }: SubscriptionContext,
): void {
  const apis = inventory.all('Api').filter(({ meta }) => meta.namespace === namespace);
  for (const [index, { name }] of (object.spec.targetRefs ?? []).entries()) {
    if (apis.some(({ meta }) => meta.name === name)) continue;
    const keys = inventory.all('Api').map(({ key }) => key);
    report.add(severity, object, `spec.targetRefs[${index}].name`, {
      problem: `names the Api ${quote(name)}, which does not exist: this target has no effect`,
      fix: adviseName(`${namespace}/${name}`, keys) ?? 'name an Api of this namespace',
      concern: 'Target',
    });
  }
  for (const [index, { matchLabels: wanted }] of (object.spec.targetSelectors ?? []).entries()) {
    if (apis.some(({ meta }) => matchLabels(wanted, meta.labels))) continue;
    report.add('warning', object, `spec.targetSelectors[${index}].matchLabels`, {
      problem: 'selects no Api of this namespace: this target has no effect',
      fix: 'label an Api so, or remove the selector',
      concern: 'Target',
    });
  }
}

/** What of them concerns these Apis. */
export function planSubscriptions(
  { objects, held }: SettledSubscriptions,
  apis: readonly ApiObject[],
): SubscriptionSet {
  const plans = new Map<ObjectKey, SubscriptionPlan>();
  for (const object of objects) {
    const covers = new Set(apis.filter(api => opens(object, api)).map(({ key }) => key));
    if (covers.size > 0) plans.set(object.key, planOf(object, covers));
  }
  return { plans, held };
}

/** Whether its keys open the Api. */
export function opens({ spec, meta }: SubscriptionObject, api: ApiObject): boolean {
  const { targetRefs, targetSelectors } = spec;
  if (api.meta.namespace !== meta.namespace) return false;
  if (targetRefs === undefined && targetSelectors === undefined) return true;
  const isNamed = targetRefs?.some(({ name }) => name === api.meta.name) === true;
  return isNamed || targetSelectors?.some(selector => matchLabels(selector.matchLabels, api.meta.labels)) === true;
}

function planOf({ key, meta, spec }: SubscriptionObject, covers: ReadonlySet<ObjectKey>): SubscriptionPlan {
  const hashes = [spec.primaryKeyHash, spec.secondaryKeyHash].flatMap(hash =>
    hash === undefined
      ? []
      : [{ secret: `${meta.namespace}/${hash.secretKeyRef.name}`, dataKey: hash.secretKeyRef.key }],
  );
  return {
    key,
    name: meta.name,
    isActive: spec.state === 'Active',
    notAfter: spec.notAfter === undefined ? Infinity : Date.parse(spec.notAfter),
    covers,
    hashes,
  };
}
