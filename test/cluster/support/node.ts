/** Level 2: a control plane and one node on a machine of their own (./machine.ts), so that pods really run. Needs root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Cluster, createCluster } from './cluster.ts';
import { API_SERVICE_IP, type ControlPlaneSettings, readApiPort } from './control-plane-daemons.ts';
import { type ControlPlaneProcesses, startControlPlane, writeControllerKubeconfigs } from './control-plane-start.ts';
import { type Credentials, createCredentials } from './credentials.ts';
import type { ClusterFolder } from './folder.ts';
import { type Machine, NODE_IP, startMachine } from './machine.ts';
import { importImage, prepareNode, startContainerd, startNode } from './node-start.ts';
import { type Finished, type RunOptions, run } from './processes.ts';
import { startRelay } from './start-relay.ts';
import { type Closable, type OpenOptions, openSession } from './session.ts';

export interface ClusterNode extends Cluster, ControlPlaneProcesses, Closable {
  /** Makes the images of an archive (`buildah push … docker-archive:FILE:NAME`) known; pods say `imagePullPolicy: Never`. */
  importImage(archive: string): Promise<void>;
  /** The addresses of a pod, IPv4 first. Waits until it has them. */
  podIps(namespace: string, name: string): Promise<readonly string[]>;
  /** Runs a command to its end where the node's addresses, pods and Services are reached. */
  execInNetns(command: readonly string[], options?: RunOptions): Promise<Finished>;
  /** Starts a command there, which ends with the cluster at the latest. Its streams are pipes. */
  spawnInNetns(command: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess;
}

/** etcd's clients and peers, and the API server at 6443: inside, ports are the cluster's own. */
const FIRST_PORT = 6441;

/**
 * About ten seconds. Ends with this process if nobody closes it.
 *
 * @throws Error that names what is missing or the end of the log of the program that ended.
 */
export async function openNode(options: OpenOptions = {}): Promise<ClusterNode> {
  return openSession('node', options, folder => start(folder, options));
}

async function start(
  folder: ClusterFolder,
  { persistent = false, flags = [] }: OpenOptions,
): Promise<Omit<ClusterNode, 'close'>> {
  const machine = await startMachine(folder, persistent);
  const inside = `https://${NODE_IP}:${readApiPort({ firstPort: FIRST_PORT })}`;
  const port = await startRelay(folder, machine, { host: NODE_IP, port: readApiPort({ firstPort: FIRST_PORT }) });
  const credentials = createCredentials(join(folder.path, 'pki'));
  const node = prepareNode({ machine, folder: folder.path, cluster: folder.name, credentials, server: inside });
  const cluster = createCluster({
    ...{ folder: folder.path, server: `https://127.0.0.1:${port}`, credentials, name: folder.name },
  });
  const [processes] = await Promise.all([
    startControlPlane({
      settings: describeControlPlane(folder, credentials, { inside, flags }),
      start: machine.start,
      call: cluster.call,
    }),
    startContainerd(machine, node),
  ]);
  await startNode(machine, node, cluster.call);
  return { ...cluster, ...processes, ...describeAccess(folder, machine, cluster) };
}

function describeControlPlane(
  folder: ClusterFolder,
  credentials: Credentials,
  { inside, flags }: { readonly inside: string; readonly flags: readonly string[] },
): ControlPlaneSettings {
  credentials.writeServer('server', {
    dns: ['kubernetes.default.svc', 'kubernetes.default', 'kubernetes', 'localhost'],
    ip: [NODE_IP, '127.0.0.1', API_SERVICE_IP],
  });
  const kubelet = credentials.writeClient('kubelet-client', { user: 'kube-apiserver', groups: ['system:masters'] });
  return {
    credentials: credentials.folder,
    kubeconfigs: writeControllerKubeconfigs(credentials, inside),
    data: join(folder.path, 'memory', 'etcd'),
    ...{ firstPort: FIRST_PORT, listen: '0.0.0.0', advertise: NODE_IP },
    flags: [
      ...[`--kubelet-client-certificate=${kubelet.certificate}`, `--kubelet-client-key=${kubelet.key}`],
      `--kubelet-certificate-authority=${join(credentials.folder, 'ca.crt')}`,
      '--kubelet-preferred-address-types=InternalIP', // else logs and exec look up the node's name
      ...flags,
    ],
  };
}

type Access = Pick<ClusterNode, 'importImage' | 'podIps' | 'execInNetns' | 'spawnInNetns'>;

function describeAccess(folder: ClusterFolder, machine: Machine, cluster: Cluster): Access {
  return {
    importImage: archive => importImage(machine.enter, folder.path, archive),
    execInNetns: (command, options) => run([...machine.enter, ...command], options),
    spawnInNetns: (command, env = {}) => {
      const [program = '', ...args] = [...machine.enter, ...command];
      return spawn(program, args, { env: { ...process.env, ...env } });
    },
    podIps: (namespace, name) =>
      cluster.waitFor(`addresses of the pod ${namespace}/${name}`, async () => {
        const { body } = await cluster.call('GET', `/api/v1/namespaces/${namespace}/pods/${name}`);
        const { status } = body as { status?: { podIPs?: { ip: string }[] } };
        return status?.podIPs?.map(({ ip }) => ip);
      }),
  };
}
