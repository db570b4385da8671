/** Which pods of a namespace its Apis and policies select. Pods that no selector can tell apart are one class. */
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import {
  indexOperationTargets,
  orderPolicies,
  participate,
  readTargets,
  type ApiIdentity,
  type Participation,
  type Targets,
} from '../policy/scopes.ts';
import type { PodFacts } from './pods.ts';

/** Pods that have the same labels, as far as any selector of the namespace asks, and the same named ports. */
export interface PodClass {
  /** Equal for equal classes of a namespace. */
  readonly key: string;
  readonly labels: Labels;
  readonly ports: Readonly<Record<string, number>>;
  readonly pods: readonly PodFacts[];
}

export type Api = ObjectOfKind<'Api'>;
export type Policy = ObjectOfKind<'AuthPolicy'> | ObjectOfKind<'ClusterAuthPolicy'>;

export const isPolicy = (object: SallyportObject): object is Policy =>
  object.kind === 'AuthPolicy' || object.kind === 'ClusterAuthPolicy';

/** Names of the labels by which Apis select. */
export function collectSelectorNames(apis: readonly Api[]): readonly string[] {
  return [...new Set(apis.flatMap(({ spec }) => Object.keys(spec.podSelector.matchLabels)))].sort();
}

/** What of a pod the Apis can see, as a text. */
export function classifyPod(pod: Pick<PodFacts, 'labels' | 'ports'>, names: readonly string[]): string {
  const labels = names.map(name => (Object.hasOwn(pod.labels, name) ? pod.labels[name] : null));
  return JSON.stringify([labels, Object.entries(pod.ports).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export function groupPods(pods: Iterable<PodFacts>, apis: readonly Api[]): readonly PodClass[] {
  const names = collectSelectorNames(apis);
  const groups = new Map<string, PodFacts[]>();
  for (const pod of pods) {
    const key = classifyPod(pod, names);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [pod]);
    else known.push(pod);
  }
  return [...groups].flatMap(([key, members]) => {
    const [first] = members;
    if (first === undefined) return [];
    const labels = Object.fromEntries(Object.entries(first.labels).filter(([name]) => names.includes(name)));
    return [{ key, labels, ports: first.ports, pods: members }];
  });
}

/** What applies to what, whatever pods there are. */
export interface Attachment {
  readonly apis: readonly Api[];
  /** By identity of the policy; policies that apply to no Api of the namespace are absent. */
  readonly apisOf: ReadonlyMap<string, readonly Api[]>;
  /** Policies that apply to a whole Api, in the order in which their steps run (S2), by the Api’s identity. */
  readonly orderOf: ReadonlyMap<string, readonly string[]>;
}

export interface AttachmentInput {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  readonly apis: readonly Api[];
  /** Of the namespace, and cluster policies. */
  readonly policies: readonly Policy[];
}

export function attachPolicies(input: AttachmentInput): Attachment {
  const { apis, policies } = input;
  const identities = apis.map(api => ({ api, identity: describeApi(api) }));
  const apisOf = new Map<string, readonly Api[]>();
  const participations = new Map<string, Participation[]>(apis.map(api => [identify(api), []]));
  const sealed = new Map(policies.map(policy => [identify(policy), policy.spec.sealed]));
  for (const policy of policies) {
    const targets = readTargets(policy, input);
    if (targets === undefined) continue;
    const own = identities.filter(({ identity }) => appliesTo(targets, identity)).map(({ api }) => api);
    for (const { api, identity } of identities) {
      const participation = participate(targets, identity);
      if (participation !== undefined) participations.get(identify(api))?.push(participation);
    }
    if (own.length > 0) apisOf.set(identify(policy), own);
  }
  const order = (all: readonly Participation[]): readonly string[] =>
    orderPolicies(all, targets => sealed.get(targets.id) ?? true).map(({ targets }) => targets.id);
  return { apis, apisOf, orderOf: new Map([...participations].map(([id, all]) => [id, order(all)])) };
}

export interface Selection {
  /** Pods by identity of the Api (`Api shop/fleet`). */
  readonly ofApi: ReadonlyMap<string, readonly PodFacts[]>;
  /** Pods by identity of the policy, each once; policies that apply to no Api of the namespace are absent. */
  readonly ofPolicy: ReadonlyMap<string, readonly PodFacts[]>;
}

export function selectPods({ apis, apisOf }: Attachment, classes: readonly PodClass[]): Selection {
  const selected = new Map(
    apis.map(api => [
      identify(api),
      classes.filter(({ labels }) => matchLabels(api.spec.podSelector.matchLabels, labels)),
    ]),
  );
  const pods = (own: readonly Api[]): readonly PodFacts[] => {
    const distinct = new Set(own.flatMap(api => selected.get(identify(api)) ?? []));
    return [...distinct].flatMap(({ pods: members }) => members);
  };
  return {
    ofApi: new Map(apis.map(api => [identify(api), pods([api])])),
    ofPolicy: new Map([...apisOf].map(([id, own]) => [id, pods(own)])),
  };
}

const describeApi = ({ meta, spec }: Api): ApiIdentity => ({
  name: meta.name,
  labels: meta.labels,
  operations: new Set((spec.operations ?? []).map(({ name }) => name)),
});

/** S1, S6: at any scope. */
const appliesTo = (targets: Targets, api: ApiIdentity): boolean =>
  participate(targets, api) !== undefined || indexOperationTargets([targets], api).size > 0;
