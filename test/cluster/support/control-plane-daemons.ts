/** Command lines of etcd, the API server, the controllers and the scheduler. */
import { join } from 'node:path';
import { requirePart } from '../../../cluster/parts.ts';

export interface ControlPlaneSettings {
  /** Folder of what ./credentials.ts wrote. */
  readonly credentials: string;
  /** Kubeconfigs of the controller manager and the scheduler. */
  readonly kubeconfigs: { readonly controllers: string; readonly scheduler: string };
  /** etcd's folder. */
  readonly data: string;
  /** etcd, its peers and the API server listen there, one after the other. */
  readonly firstPort: number;
  /** Where the API server listens, and which address it tells pods. */
  readonly listen: string;
  readonly advertise: string;
  /** Further flags of the API server. */
  readonly flags?: readonly string[];
}

export const PORT_COUNT = 3;
export const SERVICE_RANGE = '10.96.0.0/16';
/** The first of SERVICE_RANGE: the Service `kubernetes`. */
export const API_SERVICE_IP = '10.96.0.1';

export function readApiPort({ firstPort }: Pick<ControlPlaneSettings, 'firstPort'>): number {
  return firstPort + 2;
}

export function listEtcdCommand({ data, firstPort }: ControlPlaneSettings): readonly string[] {
  const client = `http://127.0.0.1:${firstPort}`;
  const peer = `http://127.0.0.1:${firstPort + 1}`;
  return [
    requirePart('etcd'),
    ...['--name=one', `--data-dir=${data}`, '--unsafe-no-fsync', '--log-level=warn'],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=one=${peer}`],
  ];
}

export function listApiServerCommand(settings: ControlPlaneSettings): readonly string[] {
  const file = (name: string): string => join(settings.credentials, name);
  return [
    requirePart('kube-apiserver'),
    `--etcd-servers=http://127.0.0.1:${settings.firstPort}`,
    ...[`--bind-address=${settings.listen}`, `--advertise-address=${settings.advertise}`],
    ...[`--secure-port=${readApiPort(settings)}`, `--service-cluster-ip-range=${SERVICE_RANGE}`],
    ...[`--tls-cert-file=${file('server.crt')}`, `--tls-private-key-file=${file('server.key')}`],
    ...[`--client-ca-file=${file('ca.crt')}`, `--cert-dir=${settings.credentials}`],
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('accounts.pub')}`,
    `--service-account-signing-key-file=${file('accounts.key')}`,
    ...['--authorization-mode=RBAC,Node', '--enable-admission-plugins=NodeRestriction', '--allow-privileged=true'],
    '--profiling=false',
    ...(settings.flags ?? []),
  ];
}

export function listControllerManagerCommand(settings: ControlPlaneSettings): readonly string[] {
  const file = (name: string): string => join(settings.credentials, name);
  return [
    requirePart('kube-controller-manager'),
    `--kubeconfig=${settings.kubeconfigs.controllers}`,
    ...[`--root-ca-file=${file('ca.crt')}`, `--service-account-private-key-file=${file('accounts.key')}`],
    ...[`--cluster-signing-cert-file=${file('ca.crt')}`, `--cluster-signing-key-file=${file('ca.key')}`],
    ...['--use-service-account-credentials', '--leader-elect=false', '--secure-port=0'],
    ...['--kube-api-qps=500', '--kube-api-burst=1000'], // its own limit of 20 a second makes its start take five seconds
  ];
}

export function listSchedulerCommand(settings: ControlPlaneSettings): readonly string[] {
  return [
    requirePart('kube-scheduler'),
    `--kubeconfig=${settings.kubeconfigs.scheduler}`,
    ...['--leader-elect=false', '--secure-port=0'],
  ];
}
