/** What the controller keeps of a pod: a few hundred bytes of the tens of thousands that the API server sends. */
import { INIT_CONTAINER, PORTS, SIDECAR_CONTAINER } from '../api/names.ts';
import { isRecord, type KubeMetadata, type KubeObject } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';

/** Protected: our sidecar as we inject it. Altered: something of that name that is not. */
export type SidecarFact =
  | { readonly state: 'Protected' }
  | { readonly state: 'None' }
  | { readonly state: 'Altered'; readonly problem: string };

/** Judges a pod as the API server sent it. */
export type VerifySidecar = (pod: KubeObject) => SidecarFact;

export interface PodFacts extends KubeObject {
  readonly metadata: KubeMetadata;
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  /** Numbers of named container ports. */
  readonly ports: Readonly<Record<string, number>>;
  /** Neither ended nor being deleted. */
  readonly live: boolean;
  readonly ready: boolean;
  readonly hostNetwork: boolean;
  readonly sidecar: SidecarFact;
  /** Image of the sidecar; empty without one. */
  readonly image: string;
  /** Ports that its init container left open when the pod was made, by an allowance of then; absent: none. */
  readonly open?: OpenPorts;
}

export interface OpenPorts {
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
}

const list = (value: unknown): readonly Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isRecord) : [];
const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
const text = (value: unknown, otherwise = ''): string => (typeof value === 'string' ? value : otherwise);

export function readPod(pod: KubeObject, verify: VerifySidecar): PodFacts {
  const { metadata } = pod;
  const raw = pod as KubeObject & Record<string, unknown>;
  const [spec, status] = [record(raw['spec']), record(raw['status'])];
  const { name, namespace = '', uid = '', labels = {}, resourceVersion, deletionTimestamp } = metadata;
  const containers = [...list(spec['initContainers']), ...list(spec['containers'])];
  const sidecar = list(spec['initContainers']).find(container => container['name'] === SIDECAR_CONTAINER);
  const phase = text(status['phase'], 'Pending');
  return {
    metadata: { name, namespace, uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    key: `${namespace}/${name}`,
    namespace,
    name,
    uid,
    labels,
    serviceAccount: text(spec['serviceAccountName'], 'default'),
    ports: readPorts(containers),
    live: deletionTimestamp === undefined && phase !== 'Succeeded' && phase !== 'Failed',
    ready: list(status['conditions']).some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    hostNetwork: spec['hostNetwork'] === true,
    sidecar: verify(pod),
    image: text(sidecar?.['image']),
    ...readOpenPorts(list(spec['initContainers']).find(container => container['name'] === INIT_CONTAINER)),
  };
}

/** As the injector wrote them; admission policies keep its arguments as they are. */
function readOpenPorts(init: Readonly<Record<string, unknown>> | undefined): { readonly open?: OpenPorts } {
  const args: readonly unknown[] = Array.isArray(init?.['args']) ? init['args'] : [];
  const read = (flag: string): readonly number[] => {
    const value = args[args.indexOf(flag) + 1];
    if (!args.includes(flag) || typeof value !== 'string') return [];
    return value
      .split(',')
      .map(Number)
      .filter(port => Number.isInteger(port) && port !== PORTS.health);
  };
  const [tcp, udp] = [read('--exclude-ports'), read('--udp-ports')];
  return tcp.length + udp.length === 0 ? {} : { open: { tcp, udp } };
}

function readPorts(containers: readonly Record<string, unknown>[]): Readonly<Record<string, number>> {
  const ports = Object.create(null) as Record<string, number>;
  for (const container of containers) {
    for (const { name, containerPort } of list(container['ports'])) {
      if (typeof name === 'string' && typeof containerPort === 'number') ports[name] = containerPort;
    }
  }
  return ports;
}
