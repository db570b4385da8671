/** The kubeconfig of a person’s commands, read by @kubernetes/client-node, which is imported only then (85 MiB). */
import type { KubeConfig } from '@kubernetes/client-node';
import type { KubeConnection } from './connection.ts';
import { createLocalError } from './kube-error.ts';

export interface KubeconfigOptions {
  /** File; default: `KUBECONFIG`, `~/.kube/config`, or the pod’s own service account. */
  readonly kubeconfig?: string;
  readonly context?: string;
}

/**
 * The connection that kubectl would use, exec plug-ins and rotated tokens included, and its namespace.
 * @throws KubeError when there is none, or when it would switch the verification of the server off
 */
export async function loadKubeconfig(
  options: KubeconfigOptions = {},
): Promise<KubeConnection & { readonly namespace: string }> {
  const config = await readKubeconfig(options);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw refuse('the kubeconfig names no cluster; choose a context');
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  return { server: cluster.server, namespace, ...(await readCredentials(config)) };
}

/** As the library knows it, for what it alone can do (exec). @throws KubeError as `loadKubeconfig` does */
export async function readKubeconfig(options: KubeconfigOptions = {}): Promise<KubeConfig> {
  const { KubeConfig: Config } = await import('@kubernetes/client-node/dist/config.js');
  const config = new Config();
  if (options.kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(options.kubeconfig);
  if (options.context !== undefined) useContext(config, options.context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw refuse('the kubeconfig names no cluster; choose a context');
  if (cluster.skipTLSVerify) {
    throw refuse(`cluster ${cluster.name} has insecure-skip-tls-verify; give its certificate-authority instead`);
  }
  if (cluster.proxyUrl !== undefined) throw refuse(`cluster ${cluster.name} has proxy-url, which is not supported`);
  return config;
}

const refuse = (problem: string) => createLocalError('ConnectFailed', problem);

function useContext(config: KubeConfig, name: string): void {
  if (config.getContextObject(name) === null) throw refuse(`the kubeconfig has no context ${name}`);
  config.setCurrentContext(name);
}

interface Applied {
  ca?: unknown;
  cert?: unknown;
  key?: unknown;
  servername?: unknown;
  auth?: unknown;
  headers?: Record<string, unknown>;
}

async function readCredentials(config: KubeConfig): Promise<Omit<KubeConnection, 'server'>> {
  const applied = await apply(config);
  if (applied.auth !== undefined) throw refuse('the kubeconfig has a user name and password, which is not supported');
  const [ca, certificate, key] = [asText(applied.ca), asText(applied.cert), asText(applied.key)];
  const { servername } = applied;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    ...(typeof servername === 'string' ? { serverName: servername } : {}),
    // Asked each time: the library keeps a plug-in’s token until it expires and reads token files again.
    token: async () => readBearer((await apply(config)).headers),
  };
}

async function apply(config: KubeConfig): Promise<Applied> {
  const applied: Applied = { headers: {} };
  await config.applyToHTTPSOptions(applied as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  return applied;
}

function readBearer(headers: Record<string, unknown> | undefined): string | undefined {
  const value = headers?.['Authorization'];
  return typeof value === 'string' && value.startsWith('Bearer ') ? value.slice('Bearer '.length) : undefined;
}

const asText = (value: unknown): string | undefined =>
  value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : typeof value === 'string' ? value : undefined;
