/** `sallyport controller` in a process of its own, as the chart's service account, beside a control plane. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONTROLLER_AUDIENCE, CONTROLLER_SERVICE } from '../../../src/api/names.ts';
import { GROUP } from '../../../src/api/object.ts';
import { createAuthority } from '../../../src/demo/pki.ts';
import { VALIDATE_PATH } from '../../../src/injector/webhooks.ts';
import type { KubeConnection } from '../../../src/kube/connection.ts';
import type { Cluster } from './cluster.ts';
import type { ControlPlane } from './control-plane.ts';
import { IMAGE, SYSTEM } from './controller.ts';
import { findFreePorts } from './ports.ts';

const ACCOUNT = 'sallyport-controller';
const SECONDS = 7200;

export interface ControllerProcess {
  readonly child: ChildProcess;
  readonly ports: { readonly webhook: number; readonly material: number; readonly health: number };
  /** Of the health port; empty while nobody listens. */
  get(path: string): Promise<string>;
  /** Everything that it has logged. */
  log(): string;
  /** How a sidecar with this token reaches it, with `trusted`. @throws Error without */
  connection(token: string): KubeConnection;
  /** Resolves with its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface ControllerProcessOptions {
  /** Default: the sources; the bundle is what is measured. */
  readonly program?: string;
  readonly args?: readonly string[];
  /** It serves with a certificate that is given to it, so that whoever dials it knows whom to trust. */
  readonly trusted?: boolean;
}

/** The namespace and what the chart grants are there already (openControllerScene). */
export async function startControllerProcess(
  cluster: Cluster,
  { program = 'src/main.ts', args = [], trusted = false }: ControllerProcessOptions = {},
): Promise<ControllerProcess> {
  const serving = trusted ? await giveCertificate(cluster) : undefined;
  const folder = await writeAccount(cluster);
  const firstPort = await findFreePorts(3);
  const ports = { webhook: firstPort, material: firstPort + 1, health: firstPort + 2 };
  const { hostname, port } = new URL(cluster.server);
  const child = spawn(
    process.execPath,
    [
      ...[program, 'controller', '--namespace', SYSTEM, '--pod-name', 'controller-0'],
      ...['--image', IMAGE, '--account-folder', folder, '--token-file', join(folder, 'controller-token')],
      ...['--webhook-port', String(ports.webhook), '--material-port', String(ports.material)],
      ...['--health-port', String(ports.health), ...(serving?.args ?? []), ...args],
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
    },
  );
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  return {
    ...{ child, ports },
    log: () => log,
    connection(token) {
      if (serving === undefined) throw new Error('start it with `trusted`');
      const { ca, serverName } = serving;
      const server = `https://127.0.0.1:${ports.material}`;
      return { server, ca, serverName, minVersion: 'TLSv1.3', token: () => Promise.resolve(token) };
    },
    get: path =>
      fetch(`http://127.0.0.1:${ports.health}${path}`).then(
        answer => answer.text(),
        () => '',
      ),
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      const [code] = (await once(child, 'exit')) as [number | null];
      return code;
    },
  };
}

/** From now on the API server asks a `trusted` controller about policies. @throws Error when it does not take that */
export async function registerWebhook(cluster: ControlPlane, controller: ControllerProcess): Promise<void> {
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
  const { status } = await cluster.call('POST', path, {
    metadata: { name: 'asked-here' },
    webhooks: [
      {
        ...{ name: 'validate.test.sallyport.dev', sideEffects: 'NoneOnDryRun', admissionReviewVersions: ['v1'] },
        clientConfig: {
          url: cluster.webhookUrl(controller.ports.webhook, VALIDATE_PATH),
          caBundle: Buffer.from(String(controller.connection('').ca)).toString('base64'),
        },
        rules: [{ apiGroups: [GROUP], apiVersions: ['*'], resources: ['*'], operations: ['CREATE', 'UPDATE'] }],
      },
    ],
  });
  if (status !== 201) throw new Error(`the webhook cannot be registered: ${status}`);
}

async function giveCertificate({ call }: Cluster) {
  const authority = createAuthority({ name: 'serving' });
  const serverName = `${CONTROLLER_SERVICE}.${SYSTEM}.svc`;
  const leaf = authority.issue({
    subject: 'controller',
    usages: ['serverAuth'],
    san: { dns: [serverName], ip: ['127.0.0.1'] },
  });
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  await call('POST', `/api/v1/namespaces/${SYSTEM}/secrets`, {
    ...{ metadata: { name: 'serving' }, type: 'kubernetes.io/tls' },
    data: {
      'tls.crt': base64(leaf.chainPem),
      'tls.key': base64(leaf.keyPem),
      'ca.crt': base64(authority.certificatePem),
    },
  });
  return { ca: authority.certificatePem, serverName, args: ['--webhook-certificate-secret', 'serving'] };
}

/** The files that the kubelet would mount. */
async function writeAccount(cluster: Cluster): Promise<string> {
  const folder = join(cluster.folder, 'account');
  mkdirSync(folder, { recursive: true });
  // Without an audience of its own a token is for the API server.
  writeFileSync(join(folder, 'token'), await askToken(cluster, []));
  writeFileSync(join(folder, 'controller-token'), await askToken(cluster, [CONTROLLER_AUDIENCE]));
  writeFileSync(join(folder, 'ca.crt'), cluster.ca);
  return folder;
}

async function askToken({ call }: Cluster, audiences: readonly string[]): Promise<string> {
  const { body } = await call('POST', `/api/v1/namespaces/${SYSTEM}/serviceaccounts/${ACCOUNT}/token`, {
    ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
    spec: { expirationSeconds: SECONDS, ...(audiences.length === 0 ? {} : { audiences }) },
  });
  return (body as { status: { token: string } }).status.token;
}
