/** The controller in this process against a real API server, as the chart's service account, and sidecars that talk to it. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createController, type Controller, type ControllerTimings } from '../../../src/controller/controller.ts';
import type { MeshCaTimings } from '../../../src/controller/mesh-ca.ts';
import type { VerifySidecar } from '../../../src/controller/pods.ts';
import { createAuthority } from '../../../src/demo/pki.ts';
import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import type { KubeConnection } from '../../../src/kube/connection.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { applyObject } from '../../../src/kube/writes.ts';
import type { EnforcedState } from '../../../src/material/acknowledgement.ts';
import { createControllerStream, type ControllerStream } from '../../../src/material/controller-stream.ts';
import {
  CERTIFICATE_PATH,
  type AcknowledgedObject,
  type CertificateRequest,
  type CertificateResponse,
  type MaterialMessage,
} from '../../../src/material/protocol.ts';
import { createTelemetry, type RunningTelemetry } from '../../../src/telemetry/create-telemetry.ts';
import { SILENT } from '../../../src/telemetry/telemetry.ts';
import { CONTROLLER_AUDIENCE, CONTROLLER_SERVICE, INIT_CONTAINER, PROGRAM } from '../../../src/api/names.ts';
import { findControllerUrl } from '../../../src/injector/configuration.ts';
import { INIT_PREFIX } from '../../../src/injector/containers.ts';
import { until } from '../../support/until.ts';
import { openControlPlane, type ControlPlane } from './control-plane.ts';

export const SYSTEM = 'sallyport-system';
const ACCOUNT = 'sallyport-controller';
export const IMAGE = 'localhost/sallyport:1';

export interface OpenControllerOptions {
  readonly podName?: string;
  readonly requireLabel?: boolean;
  readonly meshCa?: { readonly given?: string; readonly timings?: MeshCaTimings };
  readonly timings?: ControllerTimings;
  readonly host?: string;
}

export interface RunningController {
  readonly controller: Controller;
  readonly podName: string;
  readonly port: number;
  readonly telemetry: RunningTelemetry;
  readonly lines: string[];
  stop(): Promise<void>;
}

export interface ControllerScene {
  readonly cluster: ControlPlane;
  /** As administrator. */
  readonly client: KubeClient;
  open(options?: OpenControllerOptions): Promise<RunningController>;
  /** Makes the EndpointSlices by which replicas find each other; addresses are dialled on loopback. */
  publish(replicas: readonly RunningController[]): Promise<void>;
  /** A pod that no kubelet runs, with a container that counts as our sidecar unless told otherwise. */
  createPod(namespace: string, name: string, options?: PodOptions): Promise<KubeObject>;
  /** `Accepted` of an object: `True Accepted: valid`; empty while there is none. */
  condition(kind: string, namespace: string, name: string, type: string): Promise<string>;
  connect(at: RunningController, pod: KubeObject, token?: string): Promise<Sidecar>;
  token(namespace: string, pod?: KubeObject): Promise<string>;
  /** Of the material service, for whoever asks it directly. */
  connection(at: RunningController, token: string): KubeConnection;
  close(): Promise<void>;
}

export interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly sidecar?: boolean;
  readonly image?: string;
  readonly serviceAccount?: string;
  /** What its init container leaves open: arguments after INIT_PREFIX. */
  readonly open?: readonly string[];
  /** Default: the cluster’s, which says of each pod that there is no node for it. */
  readonly scheduler?: string;
}

export interface Sidecar {
  readonly stream: ControllerStream;
  readonly materials: MaterialMessage[];
  /** The newest material for which this holds. */
  material(what: string, holds?: (message: MaterialMessage) => boolean): Promise<MaterialMessage>;
  /** Says that these are in force, under the newest material. */
  acknowledge(objects: readonly AcknowledgedObject[], more?: Partial<EnforcedState>): void;
  stop(): Promise<void>;
}

const FAST: ControllerTimings = {
  lease: { durationMs: 3000, deadlineMs: 2000, retryMs: 300 },
  stream: { pingMs: 1000, silenceMs: 5000, streamMs: 3_600_000, helloMs: 3000 },
  settleMs: 50,
  statusIntervalMs: 50,
  graceMs: 0,
};

export async function openControllerScene(): Promise<ControllerScene> {
  const cluster = await openControlPlane();
  const folder = 'charts/sallyport/files/crds';
  await cluster.apply(
    readdirSync(folder)
      .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
      .join('\n---\n'),
  );
  await cluster.createNamespace(SYSTEM);
  await applyChart(cluster);
  const client = createKubeClient(cluster.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
  const root = createAuthority({ name: 'serving root' });
  const serverName = `${CONTROLLER_SERVICE}.${SYSTEM}.svc`;
  const closing: (() => Promise<void>)[] = [];

  const token = async (namespace: string, pod?: KubeObject): Promise<string> => {
    const { name = '', uid = '' } = pod?.metadata ?? {};
    const account = (pod as { spec?: { serviceAccountName?: string } } | undefined)?.spec?.serviceAccountName;
    return cluster.createToken(
      namespace,
      account ?? 'default',
      CONTROLLER_AUDIENCE,
      pod === undefined ? undefined : { name, uid },
    );
  };

  const connection = (at: RunningController, bearer: string): KubeConnection => ({
    server: `https://127.0.0.1:${at.port}`,
    ca: root.certificatePem,
    serverName,
    minVersion: 'TLSv1.3',
    token: () => Promise.resolve(bearer),
  });

  return {
    cluster,
    client,
    token,
    connection,
    async open({
      podName = `controller-${randomBytes(3).toString('hex')}`,
      timings,
      host = '127.0.0.1',
      ...options
    } = {}) {
      const leaf = root.issue({
        subject: 'controller',
        usages: ['serverAuth'],
        san: { dns: [serverName], ip: ['127.0.0.1'] },
      });
      const lines: string[] = [];
      const telemetry = createTelemetry({
        level: 'debug',
        output: { write: text => void lines.push(text) },
        logPermits: 0,
        now: Date.now,
        random: Math.random,
      });
      const connection = cluster.connectAs({
        user: `system:serviceaccount:${SYSTEM}:${ACCOUNT}`,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${SYSTEM}`, 'system:authenticated'],
      });
      const { log, metrics } = telemetry;
      const controller = createController({
        openClient: () => createKubeClient(connection, { log, clock: Date.now, random: Math.random }),
        namespace: SYSTEM,
        podName,
        serviceAccount: ACCOUNT,
        service: CONTROLLER_SERVICE,
        trustDomain: 'cluster.local',
        requireLabel: options.requireLabel ?? false,
        excluded: new Set(['kube-system', 'kube-public', 'kube-node-lease', SYSTEM]),
        verify: verifyByImage,
        image: IMAGE,
        ...(options.meshCa === undefined ? {} : { meshCa: options.meshCa }),
        checkData: () => [],
        tls: { current: () => ({ certificate: leaf.chainPem, key: leaf.keyPem }), onChange: () => () => undefined },
        rootCa: () => root.certificatePem,
        token: () => cluster.createToken(SYSTEM, ACCOUNT, CONTROLLER_AUDIENCE),
        listen: { host, port: 0 },
        dialReplica: address => address.replace(/^[^:]+/, '127.0.0.1'),
        ...{ log, metrics, clock: Date.now, random: Math.random },
        randomBytes: size => new Uint8Array(randomBytes(size)),
        timings: { ...FAST, ...timings },
      });
      const { port } = await controller.start();
      let stopped: Promise<void> | undefined;
      const stop = (): Promise<void> => (stopped ??= controller.stop());
      closing.push(stop);
      return { controller, podName, port, telemetry, lines, stop };
    },
    async publish(replicas) {
      for (const [index, { podName, port }] of replicas.entries()) {
        const name = `${CONTROLLER_SERVICE}-${index}`;
        await applyObject(
          client,
          `/apis/discovery.k8s.io/v1/namespaces/${SYSTEM}/endpointslices/${name}`,
          {
            ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
            metadata: { name, namespace: SYSTEM, labels: { 'kubernetes.io/service-name': CONTROLLER_SERVICE } },
            ports: [{ name: 'material', port, protocol: 'TCP' }],
            endpoints: [{ addresses: [`10.0.0.${index + 1}`], targetRef: { kind: 'Pod', name: podName } }],
          },
          { fieldManager: 'test' },
        );
      }
    },
    async createPod(namespace, name, options = {}) {
      const {
        labels = { app: 'fleet' },
        sidecar = true,
        image = IMAGE,
        serviceAccount = 'default',
        scheduler,
        open,
      } = options;
      const args = ['sidecar', '--controller', findControllerUrl(SYSTEM)];
      const ours = { name: 'sallyport', image, restartPolicy: 'Always', command: [PROGRAM], args };
      const init =
        open === undefined
          ? []
          : [{ name: INIT_CONTAINER, image, command: [PROGRAM], args: [...INIT_PREFIX, ...open] }];
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace, name, labels },
        spec: {
          serviceAccountName: serviceAccount,
          ...(scheduler === undefined ? {} : { schedulerName: scheduler }),
          containers: [{ name: 'app', image: 'localhost/app:1' }],
          ...(sidecar ? { initContainers: [...init, ours] } : {}),
        },
      };
      return client.request<KubeObject>('POST', `/api/v1/namespaces/${namespace}/pods`, { body: pod });
    },
    async condition(kind, namespace, name, type) {
      const where = namespace === '' ? [] : ['-n', namespace];
      const { stdout } = await cluster.kubectl(['get', `${kind}.sallyport.dev`, name, ...where, '-o', 'json']);
      const object = JSON.parse(stdout === '' ? '{}' : stdout) as {
        status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
      };
      const found = object.status?.conditions?.find(one => one.type === type);
      return found === undefined ? '' : `${found.status} ${found.reason}: ${found.message}`;
    },
    async connect(at, pod, given) {
      const bearer = given ?? (await token(pod.metadata.namespace ?? '', pod));
      const materials: MaterialMessage[] = [];
      const stream = createControllerStream({
        connection: connection(at, bearer),
        hello: { version: '0.1.0' },
        onMaterial: message => void materials.push(message),
        onReadyPods: () => undefined,
        ...{ log: SILENT.log, clock: Date.now, random: Math.random },
        timings: { retryMinMs: 50 },
      });
      closing.unshift(() => stream.stop());
      stream.start();
      return {
        stream,
        materials,
        material: (what, holds = () => true) =>
          until(what, () => {
            const newest = materials.at(-1);
            return newest !== undefined && holds(newest) ? newest : undefined;
          }),
        acknowledge: (objects, more = {}) =>
          stream.acknowledge({
            hash: materials.at(-1)?.hash ?? '',
            ...{ objects, issuers: [], certificates: [], appExposed: [], wouldDeny: [] },
            ...more,
          }),
        stop: () => stream.stop(),
      };
    },
    async close() {
      for (const close of closing) await close();
      await client.close();
      await cluster.close();
    },
  };
}

/** One request as sidecars make it. @throws KubeError */
export async function askCertificate(
  scene: ControllerScene,
  at: RunningController,
  token: string,
  body: CertificateRequest,
): Promise<CertificateResponse> {
  const client = createKubeClient(scene.connection(at, token), {
    ...{ log: SILENT.log, clock: Date.now, random: Math.random },
  });
  try {
    return await client.request<CertificateResponse>('POST', CERTIFICATE_PATH, { body });
  } finally {
    await client.close();
  }
}

/** The chart's own rules: what they do not allow, the controller cannot do here either. */
async function applyChart(cluster: ControlPlane): Promise<void> {
  const templates = ['rbac', 'serviceaccount'].flatMap(name => ['-s', `templates/${name}.yaml`]);
  const { code, stdout, stderr } = await cluster.helm([
    'template',
    'sallyport',
    'charts/sallyport',
    '-n',
    SYSTEM,
    ...templates,
  ]);
  if (code !== 0) throw new Error(`helm template failed: ${stderr}`);
  await cluster.apply(stdout);
}

/** What counts as our sidecar here; what the injector makes is tested with the injector. */
const verifyByImage: VerifySidecar = pod => {
  const { spec } = pod as KubeObject & {
    readonly spec?: { readonly initContainers?: { name: string; image: string }[] };
  };
  const sidecar = spec?.initContainers?.find(({ name }) => name === 'sallyport');
  if (sidecar === undefined) return { state: 'None' };
  if (sidecar.image.startsWith('localhost/sallyport:')) return { state: 'Protected' };
  return { state: 'Altered', problem: `its image is ${sidecar.image}` };
};
