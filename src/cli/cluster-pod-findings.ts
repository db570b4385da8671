/** Pods that should be protected and are not. */
import { INJECT_LABEL } from '../api/names.ts';
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { quote } from '../api/words.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import { isOptedIn, isSystem, type Pod } from './cluster-pods.ts';

type Api = ObjectOfKind<'Api'>;

export interface PodScene {
  readonly pods: readonly Pod[];
  readonly apis: readonly Api[];
  readonly namespaces: ReadonlyMap<string, Labels>;
}

export function findPodProblems(scene: PodScene): readonly Violation[] {
  const byOwner = Map.groupBy(scene.pods, ({ owner }) => owner);
  return [...judgeLabels(scene.namespaces), ...[...byOwner.values()].flatMap(pods => judgeOwner(pods, scene))];
}

export const selectsPod = ({ meta, spec }: Api, { namespace, labels }: Pod): boolean =>
  meta.namespace === namespace && matchLabels(spec.podSelector.matchLabels, labels);

function judgeLabels(namespaces: ReadonlyMap<string, Labels>): readonly Violation[] {
  return [...namespaces].flatMap(([name, labels]): readonly Violation[] => {
    const value = labels[INJECT_LABEL];
    if (value === undefined) return [];
    const place = {
      severity: 'error',
      object: `Namespace ${name}`,
      field: `metadata.labels["${INJECT_LABEL}"]`,
    } as const;
    if (isSystem(name)) {
      return [{ ...place, problem: 'a namespace of the system is never injected', fix: 'remove the label' }];
    }
    if (value === 'enabled') return [];
    const problem = `is ${quote(value)}, which opts nothing in`;
    return [{ ...place, problem, fix: 'write enabled, or remove the label' }];
  });
}

/** Pods of one owner come from one template: what is wrong with all of them is said once. */
function judgeOwner(pods: readonly Pod[], scene: PodScene): readonly Violation[] {
  const concerned = pods.flatMap(pod => {
    const reason = findReason(pod, scene);
    return reason === undefined ? [] : [{ pod, reason }];
  });
  const [first] = concerned;
  if (first === undefined) return [];
  const host = concerned.filter(({ pod }) => pod.hostNetwork);
  const rest = concerned.filter(({ pod }) => !pod.hostNetwork);
  const altered = rest.filter(({ pod }) => pod.sidecar.state === 'Altered');
  const bare = rest.filter(({ pod }) => pod.sidecar.state === 'None');
  const report = (some: typeof concerned, field: string, problem: string, fix: string): readonly Violation[] => {
    const [one] = some;
    if (one === undefined) return [];
    const { owner, ownerKind } = one.pod;
    const at = ownerKind === 'Pod' ? field : `spec.template.${field}`;
    const what = `${countPods(
      some.map(({ pod }) => pod.name),
      pods.length,
      ownerKind,
    )} ${problem}`;
    return [{ severity: 'error', object: owner, field: at, problem: what, fix }];
  };
  const use = host.length === 1 ? 'uses' : 'use';
  const run = bare.length === 1 ? 'runs' : 'run';
  return [
    ...report(
      host,
      'spec.hostNetwork',
      `${use} the node’s network, where no sidecar can protect, though ${first.reason.because}`,
      'remove hostNetwork, or take the label or the Api’s podSelector away from it',
    ),
    ...report(
      altered,
      'spec.initContainers',
      'has a container named sallyport that is not the injected one',
      'remove it from the manifest, and make the pods anew',
    ),
    ...report(
      bare,
      'spec.initContainers',
      `${run} without a sidecar, though ${first.reason.because}`,
      describeFix(first),
    ),
  ];
}

function countPods(names: readonly string[], all: number, ownerKind: string): string {
  const sorted = names.toSorted();
  if (ownerKind === 'Pod') return 'it';
  const shown = sorted.length <= 3 ? sorted.join(', ') : `${sorted.slice(0, 3).join(', ')} …`;
  return `${names.length}/${all} ${all === 1 ? 'pod' : 'pods'} (${shown})`;
}

interface Reason {
  readonly because: string;
  readonly optedIn: boolean;
}

/** Why a pod needs a sidecar and has none; undefined: it does not, or it has. */
function findReason(pod: Pod, { apis, namespaces }: PodScene): Reason | undefined {
  if (pod.sidecar.state === 'Protected' && !pod.hostNetwork) return undefined;
  const optedIn = isOptedIn(pod.labels, namespaces.get(pod.namespace)) === true;
  const api = apis.find(one => selectsPod(one, pod));
  if (api !== undefined)
    return { optedIn, because: `${identify(api)} selects ${pod.ownerKind === 'Pod' ? 'it' : 'them'}` };
  if (!optedIn) return undefined;
  const label = pod.labels[INJECT_LABEL] === 'enabled' ? 'its pods have' : `namespace ${pod.namespace} has`;
  return { optedIn, because: `${label} the label ${INJECT_LABEL}` };
}

function describeFix({ pod, reason }: { readonly pod: Pod; readonly reason: Reason }): string {
  const { namespace, ownerKind, ownerName } = pod;
  const label = reason.optedIn ? '' : `kubectl label namespace ${namespace} ${INJECT_LABEL}=enabled, then `;
  const restartable = ['Deployment', 'StatefulSet', 'DaemonSet'].includes(ownerKind);
  if (restartable) {
    return `${label}kubectl -n ${namespace} rollout restart ${ownerKind.toLowerCase()}/${ownerName}`;
  }
  return `${label}${ownerKind === 'Pod' ? 'delete it and make it anew' : `make the pods of ${ownerKind} ${ownerName} anew`}`;
}
