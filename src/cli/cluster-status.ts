/** `status --cluster`: each workload that Apis select or that is opted in, from its pods and from what the controller said. Pure. */
import type { SallyportObject } from '../api/kinds/index.ts';
import { isRecord } from '../kube/objects.ts';
import { listNamed } from '../material/named.ts';
import { collectResources } from './cluster-analysis.ts';
import { selectsPod } from './cluster-pod-findings.ts';
import { isOptedIn, readPods, readVersion, type Pod } from './cluster-pods.ts';
import { identifyRaw, readConditions } from './cluster-status-findings.ts';
import type { ClusterView, Raw } from './cluster-view.ts';

export interface PolicyStatus {
  /** `AuthPolicy shop/fleet`. */
  readonly object: string;
  /** The newest. */
  readonly generation: number;
  /** Of which the counts are; undefined: the controller has said nothing. */
  readonly observed?: number;
  /** Of all pods that the policy selects, other workloads’ included. */
  readonly enforcing?: number;
  readonly matched?: number;
}

export interface WorkloadStatus {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly pods: { readonly injected: number; readonly ready: number; readonly total: number };
  readonly policies: readonly PolicyStatus[];
  /** Of the sidecars, the one that most pods have first. */
  readonly versions: readonly string[];
  /** Milliseconds since the keys were fetched that were fetched longest ago. */
  readonly keyAgeMs?: number;
  /** Milliseconds since the epoch: of what the sidecar presents to the app, whatever ends first. */
  readonly certificateEnds?: number;
  readonly warnings: readonly string[];
}

/** In order of namespace, kind and name. */
export function describeWorkloads(view: ClusterView, now: number): readonly WorkloadStatus[] {
  const { objects } = collectResources({ ...view, data: [] });
  const raw = new Map(view.objects.map(object => [identifyRaw(object), object]));
  const scene: Scene = { objects, raw, view, now };
  const workloads = Map.groupBy(readPods(view.pods), ({ owner }) => owner);
  return [...workloads.values()]
    .flatMap(pods => describeWorkload(pods, scene) ?? [])
    .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.kind, b.kind) || compare(a.name, b.name));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

interface Scene {
  readonly objects: readonly SallyportObject[];
  readonly raw: ReadonlyMap<string, Raw>;
  readonly view: ClusterView;
  readonly now: number;
}

function describeWorkload(pods: readonly Pod[], scene: Scene): WorkloadStatus | undefined {
  const { objects, raw, view, now } = scene;
  const [first] = pods;
  if (first === undefined) return undefined;
  const { namespace, ownerKind: kind, ownerName: name, labels } = first;
  const namespaceLabels = view.namespaces.get(namespace);
  const apis = objects.filter(object => object.kind === 'Api' && selectsPod(object, first));
  const isOurs = apis.length > 0 || pods.some(pod => pod.sidecar.state !== 'None');
  if (!isOurs && isOptedIn(labels, namespaceLabels) !== true) return undefined;
  const { concerning } = listNamed(objects, { namespace, namespaceLabels, labels });
  const own = [...concerning].flatMap(id => raw.get(id) ?? []);
  const fetched = own.flatMap(object => readTime(object, 'keys', 'fetchedAt'));
  const ends = own.flatMap(object => readTime(object, 'certificate', 'notAfter'));
  const injected = pods.filter(({ sidecar }) => sidecar.state === 'Protected');
  return {
    ...{ namespace, kind, name },
    pods: { injected: injected.length, ready: pods.filter(({ ready }) => ready).length, total: pods.length },
    policies: own.filter(({ kind: of = '' }) => of.endsWith('AuthPolicy')).map(describePolicy),
    versions: countVersions(injected),
    ...(fetched.length === 0 ? {} : { keyAgeMs: Math.max(0, now - Math.min(...fetched)) }),
    ...(ends.length === 0 ? {} : { certificateEnds: Math.min(...ends) }),
    warnings: [...warnOfPods(pods, apis.length), ...own.flatMap(warnOfObject)],
  };
}

function countVersions(pods: readonly Pod[]): readonly string[] {
  const counts = Map.groupBy(pods, ({ image }) => readVersion(image));
  return [...counts].sort(([, a], [, b]) => b.length - a.length).map(([version]) => version);
}

function readTime(raw: Raw, part: string, member: string): readonly number[] {
  const status = isRecord(raw['status']) ? raw['status'] : {};
  const told = isRecord(status[part]) ? status[part][member] : undefined;
  const time = typeof told === 'string' ? Date.parse(told) : Number.NaN;
  return Number.isNaN(time) ? [] : [time];
}

/** The message of Enforced is the API’s: `generation 7 on 12/12 pods`. */
function describePolicy(raw: Raw): PolicyStatus {
  const base = { object: identifyRaw(raw), generation: raw.metadata.generation ?? 0 };
  const enforced = readConditions(raw).find(({ type }) => type === 'Enforced');
  const [, observed, enforcing, matched] = /^generation (\d+) on (\d+)\/(\d+) pods/.exec(enforced?.message ?? '') ?? [];
  if (observed === undefined) return base;
  return { ...base, observed: Number(observed), enforcing: Number(enforcing), matched: Number(matched) };
}

function warnOfPods(pods: readonly Pod[], apis: number): readonly string[] {
  const bare = pods.filter(({ sidecar }) => sidecar.state === 'None').length;
  const altered = pods.filter(({ sidecar }) => sidecar.state === 'Altered').length;
  return [
    ...(bare > 0 ? [`${bare} without a sidecar`] : []),
    ...(altered > 0 ? [`${altered} with a foreign sidecar`] : []),
    ...(pods.some(({ hostNetwork }) => hostNetwork) ? ['on the node’s network'] : []),
    ...(apis === 0 ? ['no Api selects it'] : []),
  ];
}

/** Conditions that warn while they are True, and those that do while they are not. */
const WARNING = new Set(['AppExposed', 'Audit', 'TenantControlled']);

function warnOfObject(raw: Raw): readonly string[] {
  const { kind = '', metadata } = raw;
  const name = `${kind} ${metadata.name}`;
  const conditions = readConditions(raw);
  if (conditions.length === 0) return [`${name}: no status`];
  const { generation = 0 } = metadata;
  if (conditions.some(({ observedGeneration = generation }) => observedGeneration < generation)) {
    return [`${name}: status is of an older generation`];
  }
  const wrong = conditions.filter(({ type, status }) => (status === 'True') === WARNING.has(type));
  // The pods are counted in a column of their own.
  const told = wrong.filter(({ type, reason }) => type !== 'Enforced' || reason === 'SidecarTooOld');
  return told.map(({ type, reason }) => `${name}: ${reason === type ? type : `${type} (${reason})`}`);
}

/** The policy that is furthest from being in force everywhere. */
export function findWorst(policies: readonly PolicyStatus[]): PolicyStatus | undefined {
  const share = ({ observed, generation, enforcing = 0, matched = 0 }: PolicyStatus): number =>
    observed === undefined ? -2 : observed < generation ? -1 : matched === 0 ? 0 : enforcing / matched;
  return policies.toSorted((a, b) => share(a) - share(b))[0];
}
