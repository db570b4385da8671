/** Pods of the tests' app, of every owner, and what became of them. */
import { requirePart } from '../../../cluster/parts.ts';
import type { Manifest } from '../../support/manifests.ts';
import { locateSocket } from './node-daemons.ts';
import type { ClusterNode } from './node.ts';
import type { Finished } from './processes.ts';

export const APP_IMAGE = 'localhost/app:test';

export interface AppPod {
  /** Also the label `app`. */
  readonly name: string;
  readonly namespace: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  /** Of the container. */
  readonly container?: Readonly<Record<string, unknown>>;
  /** Of the pod. */
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function describeTemplate({ name, env = {}, command, container = {}, spec = {}, annotations }: AppPod) {
  return {
    metadata: { labels: { app: name }, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      terminationGracePeriodSeconds: 2,
      ...spec,
      containers: [
        {
          ...{ name: 'app', image: APP_IMAGE, imagePullPolicy: 'Never' },
          env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
          ...(command === undefined ? {} : { command }),
          ...container,
        },
      ],
    },
  };
}

export function describeBarePod(pod: AppPod): Manifest {
  const { metadata, spec } = describeTemplate(pod);
  const { name, namespace } = pod;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name, namespace }, spec };
}

export function describeOwner(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet', pod: AppPod, more = {}): Manifest {
  const { name, namespace } = pod;
  return {
    ...{ apiVersion: 'apps/v1', kind, metadata: { name, namespace } },
    spec: { selector: { matchLabels: { app: name } }, template: describeTemplate(pod), ...more },
  };
}

export function describeJob(pod: AppPod): Manifest {
  const { name, namespace } = pod;
  return {
    ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace } },
    spec: { template: describeTemplate({ ...pod, spec: { restartPolicy: 'Never', ...pod.spec } }), backoffLimit: 0 },
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
}

export interface PodSeen {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly initContainers?: readonly { readonly name: string; readonly image: string }[] };
  readonly status: {
    readonly phase: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime: string;
    }[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

/** Those that are not being deleted. */
export async function listPods(node: ClusterNode, namespace: string, app: string): Promise<readonly PodSeen[]> {
  const query = `labelSelector=${encodeURIComponent(`app=${app}`)}`;
  const { status, body } = await node.call('GET', `/api/v1/namespaces/${namespace}/pods?${query}`);
  if (status !== 200) throw new Error(`no list of the pods in ${namespace}: ${status} ${JSON.stringify(body)}`);
  return (body as { items: PodSeen[] }).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

export const isReady = ({ status }: PodSeen): boolean =>
  status.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true;

export const isInjected = ({ spec }: PodSeen): boolean =>
  spec.initContainers?.some(({ name }) => name === 'sallyport') === true;

export const addressesOf = ({ status }: PodSeen): readonly string[] => status.podIPs?.map(({ ip }) => ip) ?? [];

/** All of them, when there are that many and all are ready. @throws Error with their events. */
export async function waitForPods(
  node: ClusterNode,
  namespace: string,
  app: string,
  count = 1,
): Promise<readonly PodSeen[]> {
  try {
    return await node.waitFor(
      `${count} ready pods ${namespace}/${app}`,
      async () => {
        const pods = await listPods(node, namespace, app);
        return pods.length === count && pods.every(isReady) && pods;
      },
      90_000,
    );
  } catch (error) {
    const about = ['-n', namespace];
    const events = await node.kubectl([...about, 'get', 'events', '--sort-by', '.lastTimestamp']);
    const pods = await node.kubectl([...about, 'get', 'pods', '-o', 'wide']);
    const logs = await node.kubectl([...about, 'logs', '-l', `app=${app}`, '--all-containers', '--tail', '15']);
    throw new Error([String(error), ...[pods, events, logs].map(({ stdout }) => stdout)].join('\n'), { cause: error });
  }
}

/** As the kernel would, out of memory. The kubelet starts it again. */
export async function killContainer(node: ClusterNode, pod: PodSeen, container: string): Promise<void> {
  const { code, stderr } = await runCtr(node, ['tasks', 'kill', '--signal', 'SIGKILL', findContainer(pod, container)]);
  if (code !== 0) throw new Error(`${container} cannot be killed: ${stderr}`);
}

export const killSidecar = (node: ClusterNode, pod: PodSeen): Promise<void> => killContainer(node, pod, 'sallyport');

/** A container's first process, as the node numbers it. */
export async function findProcess(node: ClusterNode, pod: PodSeen, container: string): Promise<number> {
  const { stdout } = await runCtr(node, ['tasks', 'ls']);
  const [, pid] = new RegExp(`^${findContainer(pod, container)}\\s+(\\d+)`, 'm').exec(stdout) ?? [];
  if (pid === undefined) throw new Error(`${container} does not run`);
  return Number(pid);
}

function findContainer({ status }: PodSeen, container: string): string {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return all.find(({ name }) => name === container)?.containerID?.replace('containerd://', '') ?? 'none';
}

function runCtr(node: ClusterNode, args: readonly string[]): Promise<Finished> {
  const ctr = [requirePart('ctr'), '--address', locateSocket(node.folder), '--namespace', 'k8s.io'];
  return node.execInNetns([...ctr, ...args]);
}
