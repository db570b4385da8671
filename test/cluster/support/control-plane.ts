/** Level 1: etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback. Needs no root; no pod ever runs. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, createCluster } from './cluster.ts';
import { API_SERVICE_IP, type ControlPlaneSettings, PORT_COUNT, readApiPort } from './control-plane-daemons.ts';
import { startControlPlane, writeControllerKubeconfigs } from './control-plane-start.ts';
import { createCredentials } from './credentials.ts';
import { type ClusterFolder, createFolder, removeFolder } from './folder.ts';
import { findFreePorts } from './ports.ts';
import { TIED, createDaemons } from './processes.ts';

export interface ControlPlane extends Cluster {
  /** Where the API server finds a webhook server of this process, which must present a certificate for 127.0.0.1. */
  webhookUrl(port: number, path?: string): string;
  /** Default SIGKILL: connections break and nothing is said. SIGTERM lets it end its watches first. */
  stopApiServer(signal?: NodeJS.Signals): Promise<void>;
  /** At the same address, with the same data. Resolves when it is ready. */
  startApiServer(): Promise<void>;
  /** Stops everything and removes the folder. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Default: one that nobody has. */
  readonly name?: string;
  /** It stays when this process ends, until somebody says `down`. Default false. */
  readonly persistent?: boolean;
  /** Further flags of the API server. */
  readonly flags?: readonly string[];
}

/**
 * About three seconds. Ends with this process if nobody closes it.
 *
 * @throws Error that names what is missing or the end of the log of the program that ended.
 */
export async function openControlPlane({
  name,
  persistent = false,
  flags = [],
}: OpenOptions = {}): Promise<ControlPlane> {
  const folder = createFolder(name ?? `test-${randomBytes(4).toString('hex')}`, 'control-plane');
  const remove = (): void => removeFolder(folder);
  process.once('exit', remove);
  try {
    const opened = await start(folder, persistent, flags);
    if (persistent) {
      folder.disown();
      process.off('exit', remove);
    }
    return {
      ...opened,
      close: () => {
        process.off('exit', remove);
        remove();
        return Promise.resolve();
      },
    };
  } catch (error) {
    process.off('exit', remove);
    remove();
    throw error;
  }
}

async function start(
  folder: ClusterFolder,
  persistent: boolean,
  flags: readonly string[],
): Promise<Omit<ControlPlane, 'close'>> {
  mkdirSync(join(folder.path, 'logs'));
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
