/**
 * What the objects that concern a pod name: Secrets and ConfigMaps with the keys wanted of them, and objects of other
 * namespaces. The controller hands out this and nothing else; the sidecar waits until it has an entry for each.
 */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { ObjectKey } from '../api/object.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import { indexOperationTargets, participate, readTargets, type ApiIdentity } from '../policy/scopes.ts';
import { opens } from '../policy/subscriptions.ts';
import { listReferences, type Reference } from './references.ts';

export interface NamedWorkload {
  readonly namespace: string;
  /** Undefined: not known yet. */
  readonly namespaceLabels: Labels | undefined;
  readonly labels: Labels;
}

export interface NamedData {
  /** Keys of its data that are named. */
  readonly keys: ReadonlySet<string>;
  /**
   * Of Secrets: named by an object of its own namespace on behalf of a policy of this pod's namespace, or on behalf of a
   * cluster policy with `shareSecrets: true`. ConfigMaps always.
   */
  readonly permitted: boolean;
}

export interface NamedMaterial {
  readonly secrets: ReadonlyMap<ObjectKey, NamedData>;
  readonly configMaps: ReadonlyMap<ObjectKey, NamedData>;
  /** Objects of other namespaces: `TokenIssuer identity/corp`. */
  readonly objects: ReadonlySet<string>;
  /** The labels of the namespace decide about a cluster policy and are not known. */
  readonly namespaceLabels: boolean;
  /** Identities of all objects that concern the pod, named ones included. */
  readonly concerning: ReadonlySet<string>;
}

/**
 * `objects` may hold an object twice, as it is and as it last was good (S6): both count. Apis of other namespaces, and
 * policies that apply to no Api of the pod, name nothing here.
 */
export function listNamed(objects: Iterable<SallyportObject>, workload: NamedWorkload): NamedMaterial {
  const all = [...objects];
  const index = indexObjects(all);
  const found = createFinding(index, workload.namespace);
  const apis = all.filter(object => object.kind === 'Api' && selectsPod(object, workload));
  for (const api of apis) found.visit(api, true);
  let undecided = false;
  let asksForKeys = false;
  const identities = apis.map(identifyApi);
  for (const object of all) {
    if (object.kind !== 'AuthPolicy' && object.kind !== 'ClusterAuthPolicy') continue;
    const applies = appliesTo(object, identities, workload);
    if (applies === 'unknown') undecided = true;
    if (applies !== 'yes') continue;
    found.visit(object, object.kind === 'AuthPolicy' || object.spec.shareSecrets);
    asksForKeys ||= asksForSubscription(object.spec.request);
  }
  // Hashes of keys, by objects of the pod's own namespace.
  for (const object of asksForKeys ? all : []) if (isOpenedBy(object, apis)) found.visit(object, true);
  return { ...found.result, namespaceLabels: undecided };
}

const selectsPod = (object: SallyportObject, { namespace, labels }: NamedWorkload): boolean =>
  object.kind === 'Api' &&
  object.meta.namespace === namespace &&
  matchLabels(object.spec.podSelector.matchLabels, labels);

/** At any depth: alternatives and branches hold steps too. */
function asksForSubscription(part: unknown): boolean {
  if (Array.isArray(part)) return part.some(asksForSubscription);
  if (typeof part !== 'object' || part === null) return false;
  return Object.entries(part).some(([name, value]) => name === 'subscription' || asksForSubscription(value));
}

const isOpenedBy = (object: SallyportObject, apis: readonly SallyportObject[]): boolean =>
  object.kind === 'Subscription' && apis.some(api => api.kind === 'Api' && opens(object, api));

type Policy = Extract<SallyportObject, { kind: 'AuthPolicy' | 'ClusterAuthPolicy' }>;

function identifyApi(object: SallyportObject): ApiIdentity {
  const operations = object.kind === 'Api' ? (object.spec.operations ?? []).map(({ name }) => name) : [];
  return { name: object.meta.name, labels: object.meta.labels, operations: new Set(operations) };
}

function appliesTo(policy: Policy, apis: readonly ApiIdentity[], workload: NamedWorkload): 'yes' | 'no' | 'unknown' {
  const { namespace, namespaceLabels } = workload;
  const targets = readTargets(policy, { namespace, namespaceLabels: namespaceLabels ?? selectorOf(policy) });
  if (targets === undefined) return 'no';
  const applies = apis.some(
    api => participate(targets, api) !== undefined || indexOperationTargets([targets], api).size > 0,
  );
  if (!applies) return 'no';
  const isDecided = namespaceLabels !== undefined || Object.keys(selectorOf(policy)).length === 0;
  return isDecided ? 'yes' : 'unknown';
}

const selectorOf = (policy: Policy): Labels =>
  policy.kind === 'ClusterAuthPolicy' ? (policy.spec.namespaceSelector?.matchLabels ?? {}) : {};

function indexObjects(objects: readonly SallyportObject[]): ReadonlyMap<string, readonly SallyportObject[]> {
  const index = new Map<string, SallyportObject[]>();
  for (const object of objects) {
    const id = identify(object);
    const known = index.get(id);
    if (known === undefined) index.set(id, [object]);
    else known.push(object);
  }
  return index;
}

interface Finding {
  /** `permitted`: whether Secrets named on behalf of this object may be handed out. */
  visit(object: SallyportObject, permitted: boolean): void;
  readonly result: Omit<NamedMaterial, 'namespaceLabels'>;
}

interface Wanted {
  readonly keys: Set<string>;
  permitted: boolean;
}

function createFinding(index: ReadonlyMap<string, readonly SallyportObject[]>, namespace: string): Finding {
  const secrets = new Map<ObjectKey, Wanted>();
  const configMaps = new Map<ObjectKey, Wanted>();
  const objects = new Set<string>();
  const concerning = new Set<string>();
  const visited = new Set<string>();
  const want = (into: Map<ObjectKey, Wanted>, { key, dataKeys }: Reference, permitted: boolean): void => {
    const known = into.get(key) ?? { keys: new Set<string>(), permitted: false };
    for (const dataKey of dataKeys) known.keys.add(dataKey);
    known.permitted ||= permitted;
    into.set(key, known);
  };
  const visit = (object: SallyportObject, permitted: boolean): void => {
    concerning.add(identify(object));
    for (const reference of listReferences(object)) {
      if (reference.kind === 'Secret') want(secrets, reference, permitted);
      else if (reference.kind === 'ConfigMap') want(configMaps, reference, true);
      else follow(identify(reference), reference.key, permitted);
    }
  };
  const follow = (id: string, key: ObjectKey, permitted: boolean): void => {
    if (!key.startsWith(`${namespace}/`)) objects.add(id);
    const mark = `${permitted ? '+' : '-'}${id}`;
    if (visited.has(mark)) return;
    visited.add(mark);
    for (const object of index.get(id) ?? []) visit(object, permitted);
  };
  return { visit, result: { secrets, configMaps, objects, concerning } };
}

/** What of it the entries at hand lack; empty: they fit. */
export function listMissing(
  named: NamedMaterial,
  has: (kind: 'Secret' | 'ConfigMap' | 'object', key: string) => boolean,
): readonly string[] {
  return [
    ...[...named.secrets.keys()].filter(key => !has('Secret', key)).map(key => `Secret ${key}`),
    ...[...named.configMaps.keys()].filter(key => !has('ConfigMap', key)).map(key => `ConfigMap ${key}`),
    ...[...named.objects].filter(id => !has('object', id)),
    ...(named.namespaceLabels ? ['the labels of the namespace'] : []),
  ];
}
