/** Makes a control plane inside a machine run pods: containerd, kubelet, kube-proxy and DNS, and waits for the node. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { requirePart } from '../../../cluster/parts.ts';
import { until } from '../../support/until.ts';
import type { CallApi } from './api.ts';
import type { Credentials, Identity } from './credentials.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { type Machine, NODE_IP } from './machine.ts';
import {
  DNS_IP,
  NODE_NAME,
  type NodeSettings,
  PAUSE_IMAGE,
  listContainerdCommand,
  listDnsCommand,
  listKubeletCommand,
  listProxyCommand,
  locateSocket,
  writeNodeFiles,
} from './node-daemons.ts';
import { type Finished, run } from './processes.ts';
import { writeScratchImage } from './scratch-image.ts';

const CONTAINERD_MS = 20_000;
const READY_MS = 60_000;

export interface NodeOptions {
  readonly machine: Machine;
  readonly folder: string;
  readonly cluster: string;
  readonly credentials: Credentials;
  /** Of the API server, as seen inside. */
  readonly server: string;
}

/** Writes what the servers of the node read. */
export function prepareNode({ folder, cluster, credentials, server }: NodeOptions): NodeSettings {
  const { certificate, key } = credentials.writeServer('kubelet', { dns: [NODE_NAME], ip: [NODE_IP] });
  const writeConfig = (name: string, identity: Identity): string =>
    writeKubeconfig({
      file: join(credentials.folder, `${name}.kubeconfig`),
      client: credentials.issueClient(identity),
      ...{ server, ca: credentials.ca },
    });
  const settings: NodeSettings = {
    ...{ folder, cluster, certificate, key, ca: join(credentials.folder, 'ca.crt') },
    kubeconfigs: {
      kubelet: writeConfig('kubelet', { user: `system:node:${NODE_NAME}`, groups: ['system:nodes'] }),
      proxy: writeConfig('proxy', { user: 'system:kube-proxy' }),
      dns: writeConfig('dns', { user: 'coredns', groups: ['system:masters'] }),
    },
  };
  writeNodeFiles(settings);
  return settings;
}

/** Can be done while the control plane starts. Resolves when pods' first container, `pause`, is there. */
export async function startContainerd(machine: Machine, settings: NodeSettings): Promise<void> {
  const path = `${dirname(requirePart('containerd-shim-runc-v2'))}:${process.env['PATH'] ?? ''}`;
  const daemon = machine.start('containerd', listContainerdCommand(settings), { PATH: path });
  const isUp = async (): Promise<boolean> => {
    if (!daemon.isRunning()) throw new Error(`containerd ended: see ${daemon.log}`);
    return (await runCtr(machine.enter, settings.folder, ['version'])).code === 0;
  };
  await until('containerd', isUp, CONTAINERD_MS);
  const archive = join(settings.folder, 'pause.tar');
  const root = join(settings.folder, 'pause');
  mkdirSync(root);
  copyFileSync(requirePart('pause'), join(root, 'pause'));
  await writeScratchImage({ name: PAUSE_IMAGE, root, entrypoint: ['/pause'], user: '65535:65535', archive });
  await importImage(machine.enter, settings.folder, archive);
}

/** @throws Error with the words of ctr. */
export async function importImage(enter: readonly string[], folder: string, archive: string): Promise<void> {
  const { code, stderr } = await runCtr(enter, folder, ['images', 'import', archive]);
  if (code !== 0) throw new Error(`${archive} cannot be imported: ${stderr}`);
}

export async function runCtr(enter: readonly string[], folder: string, args: readonly string[]): Promise<Finished> {
  return run([...enter, requirePart('ctr'), '--address', locateSocket(folder), '--namespace', 'k8s.io', ...args]);
}

/** Resolves when the node is ready and names are resolved. */
export async function startNode(machine: Machine, settings: NodeSettings, call: CallApi): Promise<void> {
  machine.start('kubelet', listKubeletCommand(settings));
  machine.start('kube-proxy', listProxyCommand(settings));
  machine.start('coredns', listDnsCommand(settings));
  await createDnsService(call);
  await until('the node to be ready', () => isNodeReady(call), READY_MS);
}

async function isNodeReady(call: CallApi): Promise<boolean> {
  const { status, body } = await call('GET', `/api/v1/nodes/${NODE_NAME}`);
  if (status !== 200) return false;
  const node = body as { spec: { taints?: unknown[] }; status: { conditions?: { type: string; status: string }[] } };
  const ready = node.status.conditions?.find(condition => condition.type === 'Ready');
  return ready?.status === 'True' && (node.spec.taints ?? []).length === 0;
}

/** CoreDNS is no pod: its Service has an endpoint that is written by hand. */
async function createDnsService(call: CallApi): Promise<void> {
  const metadata = { name: 'kube-dns', namespace: 'kube-system' };
  const ports = (['UDP', 'TCP'] as const).map(protocol => ({
    name: `dns-${protocol.toLowerCase()}`,
    port: 53,
    protocol,
  }));
  await call('POST', '/api/v1/namespaces/kube-system/services', {
    ...{ apiVersion: 'v1', kind: 'Service', metadata },
    spec: { clusterIP: DNS_IP, ports },
  });
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices', {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kube-dns' } },
    endpoints: [{ addresses: [NODE_IP], conditions: { ready: true } }],
    ports,
  });
}
