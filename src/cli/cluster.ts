/** The sidecar in a pod: API server, controller, labels of the pod, saved state. Imported only there. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { POD_FOLDER, TOKENS_FOLDER } from '../api/names.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { readInClusterConnection, readTokenFile, type KubeConnection } from '../kube/connection.ts';
import type { ManagedOptions } from '../credentials/managed-certificates.ts';
import type { EnforcedState } from '../material/acknowledgement.ts';
import { askForCertificate } from '../material/certificate-client.ts';
import { createControllerStream, type ControllerStatus, type ControllerStream } from '../material/controller-stream.ts';
import { createKubernetesSource, type KubernetesSource } from '../sources/kubernetes.ts';
import { createFixedLabels, createPodLabels } from '../sources/pod-labels.ts';
import { createSavedPairs } from '../sources/saved-pairs.ts';
import { createStateStore } from '../sources/saved-state.ts';
import type { Outcome, Resources } from '../sources/source.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { Io } from './io.ts';
import type { SidecarValues } from './sidecar-options.ts';

/** How often what changes without a new configuration (key ages, would-denials) is looked at for the controller. */
const LOOK_MS = 10_000;

export interface ClusterOptions {
  readonly values: SidecarValues;
  readonly io: Pick<Io, 'env' | 'cwd'>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
  /** The rest of what is acknowledged. */
  readonly enforced: () => Omit<EnforcedState, 'hash' | 'objects'>;
}

export interface Cluster {
  start(onChange: (resources: Resources) => Outcome | undefined): Promise<void>;
  /** Why nothing is in force yet; empty: something is. */
  problems(): readonly string[];
  /** Ready pods of the workload, this one included; 1 until the controller says more. */
  readyPods(): number;
  /** For status. */
  describe(): Readonly<Record<string, unknown>>;
  refreshMetrics(): void;
  /** How managed mesh certificates come; absent: no controller was named. */
  readonly managed?: Pick<ManagedOptions, 'sign' | 'store'>;
  stop(): Promise<void>;
}

/** @throws KubeError outside of a cluster */
export function createCluster(options: ClusterOptions): Cluster {
  const { values, log, metrics, clock, random, enforced } = options;
  const connection = connectApiServer(options);
  const client = createKubeClient(connection, { log, clock, random, userAgent: `sallyport/${manifest.version}` });
  const source = createSource(options, client);
  const controller = findController(values);
  const stream =
    controller === undefined
      ? undefined
      : createControllerStream({
          connection: controller,
          hello: { version: manifest.version },
          onMaterial: message => source.takeMaterial(message),
          onReadyPods: count => source.takeReadyPods(count),
          ...{ log, clock, random },
        });
  const acknowledge = (): void => stream?.acknowledge({ ...source.acknowledgement(), ...enforced() });
  let looking: NodeJS.Timeout | undefined;

  return {
    async start(onChange) {
      stream?.start();
      looking = setInterval(acknowledge, LOOK_MS).unref();
      await source.start(resources => {
        const outcome = onChange(resources);
        // After the source has noted the outcome.
        setImmediate(acknowledge);
        return outcome;
      });
    },
    problems: () => source.problems(describeController(stream?.status())),
    readyPods: () => source.readyPods(),
    describe: () => describe(source, stream?.status()),
    refreshMetrics: () => setMetrics(metrics, source, stream),
    ...(controller === undefined ? {} : { managed: manageCertificates(options, controller) }),
    async stop() {
      clearInterval(looking);
      await Promise.all([source.stop(), stream?.stop()]);
      await client.close();
    },
  };
}

function manageCertificates(
  { values, io: { cwd }, log, clock }: ClusterOptions,
  controller: KubeConnection,
): Pick<ManagedOptions, 'sign' | 'store'> {
  return {
    sign: (csr, credential) => askForCertificate(controller, { csr, credential }, clock),
    ...(values.state === undefined ? {} : { store: createSavedPairs({ directory: resolve(cwd, values.state), log }) }),
  };
}

const readText = (path: string): Promise<string> => readFile(path, 'utf8');
const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

function connectApiServer({ values, io: { env } }: ClusterOptions): KubeConnection {
  const ca = values['kubernetes-ca'];
  const tokenFile = join(values.tokens ?? TOKENS_FOLDER, 'api-token');
  return readInClusterConnection({
    env,
    readFile: readText,
    tokenFile,
    ...(ca === undefined ? {} : { ca: decode(ca) }),
  });
}

function findController(values: SidecarValues): KubeConnection | undefined {
  const { controller, 'controller-ca': ca } = values;
  if (controller === undefined || ca === undefined) return undefined;
  const token = readTokenFile(readText, join(values.tokens ?? TOKENS_FOLDER, 'controller-token'));
  return { server: controller, ca: decode(ca), token, minVersion: 'TLSv1.3' };
}

function createSource(
  { values, io: { cwd }, log, metrics, clock, random }: ClusterOptions,
  client: KubeClient,
): KubernetesSource {
  const given = values['workload-labels'];
  const directory = values['pod-info'] ?? POD_FOLDER;
  return createKubernetesSource({
    client,
    namespace: values.namespace ?? 'default',
    labels: given === undefined ? createPodLabels({ directory, log }) : createFixedLabels(given),
    ...(values.state === undefined ? {} : { store: createStateStore({ directory: resolve(cwd, values.state), log }) }),
    ...{ log, metrics, clock, random },
  });
}

function describeController(status: ControllerStatus | undefined): string | undefined {
  if (status === undefined) return 'no --controller is given';
  return status.connected ? undefined : (status.problem ?? 'not connected yet');
}

function describe(
  source: KubernetesSource,
  controller: ControllerStatus | undefined,
): Readonly<Record<string, unknown>> {
  const { from, watches, staleMs, missing, materialHash, readyPods } = source.status();
  return {
    source: { kind: 'kubernetes', from, staleMs, materialHash, readyPods },
    controller: controller === undefined ? { connected: false, problem: 'no --controller is given' } : tell(controller),
    waitingFor: missing,
    watches: watches.map(({ kind, connected, staleMs: ms, relists, problem }) => ({
      ...{ kind, connected, staleMs: ms, relists },
      ...(problem === undefined ? {} : { problem }),
    })),
  };
}

const tell = ({ connected, heardMsAgo, problem }: ControllerStatus) => ({
  connected,
  ...(heardMsAgo === undefined ? {} : { silentMs: heardMsAgo }),
  ...(problem === undefined ? {} : { problem }),
});

function setMetrics(metrics: Metrics, source: KubernetesSource, stream: ControllerStream | undefined): void {
  const { staleMs } = source.status();
  metrics.gauge('sallyport_sync_age_seconds', staleMs / 1000, { from: 'apiserver' });
  if (stream === undefined) return;
  const { connected, heardMsAgo } = stream.status();
  metrics.gauge('sallyport_controller_connected', connected ? 1 : 0);
  if (heardMsAgo !== undefined) metrics.gauge('sallyport_sync_age_seconds', heardMsAgo / 1000, { from: 'controller' });
}
