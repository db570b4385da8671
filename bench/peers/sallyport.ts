/** Sallyport, from manifests, by the command that users start. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { PROXY_CORE, start, type Running } from '../process.ts';
import { APP_NAME, AUDIENCE, HOST, ISSUER } from '../material.ts';
import { isPlain, type Mode, type Peer, type PeerContext, type Ports } from './peer.ts';

const PORT = 8443;
const MAIN = new URL('../../dist/main.js', import.meta.url).pathname;

export const sallyport: Peer = {
  name: 'Sallyport',
  modes: ['plain', 'token', 'http2', 'grpc', 'certificate'],
  version: () => process.versions.node && 'this checkout',
  howToGet: 'npm run build',
  start: context => startSallyport(context, writeManifests(context, renderPolicy(context))),
};

const APPS: Readonly<Record<Mode, (ports: Ports) => number>> = {
  plain: ports => ports.appPlain,
  grpc: ports => ports.appGrpc,
  token: ports => ports.appTls,
  http2: ports => ports.appTls,
  certificate: ports => ports.appTls,
};

export function startSallyport({ material, ports, mode }: PeerContext, folder: string): Running {
  const certificate = material.write('mesh.pem', material.mesh.certificate);
  const key = material.write('mesh.key', material.mesh.key);
  return start(PROXY_CORE, process.execPath, [
    // As in the image (Dockerfile).
    '--max-semi-space-size=8',
    MAIN,
    'sidecar',
    ...['--source', 'files', '--config', folder, '--namespace', 'bench', '--workload-labels', 'app=bench'],
    ...['--listen', `127.0.0.1:${ports.listen}`],
    ...['--app', `127.0.0.1:${APPS[mode](ports)}`],
    ...['--mesh-certificate', certificate, '--mesh-key', key, '--health', `127.0.0.1:${ports.health}`],
    ...['--admin-socket', join(folder, 'admin.sock')],
    ...['--resolve', `device-auth.bench.svc:${ports.deviceAuth}=127.0.0.1:${ports.deviceAuth}`],
  ]);
}

/** A file holds at most 5,000. */
const OBJECTS_PER_FILE = 4000;

/** Writes objects into a folder of their own and gives the folder. */
export function writeManifests(
  { material }: Pick<PeerContext, 'material'>,
  objects: readonly object[],
  name = 'manifests',
): string {
  const folder = join(material.folder, name);
  mkdirSync(folder, { recursive: true });
  for (let from = 0; from < objects.length; from += OBJECTS_PER_FILE) {
    const own = objects.slice(from, from + OBJECTS_PER_FILE);
    writeFileSync(join(folder, `from-${from}.yaml`), own.map(each => stringify(each)).join('---\n'));
  }
  return folder;
}

export const kind = (name: string, kindName: string, spec: object): object => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: kindName,
  metadata: { name, namespace: 'bench' },
  spec,
});

export const secret = (name: string, data: Record<string, string>): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'bench' },
  stringData: data,
});

export const configMap = (name: string, data: Record<string, string>): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'bench' },
  data,
});

export const renderApi = (mode: 'plain' | 'tls', operations?: readonly object[]): object =>
  kind('bench', 'Api', {
    podSelector: { matchLabels: { app: 'bench' } },
    port: PORT,
    hosts: [HOST],
    basePath: '/v1',
    limits: { connections: 20000, perPeerConnections: 20000 },
    ...(operations === undefined ? {} : { operations }),
    ...(mode === 'plain'
      ? {}
      : {
          tls: { mode: 'Terminate', certificate: { secretName: 'server' } },
          app: {
            scheme: 'https',
            credential: 'mesh',
            serverName: APP_NAME,
            trust: { configMapKeyRef: { name: 'ca', key: 'ca.crt' } },
          },
        }),
  });

const HIDE = { name: 'hide', hideBackend: { errorBodies: 'Keep', rewriteHosts: { from: ['internal.invalid'] } } };

const policy = (request: readonly object[]): object =>
  kind('bench', 'AuthPolicy', { targetRefs: [{ kind: 'Api', name: 'bench' }], request, response: [HIDE] });

export function renderPolicy(context: PeerContext): object[] {
  if (isPlain(context.mode)) return [renderApi('plain'), policy([{ name: 'open', anyOf: [{ anonymous: {} }] }])];
  const { material } = context;
  const shared = [
    renderApi('tls'),
    secret('server', { 'tls.crt': material.server.certificate, 'tls.key': material.server.key }),
    configMap('ca', { 'ca.crt': material.ca, 'crl.pem': material.crl }),
    kind('mesh', 'BackendCredential', { meshCertificate: { managed: {} } }),
  ];
  return context.mode === 'token' || context.mode === 'http2'
    ? [...shared, ...renderToken(context)]
    : [...shared, ...renderDevice(context)];
}

function renderToken({ material }: PeerContext): object[] {
  return [
    configMap('keys', { jwk: JSON.stringify(material.jwk) }),
    kind('bench', 'TokenIssuer', {
      issuer: ISSUER,
      algorithms: ['RS256'],
      keys: [{ configMapKeyRef: { name: 'keys', key: 'jwk' } }],
    }),
    policy([
      {
        name: 'caller',
        jwt: {
          issuers: ['bench'],
          audiences: [AUDIENCE],
          requiredClaims: [{ name: 'clientId' }, { name: 'scope', match: 'Any', values: ['ManagementApi'] }],
          claimHeaders: { 'x-client-id': 'clientId' },
        },
      },
    ]),
  ];
}

function renderDevice({ ports }: PeerContext): object[] {
  return [
    kind('devices', 'ClientTrust', {
      anchors: [{ configMapKeyRef: { name: 'ca', key: 'ca.crt' } }],
      revocation: { mode: 'Strict', crls: [{ configMapKeyRef: { name: 'ca', key: 'crl.pem' } }] },
    }),
    kind('devices', 'DeviceAuthService', {
      url: `https://device-auth.bench.svc:${ports.deviceAuth}/check`,
      tls: { trust: { configMapKeyRef: { name: 'ca', key: 'ca.crt' } }, credential: 'mesh' },
    }),
    policy([
      { name: 'caller', clientCertificate: { trust: 'devices' } },
      {
        name: 'device',
        deviceAuth: { service: 'devices', deviceId: '${cert.subject.CN}', certificateIdentity: '${cert.subject.CN}' },
      },
      {
        name: 'context',
        setHeaders: [
          {
            name: 'x-request-context-data',
            pairs: { deviceId: '${steps.device.body.deviceId}', certificateThumbprint: '${cert.sha1}' },
          },
        ],
      },
    ]),
  ];
}
