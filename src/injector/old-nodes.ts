/**
 * Nodes whose kubelet does not know init containers that run on: it would wait for the sidecar to end, and never start the
 * app. Which node a pod will get is not known when it is made, so every node counts that the pod does not rule out.
 */
import { isRawObject } from '../api/value.ts';
import type { KubeClient } from '../kube/client.ts';
import { createListWatch, type ListWatch } from '../kube/list-watch.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { Labels, PodSpec } from './pod.ts';
import type { Refusal } from './refusal.ts';

export interface OldNode {
  readonly name: string;
  /** `v1.28.4`. */
  readonly kubelet: string;
  readonly labels: Labels;
}

export interface NodeObject extends KubeObject {
  readonly status?: { readonly nodeInfo?: { readonly kubeletVersion?: string; readonly operatingSystem?: string } };
}

const OLDEST_MINOR = 30;

/** Undefined: the node will do, or says nothing of itself yet. */
export function readOldNode({ metadata: { name, labels = {} }, status }: NodeObject): OldNode | undefined {
  const { kubeletVersion = '', operatingSystem = 'linux' } = status?.nodeInfo ?? {};
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(kubeletVersion) ?? [];
  if (major !== '1' || minor === undefined || Number(minor) >= OLDEST_MINOR) return undefined;
  return operatingSystem === 'linux' ? { name, kubelet: kubeletVersion, labels } : undefined;
}

/** A refusal where the pod may come to such a node. */
export function refuseOldNodes(spec: PodSpec, nodes: readonly OldNode[]): readonly Refusal[] {
  const named = findNamedNodes(spec);
  const possible = nodes.filter(
    ({ name, labels }) =>
      (named === undefined || named.has(name)) &&
      Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value),
  );
  const [first] = possible;
  if (first === undefined) return [];
  const more = possible.length === 1 ? '' : ` (and ${possible.length - 1} more)`;
  return [
    {
      field: 'spec.nodeSelector',
      problem: `may bring the pod to the node ${first.name}${more}, whose kubelet ${first.kubelet} would never start the app behind a sidecar`,
      fix: `upgrade its kubelet to 1.${OLDEST_MINOR} or later, or select nodes that have it`,
    },
  ];
}

/** Where the pod says itself which node it is for: nodeName, or the affinity that DaemonSets write. */
function findNamedNodes({ nodeName, affinity }: PodSpec): ReadonlySet<string> | undefined {
  if (nodeName !== undefined) return new Set([nodeName]);
  const node = readMember(affinity, 'nodeAffinity');
  const terms = readMember(readMember(node, 'requiredDuringSchedulingIgnoredDuringExecution'), 'nodeSelectorTerms');
  if (!Array.isArray(terms) || terms.length === 0) return undefined;
  const names = terms.map(readNames);
  return names.includes(undefined) ? undefined : new Set(names.flatMap(each => each ?? []));
}

function readNames(term: unknown): readonly string[] | undefined {
  const fields = readMember(term, 'matchFields');
  if (!Array.isArray(fields)) return undefined;
  const byName: unknown = fields.find(
    (field: unknown) => readMember(field, 'key') === 'metadata.name' && readMember(field, 'operator') === 'In',
  );
  const values = readMember(byName, 'values');
  return Array.isArray(values) ? values.filter(value => typeof value === 'string') : undefined;
}

const readMember = (value: unknown, name: string): unknown => (isRawObject(value) ? value[name] : undefined);

export interface NodeWatch extends Pick<ListWatch, 'start' | 'stop' | 'synced'> {
  readonly old: () => readonly OldNode[];
}

export function createNodeWatch(deps: {
  readonly client: KubeClient;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
}): NodeWatch {
  let old: readonly OldNode[] = [];
  const watch = createListWatch<NodeObject>({
    ...deps,
    path: resourcePath({ group: '', version: 'v1', resource: 'nodes' }),
    // A node tells of every image that it holds.
    trim: object => {
      const { metadata, status } = object as NodeObject;
      return { metadata, ...(status?.nodeInfo === undefined ? {} : { status: { nodeInfo: status.nodeInfo } }) };
    },
    onChange: nodes => {
      old = [...nodes.values()].flatMap(node => readOldNode(node) ?? []);
    },
  });
  return { start: () => watch.start(), stop: () => watch.stop(), synced: watch.synced, old: () => old };
}
