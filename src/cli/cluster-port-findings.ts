/** Ports of Apis that no container has, and Services that lead to no Api. */
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { findOpening, isInForce, listAllowances } from '../policy/allowances.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import { describeLeftOpen, findLeftOpen, nameAnnotations } from '../controller/left-open.ts';
import { isRecord } from '../kube/objects.ts';
import { selectsPod, type PodScene } from './cluster-pod-findings.ts';
import type { Pod } from './cluster-pods.ts';
import type { Raw } from './cluster-view.ts';

type Api = ObjectOfKind<'Api'>;

/** Pods that nothing selects yet are no fault, but whoever looks wants to know. */
export function findApiPortProblems({ apis, pods }: Pick<PodScene, 'apis' | 'pods'>): readonly Violation[] {
  return apis.flatMap((api): readonly Violation[] => {
    const own = pods.filter(pod => selectsPod(api, pod));
    const { port } = api.spec;
    if (own.length === 0) {
      const labels = Object.entries(api.spec.podSelector.matchLabels).map(([key, value]) => `${key}=${value}`);
      const problem = `selects no pod of namespace ${api.meta.namespace} (${labels.join(', ')})`;
      return [warn(api, 'spec.podSelector', problem, 'write the labels of the pods, or ignore this until they run')];
    }
    // A name that pods lack is an error of the compiler's.
    if (typeof port !== 'number' || own.some(({ declared }) => declared.includes(port))) return [];
    const declared = [...new Set(own.flatMap(pod => pod.declared))].sort((a, b) => a - b);
    // Containers need not declare their ports, so silence says nothing.
    if (declared.length === 0) return [];
    const problem = `no container of the ${own.length === 1 ? 'pod' : `${own.length} pods`} that it selects declares port ${port}; declared ${declared.length === 1 ? 'is' : 'are'} ${declared.join(', ')}`;
    return [warn(api, 'spec.port', problem, `write the port at which the app listens, or declare ${port}`)];
  });
}

const countPods = (count: number): string => (count === 1 ? '1 pod' : `${count} pods`);

const warn = (object: SallyportObject, field: string, problem: string, fix: string): Violation => ({
  ...{ severity: 'warning', object: identify(object), field, problem, fix },
});

interface ServiceScene extends PodScene {
  readonly services: readonly Raw[];
  readonly clusterPolicies: readonly ObjectOfKind<'ClusterAuthPolicy'>[];
  readonly now: number;
}

/** Of protected pods: connections to any other port are reset at accept (S9), so the Service cannot work. */
export function findServiceProblems(scene: ServiceScene): readonly Violation[] {
  return scene.services.flatMap(service => {
    const { namespace = '', name } = service.metadata;
    const spec = isRecord(service['spec']) ? service['spec'] : {};
    const selector = readSelector(spec['selector']);
    if (selector === undefined) return [];
    const pods = scene.pods.filter(
      pod => pod.namespace === namespace && pod.sidecar.state === 'Protected' && matchLabels(selector, pod.labels),
    );
    const ports = Array.isArray(spec['ports']) ? spec['ports'].filter(isRecord) : [];
    return ports.flatMap((port, index) => {
      const problem = judgePort(port, pods, scene);
      if (problem === undefined) return [];
      const fix = 'lead it to the port of an Api, or write an Api for that port';
      const place = { object: `Service ${namespace}/${name}`, field: `spec.ports[${index}].targetPort` };
      return [{ severity: 'warning', ...place, problem, fix } satisfies Violation];
    });
  });
}

/** Pods of one owner come from one template, so what they leave open is said once. */
export function findLeftOpenPorts({
  pods,
  namespaces,
  clusterPolicies,
  now,
}: Pick<ServiceScene, 'pods' | 'namespaces' | 'clusterPolicies' | 'now'>): readonly Violation[] {
  const found = pods.flatMap(pod => {
    const labels = namespaces.get(pod.namespace);
    // What is allowed cannot be told without the namespace's labels.
    if (labels === undefined || pod.open === undefined) return [];
    const allowances = clusterPolicies.flatMap(({ key, spec }) => listAllowances(key, spec, labels));
    const left = findLeftOpen(pod, allowances, now);
    return left === undefined ? [] : [{ pod, left }];
  });
  return [...Map.groupBy(found, ({ pod }) => pod.owner).values()].flatMap((own): readonly Violation[] => {
    const [first] = own;
    if (first === undefined) return [];
    const { owner, ownerKind } = first.pod;
    const annotation = nameAnnotations(first.left);
    const who = ownerKind === 'Pod' ? 'it' : countPods(own.length);
    const say = describeLeftOpen(first.left);
    return [
      {
        ...{ severity: 'error', object: owner },
        field: `${ownerKind === 'Pod' ? '' : 'spec.template.'}metadata.annotations`,
        problem: `${who} ${own.length > 1 ? say.replace(/^leaves/, 'leave') : say}: rules are written when a pod starts`,
        fix: `remove ${annotation} and make the pods anew, or give the allowance a later until in its ClusterAuthPolicy`,
      },
    ];
  });
}

/** Undefined: it selects nothing by itself (no selector). */
function readSelector(value: unknown): Labels | undefined {
  if (!isRecord(value)) return undefined;
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function judgePort(
  port: Readonly<Record<string, unknown>>,
  pods: readonly Pod[],
  scene: ServiceScene,
): string | undefined {
  const { targetPort = port['port'], protocol = 'TCP' } = port;
  if (protocol !== 'TCP' || (typeof targetPort !== 'number' && typeof targetPort !== 'string')) return undefined;
  const lost = pods.filter(pod => !isServed(resolvePort(targetPort, pod), pod, scene));
  if (lost.length === 0) return undefined;
  const [first] = lost;
  const known = scene.apis.filter(api => first !== undefined && selectsPod(api, first)).map(nameApiPort);
  const has = known.length === 0 ? 'no Api selects such a pod' : `its Apis have ${known.join(', ')}`;
  return `leads to port ${targetPort} of ${countPods(lost.length)} where no Api listens, so connections are reset; ${has}`;
}

const nameApiPort = (api: Api): string => `${api.spec.port} (${identify(api)})`;

const resolvePort = (port: number | string, { ports }: Pod): number | undefined =>
  typeof port === 'number' ? port : ports[port];

function isServed(
  port: number | undefined,
  pod: Pod,
  { apis, clusterPolicies, namespaces, now }: ServiceScene,
): boolean {
  // A name that the pod lacks: the Service leads nowhere in any case, which Kubernetes shows itself.
  if (port === undefined) return true;
  if (apis.some(api => selectsPod(api, pod) && resolvePort(api.spec.port, pod) === port)) return true;
  const labels = namespaces.get(pod.namespace);
  // What is allowed cannot be told without the namespace's labels.
  if (labels === undefined) return true;
  const allowances = clusterPolicies
    .flatMap(({ key, spec }) => listAllowances(key, spec, labels))
    .filter(allowance => isInForce(allowance, now));
  return (
    findOpening(allowances, now) !== undefined || allowances.some(({ excludePorts }) => excludePorts.includes(port))
  );
}
