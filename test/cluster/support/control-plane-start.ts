/** Starts the four programs of a control plane in their order, the same way at both levels. */
import { join } from 'node:path';
import { until } from '../../support/until.ts';
import type { CallApi } from './api.ts';
import {
  type ControlPlaneSettings,
  listApiServerCommand,
  listControllerManagerCommand,
  listEtcdCommand,
  listSchedulerCommand,
} from './control-plane-daemons.ts';
import { waitForServiceAccount } from './cluster.ts';
import type { Credentials, Identity } from './credentials.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { type Daemon, type StartDaemon, readLogTail } from './processes.ts';

const READY_MS = 60_000;

export interface ControlPlaneProcesses {
  /** Default SIGKILL: connections break and nothing is said. SIGTERM lets it end its watches first. */
  stopApiServer(signal?: NodeJS.Signals): Promise<void>;
  /** At the same address, with the same data. Resolves when it is ready. */
  startApiServer(): Promise<void>;
}

export interface StartOptions {
  readonly settings: ControlPlaneSettings;
  readonly start: StartDaemon;
  /** As administrator. */
  readonly call: CallApi;
}

/** Resolves when pods can be created: the API server is ready and the controllers have made what every namespace has. */
export async function startControlPlane({ settings, start, call }: StartOptions): Promise<ControlPlaneProcesses> {
  const etcd = start('etcd', listEtcdCommand(settings));
  let apiServer: Daemon | undefined;
  const startApiServer = async (): Promise<void> => {
    if (apiServer?.isRunning() === true) return;
    apiServer = start('kube-apiserver', listApiServerCommand(settings));
    await waitUntilReady(call, [etcd, apiServer]);
  };
  await startApiServer();
  start('kube-controller-manager', listControllerManagerCommand(settings));
  start('kube-scheduler', listSchedulerCommand(settings));
  await waitForServiceAccount(call, 'default');
  return { startApiServer, stopApiServer: async signal => apiServer?.stop(signal) };
}

/** @throws Error with the end of its log when a daemon has ended instead. */
async function waitUntilReady(call: CallApi, daemons: readonly Daemon[]): Promise<void> {
  await until(
    'the API server to be ready',
    async () => {
      const ended = daemons.find(daemon => !daemon.isRunning());
      if (ended !== undefined) throw new Error(`${ended.name} ended:\n${readLogTail(ended)}`);
      return (await call('GET', '/readyz')).status === 200;
    },
    READY_MS,
  );
}

const CONTROLLERS: Identity = { user: 'system:kube-controller-manager' };
const SCHEDULER: Identity = { user: 'system:kube-scheduler' };

/** Writes the kubeconfigs of the programs that talk to the API server at `server`. */
export function writeControllerKubeconfigs(
  credentials: Credentials,
  server: string,
): ControlPlaneSettings['kubeconfigs'] {
  const write = (name: string, identity: Identity): string =>
    writeKubeconfig({
      file: join(credentials.folder, `${name}.kubeconfig`),
      client: credentials.issueClient(identity),
      ...{ server, ca: credentials.ca },
    });
  return { controllers: write('controllers', CONTROLLERS), scheduler: write('scheduler', SCHEDULER) };
}
