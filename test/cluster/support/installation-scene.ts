/**
 * The scenario of the design on a node: the namespace `shop` with the app and the example's policies, an issuer, a
 * device-auth service, and what clients hold.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT, exportJWK } from 'jose';
import { TOKENS, type TokenName } from '../../../src/demo/attempts.ts';
import type { TokenOptions } from '../../../src/demo/issuer.ts';
import { createDemoMaterial, type DemoMaterial, type DeviceName, PUBLIC_HOST } from '../../../src/demo/material.ts';
import { createKeyPair, type IssuedCertificate, type KeyPair } from '../../../src/demo/pki.ts';
import type { Manifest } from '../../support/manifests.ts';
import type { Ask } from './installation-clients.ts';
import type { ClusterNode } from './node.ts';

export const SHOP = 'shop';
const FLEET_PORT = 8443;
const ISSUER_HOST = 'login.identity.svc';
export const ISSUER = `https://${ISSUER_HOST}`;
const EXAMPLE = join(import.meta.dirname, '..', '..', '..', 'examples', 'fleet');
const APP_IMAGE = 'localhost/app:test';
const MESH = '/etc/mesh/ca.crt';

export interface SceneOptions {
  /** Of the app; default 2. */
  readonly replicas?: number;
  /** Replaced in the example's manifests: from → to. */
  readonly changes?: Readonly<Record<string, string>>;
}

export interface Scene {
  readonly material: DemoMaterial;
  readonly tokens: ReadonlyMap<TokenName, string>;
  /** Address of the Service `fleet`. */
  readonly address: string;
  /** A request to the API at its public name: by way of the Service unless an address is given. */
  request(about: RequestOptions): Ask;
}

export interface RequestOptions {
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly token?: TokenName;
  readonly device?: DeviceName;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly address?: string;
  readonly port?: number;
}

/** Everything but what the controller makes. Resolves when all pods are ready. */
export async function openScene(node: ClusterNode, { replicas = 2, changes = {} }: SceneOptions = {}): Promise<Scene> {
  const material = createDemoMaterial();
  const keys = createKeyPair('RSA');
  for (const name of ['identity', 'fleet']) await node.createNamespace(name);
  await node.apply(readExample('00-namespace.yaml', {}));
  await node.waitFor('the mesh CA in the namespace', () => copyMeshCa(node), 30_000);
  await node.apply(render([...(await describeIssuer(material, keys)), ...describeDeviceAuth(material)]));
  await node.apply(render([...describeMaterial(material), ...describeFleet(material, replicas)]));
  await applyExample(node, changes);
  for (const [namespace, name] of [
    ['identity', 'login'],
    ['fleet', 'device-auth'],
    [SHOP, 'fleet'],
  ] as const)
    await waitForRollout(node, namespace, name);
  const tokens = await mintTokens(keys);
  const { stdout: address } = await node.kubectl([
    ...['-n', SHOP, 'get', 'service', 'fleet', '-o', 'jsonpath={.spec.clusterIP}'],
  ]);
  return { material, tokens, address, request: options => describeRequest(options, { material, tokens, address }) };
}

/** The example's policies, with changes (from → to). */
export async function applyExample(node: ClusterNode, changes: Readonly<Record<string, string>>): Promise<void> {
  const files = readdirSync(EXAMPLE).filter(name => name.endsWith('.yaml') && !name.startsWith('00-'));
  await node.apply(files.map(name => readExample(name, changes)).join('\n---\n'));
}

/** @throws Error with the words of kubectl, of the pods and of their events. */
export async function waitForRollout(
  node: ClusterNode,
  namespace: string,
  name: string,
  kind = 'deployment',
): Promise<void> {
  const about = ['-n', namespace];
  const { code, stderr } = await node.kubectl([...about, 'rollout', 'status', `${kind}/${name}`, '--timeout=120s']);
  if (code === 0) return;
  const said = [
    await node.kubectl([...about, 'get', 'pods', '-o', 'wide']),
    await node.kubectl([...about, 'get', 'events', '--sort-by', '.lastTimestamp']),
    await node.kubectl([...about, 'logs', `${kind}/${name}`, '--all-containers', '--tail', '20']),
  ];
  throw new Error(`${namespace}/${name}: ${stderr}${said.map(({ stdout }) => `\n${stdout}`).join('')}`);
}

export const render = (manifests: readonly Manifest[]): string =>
  manifests.map(manifest => JSON.stringify(manifest)).join('\n---\n');

function readExample(name: string, changes: Readonly<Record<string, string>>): string {
  const all = Object.entries({ 'https://login.example.com': ISSUER, ...changes });
  return all.reduce((text, [from, to]) => text.replaceAll(from, to), readFileSync(join(EXAMPLE, name), 'utf8'));
}

/** Apps of namespaces that are not opted in get the bundle from whoever runs them. */
export async function copyMeshCa(node: ClusterNode): Promise<boolean> {
  const { status, body } = await node.call('GET', `/api/v1/namespaces/${SHOP}/configmaps/sallyport-mesh-ca`);
  if (status !== 200) return false;
  const { data } = body as { data: Readonly<Record<string, string>> };
  await node.apply(render([configMap('fleet', 'mesh-ca', data)]));
  return true;
}

function describeRequest(
  { path, method = 'GET', token, device, headers = {}, body, address, port = FLEET_PORT }: RequestOptions,
  { material, tokens, address: service }: Pick<Scene, 'material' | 'tokens' | 'address'>,
): Ask {
  const identity = device === undefined ? undefined : material.devices[device];
  return {
    ...{ address: address ?? service, port, method, path },
    headers: {
      host: PUBLIC_HOST,
      ...(token === undefined ? {} : { authorization: `Bearer ${tokens.get(token) ?? ''}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
    tls: {
      ...{ serverName: PUBLIC_HOST, ca: material.corp.certificatePem },
      ...(identity === undefined ? {} : { certificate: identity.chainPem, key: identity.keyPem }),
    },
  };
}

async function mintTokens(keys: KeyPair): Promise<ReadonlyMap<TokenName, string>> {
  const forgedKeys = createKeyPair('RSA');
  const names = Object.keys(TOKENS) as TokenName[];
  const mint = (name: TokenName): Promise<string> => {
    const { claims, expiresIn = 7200, audience = 'api://fleet', issuer = ISSUER, forged }: TokenOptions = TOKENS[name];
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({ sub: 'demo', ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'key-1', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(Math.min(now, now + expiresIn - 60))
      .setExpirationTime(now + expiresIn)
      .sign((forged === true ? forgedKeys : keys).privateKey);
  };
  return new Map(await Promise.all(names.map(async name => [name, await mint(name)] as const)));
}

const configMap = (namespace: string, name: string, data: Readonly<Record<string, string>>): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data },
});

export const tlsSecret = (namespace: string, name: string, { chainPem, keyPem }: IssuedCertificate): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata: { name, namespace } },
  stringData: { 'tls.crt': chainPem, 'tls.key': keyPem },
});

/** What examples/fleet refers to, but the mesh. */
function describeMaterial({ servers, corp, appCa, devicesCa }: DemoMaterial): readonly Manifest[] {
  return [
    tlsSecret(SHOP, 'fleet-tls', servers.public),
    configMap(SHOP, 'corp-ca', { 'ca.crt': corp.certificatePem }),
    configMap(SHOP, 'app-ca', { 'ca.crt': appCa.certificatePem }),
    configMap(SHOP, 'device-ca', { 'ca.crt': devicesCa.certificatePem, 'crl.pem': devicesCa.crlPem() }),
  ];
}

async function describeIssuer({ corp }: DemoMaterial, { publicKey }: KeyPair): Promise<readonly Manifest[]> {
  const key = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'RS256', use: 'sig' };
  const documents = {
    '/.well-known/openid-configuration': { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` },
    '/keys': { keys: [key] },
  };
  const certificate = corp.issue({ subject: ISSUER_HOST, san: { dns: [ISSUER_HOST] }, usages: ['serverAuth'] });
  return [
    tlsSecret('identity', 'login-tls', certificate),
    describeService('identity', 'login', 443),
    describeDeployment({
      ...{ namespace: 'identity', name: 'login', program: 'issuer', tlsSecret: 'login-tls', replicas: 1 },
      env: { DOCUMENTS: JSON.stringify(documents) },
    }),
  ];
}

function describeDeviceAuth({ servers, devices }: DemoMaterial): readonly Manifest[] {
  const known = { 'robot-7': devices['robot-7'].sha1, 'robot-5': 'broken' };
  return [
    tlsSecret('fleet', 'device-auth-tls', servers.deviceAuth),
    describeService('fleet', 'device-auth', FLEET_PORT),
    describeDeployment({
      ...{ namespace: 'fleet', name: 'device-auth', program: 'device-auth', tlsSecret: 'device-auth-tls', replicas: 1 },
      env: { DEVICES: JSON.stringify(known), TLS_CA: MESH },
      mesh: 'mesh-ca',
    }),
  ];
}

function describeFleet({ servers }: DemoMaterial, replicas: number): readonly Manifest[] {
  return [
    { ...{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'fleet', namespace: SHOP } } },
    tlsSecret(SHOP, 'app-tls', servers.app),
    describeService(SHOP, 'fleet', FLEET_PORT),
    describeDeployment({
      ...{ namespace: SHOP, name: 'fleet', program: 'fleet', tlsSecret: 'app-tls', replicas },
      env: { IDENTITY: `spiffe://cluster.local/ns/${SHOP}/sa/fleet`, TLS_CA: MESH },
      mesh: 'sallyport-mesh-ca',
      serviceAccount: 'fleet',
      // The app shows itself to nobody without the mesh certificate, the kubelet included.
      probe: { httpGet: { path: '/healthz', port: FLEET_PORT, scheme: 'HTTPS' }, periodSeconds: 1 },
    }),
  ];
}

const describeService = (namespace: string, name: string, port: number): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace } },
  spec: { selector: { app: name }, ports: [{ port, targetPort: FLEET_PORT }] },
});

interface Server {
  readonly namespace: string;
  readonly name: string;
  /** Of test/cluster/images/app. */
  readonly program: string;
  readonly tlsSecret: string;
  readonly replicas: number;
  readonly env: Readonly<Record<string, string>>;
  /** ConfigMap with the mesh CA. */
  readonly mesh?: string;
  readonly serviceAccount?: string;
  readonly probe?: unknown;
}

function describeDeployment({ namespace, name, replicas, ...server }: Server): Manifest {
  const labels = { app: name };
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace } },
    spec: {
      ...{ replicas, selector: { matchLabels: labels } },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: { metadata: { labels }, spec: describePod({ name, ...server }) },
    },
  };
}

function describePod({ name, program, env, mesh, serviceAccount, ...server }: Omit<Server, 'namespace' | 'replicas'>) {
  const files = { TLS_CERT: '/etc/tls/tls.crt', TLS_KEY: '/etc/tls/tls.key' };
  return {
    ...(serviceAccount === undefined ? {} : { serviceAccountName: serviceAccount }),
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 10,
    containers: [
      {
        ...{ name, image: APP_IMAGE, imagePullPolicy: 'Never', command: ['node', `/app/${program}.ts`] },
        env: Object.entries({ ...env, ...files }).map(([variable, value]) => ({ name: variable, value })),
        ports: [{ containerPort: FLEET_PORT }],
        readinessProbe: server.probe ?? { tcpSocket: { port: FLEET_PORT }, periodSeconds: 1 },
        volumeMounts: [
          { name: 'tls', mountPath: '/etc/tls' },
          ...(mesh === undefined ? [] : [{ name: 'mesh', mountPath: '/etc/mesh' }]),
        ],
      },
    ],
    volumes: [
      { name: 'tls', secret: { secretName: server.tlsSecret } },
      ...(mesh === undefined ? [] : [{ name: 'mesh', configMap: { name: mesh } }]),
    ],
  };
}

/** Refuses whoever sends this color: what shows which version of a policy is in force. */
export function describeColor(color: string): Manifest {
  return {
    ...{ apiVersion: 'sallyport.dev/v1alpha1', kind: 'AuthPolicy', metadata: { name: 'color', namespace: SHOP } },
    spec: {
      targetRefs: [{ kind: 'Api', name: 'fleet' }],
      request: [
        {
          name: 'color',
          authorize: {
            deny: [
              { name: 'color', expression: `"x-color" in request.headers && request.headers["x-color"] == "${color}"` },
            ],
          },
        },
      ],
    },
  };
}
