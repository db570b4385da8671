/** Level 1: etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback. Needs no root; no pod ever runs. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, createCluster } from './cluster.ts';
import { API_SERVICE_IP, type ControlPlaneSettings, PORT_COUNT, readApiPort } from './control-plane-daemons.ts';
import { type ControlPlaneProcesses, startControlPlane, writeControllerKubeconfigs } from './control-plane-start.ts';
import { createCredentials } from './credentials.ts';
import type { ClusterFolder } from './folder.ts';
import { findFreePorts } from './ports.ts';
import { TIED, createDaemons } from './processes.ts';
import { type Closable, type OpenOptions, openSession } from './session.ts';

export interface ControlPlane extends Cluster, ControlPlaneProcesses, Closable {
  /** Where the API server finds a webhook server of this process, which must present a certificate for 127.0.0.1. */
  webhookUrl(port: number, path?: string): string;
}

/**
 * A few seconds. Ends with this process if nobody closes it.
 *
 * @throws Error that names what is missing or the end of the log of the program that ended.
 */
export async function openControlPlane(options: OpenOptions = {}): Promise<ControlPlane> {
  return openSession('control-plane', options, folder => start(folder, options));
}

async function start(
  folder: ClusterFolder,
  { persistent = false, flags = [] }: OpenOptions,
): Promise<Omit<ControlPlane, 'close'>> {
  const firstPort = await findFreePorts(PORT_COUNT);
  const server = `https://127.0.0.1:${readApiPort({ firstPort })}`;
  const credentials = createCredentials(join(folder.path, 'pki'));
  credentials.writeServer('server', {
    dns: ['kubernetes.default.svc', 'localhost'],
    ip: ['127.0.0.1', API_SERVICE_IP],
  });
  const settings: ControlPlaneSettings = {
    credentials: credentials.folder,
    kubeconfigs: writeControllerKubeconfigs(credentials, server),
    data: makeDataFolder(folder),
    ...{ firstPort, listen: '127.0.0.1', advertise: '127.0.0.1', flags },
  };
  const cluster = createCluster({ folder: folder.path, server, credentials, name: folder.name });
  const processes = await startControlPlane({
    settings,
    start: createDaemons(folder, persistent ? [] : TIED),
    call: cluster.call,
  });
  return { ...cluster, ...processes, webhookUrl: (port, path = '') => `https://127.0.0.1:${port}${path}` };
}

/** In memory where the machine has a file system there: what a test keeps in etcd is not worth a disk. */
function makeDataFolder(folder: ClusterFolder): string {
  const memory = '/dev/shm';
  const data = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'sallyport-etcd-'));
  folder.record({ data: [data] });
  return data;
}
