/**
 * The sidecar as a pod has it, without a node: the real program beside a control plane, with a service account’s token that
 * RBAC binds as the controller would bind it, and the files that the kubelet would mount.
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GROUP } from '../../../src/api/object.ts';
import { startSidecar, type Sidecar, type SidecarOptions } from '../../support/sidecar.ts';
import type { Cluster } from './cluster.ts';

export interface ProtectedPod {
  readonly namespace: string;
  /** As the downward API would write them; what is written takes effect in a running sidecar. */
  setLabels(labels: Readonly<Record<string, string>>): Promise<void>;
  /** The files of the token volume: `api-token`, `controller-token`. */
  setToken(name: string, token: string): Promise<void>;
  /** A container of the pod: the state folder outlives it. */
  start(options?: SidecarOptions): Promise<Sidecar>;
  /** Ends what has been started, and only then takes away what it writes to. */
  remove(): Promise<void>;
}

const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const READ = { apiGroups: [GROUP], resources: ['*'], verbs: ['get', 'list', 'watch'] };

export interface ProtectedPodOptions {
  /** The namespace is there, and the controller lets its pods read policies. Default: both are made here. */
  readonly granted?: boolean;
}

export async function createProtectedPod(
  cluster: Cluster,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  { granted = false }: ProtectedPodOptions = {},
): Promise<ProtectedPod> {
  if (!granted) {
    await cluster.createNamespace(namespace);
    await grant(cluster, namespace);
  }
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-pod-'));
  const write = async (place: string, name: string, text: string): Promise<void> => {
    await mkdir(join(folder, place), { recursive: true });
    await writeFile(join(folder, place, `${name}.new`), text);
    await rename(join(folder, place, `${name}.new`), join(folder, place, name));
  };
  const started = new Set<Sidecar>();
  const pod: ProtectedPod = {
    namespace,
    setLabels: now =>
      write(
        'pod',
        'labels',
        Object.entries(now)
          .map(([name, value]) => `${name}=${JSON.stringify(value)}\n`)
          .join(''),
      ),
    setToken: (name, token) => write('tokens', name, token),
    start: async ({ args = [], ...options } = {}) => {
      const source = ['--source', 'kubernetes', '--namespace', namespace, ...describePlace(cluster, folder)];
      const sidecar = await startSidecar({ ...options, source, env: describeEnvironment(cluster), args });
      started.add(sidecar);
      return sidecar;
    },
    remove: async () => {
      await Promise.all([...started].map(sidecar => sidecar.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
  await pod.setLabels(labels);
  await pod.setToken('api-token', await cluster.createToken(namespace, 'default', 'https://kubernetes.default.svc'));
  return pod;
}

function describePlace({ ca }: Cluster, folder: string): string[] {
  return [
    ...['--kubernetes-ca', Buffer.from(ca).toString('base64')],
    ...['--tokens', join(folder, 'tokens'), '--pod-info', join(folder, 'pod'), '--state', join(folder, 'state')],
  ];
}

function describeEnvironment({ server }: Cluster): Readonly<Record<string, string>> {
  const { hostname, port } = new URL(server);
  return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
}

async function grant({ call }: Cluster, namespace: string): Promise<void> {
  const subjects = [
    { kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: `system:serviceaccounts:${namespace}` },
  ];
  const bind = (kind: string, name: string) => ({
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
    subjects,
  });
  const cluster = { ...READ, resources: ['clusterauthpolicies'] };
  for (const [path, object] of [
    [`${RBAC}/namespaces/${namespace}/roles`, { metadata: { name: 'sidecar' }, rules: [READ] }],
    [`${RBAC}/namespaces/${namespace}/rolebindings`, { metadata: { name: 'sidecar' }, ...bind('Role', 'sidecar') }],
    [`${RBAC}/clusterroles`, { metadata: { name: `sidecar-${namespace}` }, rules: [cluster] }],
    [
      `${RBAC}/clusterrolebindings`,
      { metadata: { name: `sidecar-${namespace}` }, ...bind('ClusterRole', `sidecar-${namespace}`) },
    ],
  ] as const) {
    const { status, body } = await call('POST', path, object);
    if (status !== 201) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
  }
}
