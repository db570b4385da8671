/** Manifests as objects. JSON is YAML, so that quoting is nobody’s concern. */
import type { IssuedCertificate } from '../../src/demo/pki.ts';

export type Manifest = Readonly<Record<string, unknown>>;
export type Spec = Readonly<Record<string, unknown>>;

const GROUP = 'sallyport.dev/v1alpha1';
export const NAMESPACE = 'shop';

const sallyport = (kind: string, name: string, spec: Spec): Manifest => ({
  apiVersion: GROUP,
  kind,
  metadata: { name, namespace: NAMESPACE },
  spec,
});

/** An Api of the workload `app=fleet` on port 8443. */
export const api = (name: string, spec: Spec = {}): Manifest =>
  sallyport('Api', name, { podSelector: { matchLabels: { app: 'fleet' } }, port: 8443, ...spec });

export const authPolicy = (name: string, spec: Spec): Manifest => sallyport('AuthPolicy', name, spec);
export const tokenIssuer = (name: string, spec: Spec): Manifest => sallyport('TokenIssuer', name, spec);
export const clientTrust = (name: string, spec: Spec): Manifest => sallyport('ClientTrust', name, spec);
export const deviceAuthService = (name: string, spec: Spec): Manifest => sallyport('DeviceAuthService', name, spec);
export const backendCredential = (name: string, spec: Spec): Manifest => sallyport('BackendCredential', name, spec);

export const subscription = (name: string, spec: Spec): Manifest => sallyport('Subscription', name, spec);

export const clusterAuthPolicy = (name: string, spec: Spec): Manifest => ({
  apiVersion: GROUP,
  kind: 'ClusterAuthPolicy',
  metadata: { name },
  spec,
});

export const onApi = (name: string, sectionName?: string): Spec => ({
  targetRefs: [{ kind: 'Api', name, ...(sectionName === undefined ? {} : { sectionName }) }],
});

export const OPEN: Spec = { name: 'open', anyOf: [{ anonymous: {} }] };

export const configMap = (name: string, data: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE },
  data,
});

export const secret = (name: string, stringData: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: NAMESPACE },
  stringData,
});

export const tlsSecret = (name: string, { chainPem, keyPem }: Pick<IssuedCertificate, 'chainPem' | 'keyPem'>) =>
  secret(name, { 'tls.crt': chainPem, 'tls.key': keyPem });

export const fromSecret = (name: string, key: string): Spec => ({ secretKeyRef: { name, key } });
export const fromConfigMap = (name: string, key = 'ca.crt'): Spec => ({ configMapKeyRef: { name, key } });

export const renderManifests = (manifests: readonly Manifest[]): string =>
  `${manifests.map(manifest => JSON.stringify(manifest, undefined, 2)).join('\n---\n')}\n`;
