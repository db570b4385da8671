/** Which Api and operation of the manifests would serve a request, by the same match tables as the data path. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { compileSnapshot } from '../policy/compile.ts';
import type { ListenerPlan, Match, Snapshot } from '../policy/model.ts';
import type { Resources } from '../sources/source.ts';
import type { RequestLine } from './explain-input.ts';

export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Found {
  readonly snapshot: Snapshot;
  readonly listener: ListenerPlan;
  readonly match: Match;
}

const decoder = new TextDecoder();

function compile(resources: Resources, workload: Workload): Snapshot {
  const { objects, invalid, material, namespaces, hash } = resources;
  return compileSnapshot({
    objects,
    invalid,
    lookup: (kind, key, dataKey) => {
      const bytes = (kind === 'Secret' ? material.secret(key) : material.configMap(key))?.get(dataKey);
      return bytes === undefined ? undefined : decoder.decode(bytes);
    },
    workload: { ...workload, namespaceLabels: namespaces.get(workload.namespace) ?? {}, ports: portsOf(objects) },
    generation: 1,
    hash,
    source: 'files',
  }).snapshot;
}

/** Manifests do not tell the numbers of named ports; one that no Api has written will do. */
function portsOf(objects: Resources['objects']): Readonly<Record<string, number>> {
  const named = objects.flatMap(object =>
    object.kind === 'Api' && typeof object.spec.port === 'string' ? [object.spec.port] : [],
  );
  return Object.fromEntries([...new Set(named)].map((name, at) => [name, 65535 - at]));
}

/** Every podSelector of an Api stands for a workload, unless the user says which one is meant. */
export function listWorkloads(
  objects: Resources['objects'],
  { namespace, labels }: { readonly namespace?: string | undefined; readonly labels?: Workload['labels'] | undefined },
): readonly Workload[] {
  const apis = objects.filter((object): object is ObjectOfKind<'Api'> => object.kind === 'Api');
  const workloads = new Map<string, Workload>();
  for (const { meta, spec } of apis) {
    if (namespace !== undefined && meta.namespace !== namespace) continue;
    const workload = { namespace: meta.namespace, labels: labels ?? spec.podSelector.matchLabels };
    workloads.set(JSON.stringify(workload), workload);
  }
  return [...workloads.values()];
}

const RANK: Readonly<Record<Match['kind'], number>> = { matched: 0, refused: 1 };

/**
 * The first match; where nothing matches, the refusal that the client would get. A port in the URL chooses the listener
 * only if some Api has it: outside a pod the port is usually the Service's.
 */
export function findRoute(resources: Resources, workloads: readonly Workload[], line: RequestLine): Found | undefined {
  const { path } = line.target;
  if (path === undefined) return undefined;
  const all = workloads.flatMap(workload => {
    const snapshot = compile(resources, workload);
    return [...snapshot.listeners.values()].map(listener => ({ snapshot, listener }));
  });
  const asked = all.filter(({ listener }) => listener.port === line.port);
  return (asked.length > 0 ? asked : all)
    .map(one => ({ ...one, match: one.listener.match(line.method, line.host, path) }))
    .toSorted((a, b) => RANK[a.match.kind] - RANK[b.match.kind])[0];
}
