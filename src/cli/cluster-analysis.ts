/** Every problem of a live cluster. Pure but for the policy tests, which run without a network. */
import { MESH_CA } from '../api/names.ts';
import { API_VERSION } from '../api/object.ts';
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { groupPods } from '../controller/selection.ts';
import { listReferences } from '../material/references.ts';
import type { Material } from '../material/material.ts';
import { matchLabels, type Labels } from '../policy/inventory.ts';
import { createCollection } from '../sources/collection.ts';
import { parseLiveObjects } from '../sources/manifests.ts';
import type { Resources } from '../sources/source.ts';
import { findAdmissionProblems } from './cluster-admission-findings.ts';
import { findMeshProblems } from './cluster-mesh-findings.ts';
import { findPodProblems } from './cluster-pod-findings.ts';
import { findApiPortProblems, findLeftOpenPorts, findServiceProblems } from './cluster-port-findings.ts';
import { readPods, type Pod } from './cluster-pods.ts';
import { findStatusProblems } from './cluster-status-findings.ts';
import type { ClusterView, Raw } from './cluster-view.ts';
import { findWeaknesses } from './cluster-weak.ts';
import { collectProblems, sortProblems, type Workload } from './check-problems.ts';
import { listFailures, runPolicyTests, type TestReport } from './check-tests.ts';

export interface ClusterReport {
  readonly problems: readonly Violation[];
  readonly tests: readonly TestReport[];
  /** How many were looked at. */
  readonly objects: number;
  readonly notChecked: readonly string[];
}

export async function analyzeCluster(
  view: ClusterView,
  { now, namespace }: { readonly now: number; readonly namespace?: string },
): Promise<ClusterReport> {
  const { objects, namespaces, unread, notChecked } = view;
  if (!view.installed) return { problems: [NOT_INSTALLED], tests: [], objects: 0, notChecked };
  const resources = collectResources(view);
  const pods = readPods(view.pods);
  const apis = pick(resources.objects, 'Api');
  const material = forgive(resources, unread);
  const live = { workloads: listWorkloads(resources.objects, apis, pods), material, unread };
  const own = collectProblems(resources, { now, live });
  const tests = await runPolicyTests(
    { ...resources, material },
    { now, ...(namespace === undefined ? {} : { namespace }) },
  );
  const known = new Set(own.filter(({ severity }) => severity === 'error').map(({ object }) => object));
  const scene = { pods, apis, namespaces };
  const clusterPolicies = pick(resources.objects, 'ClusterAuthPolicy');
  const problems = [
    ...own,
    ...listFailures(tests),
    ...findPodProblems(scene),
    ...findApiPortProblems(scene),
    ...findServiceProblems({ ...scene, services: view.services, clusterPolicies, now }),
    ...findLeftOpenPorts({ ...scene, clusterPolicies, now }),
    ...findAdmissionProblems(view.admission, namespaces),
    ...findMeshProblems(view.meshBundles, namespaces, now),
    ...findStatusProblems(objects, known),
    ...findWeaknesses(resources.objects, now),
  ];
  return { problems: sortProblems(problems), tests, objects: objects.length, notChecked };
}

const NOT_INSTALLED: Violation = {
  severity: 'error',
  object: 'CustomResourceDefinition apis.sallyport.dev',
  field: '',
  problem: 'does not exist: this cluster does not know the kinds of sallyport.dev',
  fix: 'install the chart, or kubectl apply -f crds/',
};

const pick = <K extends SallyportObject['kind']>(
  objects: readonly SallyportObject[],
  kind: K,
): readonly ObjectOfKind<K>[] => objects.filter((object): object is ObjectOfKind<K> => object.kind === kind);

/** Status is not part of what is judged. */
export function collectResources({
  objects,
  data,
  namespaces,
}: Pick<ClusterView, 'objects' | 'data' | 'namespaces'>): Resources {
  const labels = [...namespaces].map(([name, own]) => ({
    ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: own } },
  }));
  const texts = [...objects.map(manifestOf), ...data.filter(isNoMeshBundle), ...labels];
  const content = parseLiveObjects(texts);
  return createCollection().collect([content], true);
}

const manifestOf = ({ kind, metadata, spec }: Raw): unknown => ({ apiVersion: API_VERSION, kind, metadata, spec });
const isNoMeshBundle = ({ kind, metadata }: Raw): boolean => kind !== 'ConfigMap' || metadata.name !== MESH_CA;

/** What may not be read is taken to be there, with every key that is asked of it, empty. */
function forgive({ material, objects }: Resources, unread: ReadonlySet<string>): Material {
  if (unread.size === 0) return material;
  const keys = new Map<string, Map<string, Uint8Array>>();
  for (const { kind, key, dataKeys } of objects.flatMap(listReferences)) {
    const id = `${kind} ${key}`;
    if (!unread.has(id)) continue;
    const known = keys.get(id) ?? new Map<string, Uint8Array>();
    for (const dataKey of dataKeys) known.set(dataKey, new Uint8Array());
    keys.set(id, known);
  }
  return {
    ...material,
    secret: key => material.secret(key) ?? keys.get(`Secret ${key}`),
    configMap: key => material.configMap(key) ?? keys.get(`ConfigMap ${key}`),
  };
}

/** One workload for each sort of pods, one for each Api without pods, and one that every cluster policy selects. */
function listWorkloads(
  objects: readonly SallyportObject[],
  apis: readonly ObjectOfKind<'Api'>[],
  pods: readonly Pod[],
): readonly Workload[] {
  const names = new Set(objects.map(({ meta }) => meta.namespace).filter(name => name !== ''));
  const found = [...names].flatMap((namespace): readonly Workload[] => {
    const own = apis.filter(({ meta }) => meta.namespace === namespace);
    const classes = groupPods(
      pods.filter(pod => pod.namespace === namespace),
      own,
    );
    const isSelected = (labels: Labels): boolean =>
      own.some(({ spec }) => matchLabels(spec.podSelector.matchLabels, labels));
    const real = classes
      .filter(({ labels }) => isSelected(labels))
      .map(({ labels, ports }) => ({ namespace, labels, ports: { ...ports } }));
    const missed = own
      .map(({ spec }) => spec.podSelector.matchLabels)
      .filter(labels => !classes.some(one => matchLabels(labels, one.labels)))
      .map(labels => ({ namespace, labels }));
    const all = [...real, ...missed];
    return all.length > 0 ? all : [{ namespace, labels: {} }];
  });
  const everywhere = objects.some(({ kind }) => kind === 'ClusterAuthPolicy') ? [{ namespace: '', labels: {} }] : [];
  return [...found, ...everywhere];
}
