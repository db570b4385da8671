/** What a test does with a cluster, whatever its level. */
import { join } from 'node:path';
import { requirePart } from '../../../cluster/parts.ts';
import { until } from '../../support/until.ts';
import { type CallApi, type Connection, createApi } from './api.ts';
import { ADMIN, type Credentials, type Identity } from './credentials.ts';
import { type Finished, run } from './processes.ts';
import { writeKubeconfig } from './kubeconfig.ts';

export interface BoundPod {
  readonly name: string;
  readonly uid: string;
}

export interface Cluster {
  /** Certificates, logs and data stand here. */
  readonly folder: string;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:PORT` */
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  /** For `createKubeClient` of src/kube. */
  readonly adminConnection: Connection;
  /** The same for anybody: what RBAC gives that user or those groups is all that it may do. */
  connectAs(identity: Identity): Connection;
  /** Runs kubectl to its end; the caller judges the exit code. */
  kubectl(args: readonly string[], stdin?: string): Promise<Finished>;
  /** `kubectl apply` of manifests. @throws Error with kubectl's words when it fails. */
  apply(yaml: string): Promise<string>;
  /** Runs helm to its end; the caller judges the exit code. */
  helm(args: readonly string[], stdin?: string): Promise<Finished>;
  /** One call as administrator, without a process: for tests that make many objects. */
  call: CallApi;
  /** Resolves when the namespace has its default service account, without which pods are refused. */
  createNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /** A token as a projected volume would hold it (TokenRequest), for ten minutes, bound to a pod if one is given. */
  createToken(namespace: string, serviceAccount: string, audience: string, boundPod?: BoundPod): Promise<string>;
  /** Looks every quarter of a second. @throws Error that names what was waited for. */
  waitFor<T>(what: string, look: () => Promise<T | undefined | false>, withinMs?: number): Promise<T>;
}

export interface ClusterParts {
  readonly folder: string;
  readonly server: string;
  readonly credentials: Credentials;
  /** Of the context in the kubeconfig. */
  readonly name: string;
}

const CONTROLLERS_MS = 30_000;
const TOKEN_SECONDS = 600;

export function createCluster({ folder, server, credentials, name }: ClusterParts): Cluster {
  const { ca } = credentials;
  const connectAs = (identity: Identity): Connection => ({
    server,
    ca,
    clientCertificate: credentials.issueClient(identity),
  });
  const adminConnection = connectAs(ADMIN);
  const file = join(folder, 'kubeconfig');
  const kubeconfig = writeKubeconfig({ file, server, ca, client: adminConnection.clientCertificate, name });
  const call = createApi(adminConnection);
  const kubectl: Cluster['kubectl'] = (args, stdin = '') => runTool('kubectl', args, { folder, stdin });
  return {
    ...{ folder, kubeconfig, server, ca, adminConnection, connectAs, kubectl, call },
    helm: (args, stdin = '') => runTool('helm', args, { folder, stdin }),
    async apply(yaml) {
      const { code, stdout, stderr } = await kubectl(['apply', '-f', '-'], yaml);
      if (code !== 0) throw new Error(`kubectl apply failed: ${stderr}`);
      return stdout;
    },
    createNamespace: (namespace, labels = {}) => createNamespace(call, namespace, labels),
    createToken: (...about) => createToken(call, ...about),
    waitFor: until,
  };
}

/** The environment in which kubectl and helm see this cluster, and leave nothing outside of its folder. */
export function describeToolEnvironment(folder: string): Readonly<Record<string, string>> {
  return {
    KUBECONFIG: join(folder, 'kubeconfig'),
    KUBECACHEDIR: join(folder, 'kubectl'),
    HELM_CACHE_HOME: join(folder, 'helm', 'cache'),
    HELM_CONFIG_HOME: join(folder, 'helm', 'config'),
    HELM_DATA_HOME: join(folder, 'helm', 'data'),
  };
}

async function runTool(
  name: string,
  args: readonly string[],
  { folder, stdin }: { folder: string; stdin: string },
): Promise<Finished> {
  return run([requirePart(name), ...args], { stdin, env: describeToolEnvironment(folder) });
}

async function createNamespace(call: CallApi, name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  const { status, body } = await call('POST', '/api/v1/namespaces', namespace);
  if (status !== 201) throw new Error(`cannot make the namespace ${name}: ${JSON.stringify(body)}`);
  await waitForServiceAccount(call, name);
}

/** The controller manager makes it a moment after the namespace. */
export async function waitForServiceAccount(call: CallApi, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
  const look = async (): Promise<boolean> => (await call('GET', path)).status === 200;
  await until(`the default service account of ${namespace}`, look, CONTROLLERS_MS);
}

async function createToken(
  call: CallApi,
  namespace: string,
  serviceAccount: string,
  audience: string,
  boundPod?: BoundPod,
): Promise<string> {
  const boundObjectRef =
    boundPod === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...boundPod } };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
  const { status, body } = await call('POST', path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [audience], expirationSeconds: TOKEN_SECONDS, ...boundObjectRef },
  });
  if (status !== 201) throw new Error(`no token for ${namespace}/${serviceAccount}: ${JSON.stringify(body)}`);
  return (body as { status: { token: string } }).status.token;
}
