/** Kubeconfig files: one cluster, one user, certificates inline. */
import { writeFileSync } from 'node:fs';
import type { ClientCertificate } from './credentials.ts';

export interface KubeconfigOptions {
  readonly file: string;
  readonly server: string;
  readonly ca: string;
  readonly client: ClientCertificate;
  /** Name of the context. */
  readonly name?: string;
}

export function writeKubeconfig({ file, server, ca, client, name = 'sallyport' }: KubeconfigOptions): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(ca) } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [
      {
        name,
        user: { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) },
      },
    ],
  };
  writeFileSync(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return file;
}
