/** kube: floor 2. How to reach one server: the API server, or the controller’s material service. */
import { isIPv6 } from 'node:net';
import { createLocalError } from './kube-error.ts';

export interface KubeConnection {
  /** `https://host:port`, with a path in front of `/api` where a gateway has one. Nothing else than HTTPS is spoken. */
  readonly server: string;
  /** PEM bundle that alone is trusted, or how to read it for each connection; absent: the system’s roots. */
  readonly ca?: string | (() => Promise<string>);
  /** Name that the server’s certificate must carry, where it is not the host’s. */
  readonly serverName?: string;
  /** Asked before every request, so that a rotated file counts at once; undefined: no Authorization header. */
  readonly token?: () => Promise<string | undefined>;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  /** Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
}

export interface InClusterOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => Promise<string>;
  /** Default: the service account’s. */
  readonly tokenFile?: string;
  /** PEM; default: the service account’s `ca.crt`, read for every connection. */
  readonly ca?: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The API server of the cluster that this process runs in.
 * @throws KubeError when the environment does not name it
 */
export function readInClusterConnection(options: InClusterOptions): KubeConnection {
  const { env, readFile, tokenFile = `${SERVICE_ACCOUNT}/token`, ca } = options;
  const [host, port] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT']];
  if (host === undefined || host === '' || port === undefined || port === '') {
    throw createLocalError(
      'ConnectFailed',
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod of a cluster',
    );
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    ca: ca ?? (() => readFile(`${SERVICE_ACCOUNT}/ca.crt`)),
    token: readTokenFile(readFile, tokenFile),
  };
}

/** A token that is read from its file each time; the kubelet replaces the file well before the token expires. */
export function readTokenFile(readFile: (path: string) => Promise<string>, path: string): () => Promise<string> {
  return async () => {
    const token = (await readFile(path)).trim();
    if (!/^[\x21-\x7e]+$/.test(token)) throw createLocalError('ConnectFailed', `${path} holds no token`);
    return token;
  };
}
