/** `sallyport controller`: what a cluster has once, put together for a pod. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { CONTROLLER_SERVICE, SYSTEM_NAMESPACES, TOKENS_FOLDER } from '../api/names.ts';
import type { Violation } from '../api/violation.ts';
import { allowancesOf } from '../controller/allowance-keeper.ts';
import { createController, type Controller } from '../controller/controller.ts';
import { createHealthPort } from '../controller/health.ts';
import type { ServingCertificate } from '../controller/material-service.ts';
import { MESH_CA_TIMINGS } from '../controller/mesh-ca.ts';
import type { NamedData } from '../controller/named-data.ts';
import type { KnownObject } from '../controller/objects.ts';
import { createVerifySidecar } from '../controller/verify-sidecar.ts';
import { createAdmissionParameters } from '../injector/admission-parameters.ts';
import { DEFAULT_CONFIGURATION, findControllerUrl, type InjectorConfiguration } from '../injector/configuration.ts';
import { createNodeWatch } from '../injector/old-nodes.ts';
import { createServingAuthority, nameController, type Serving } from '../injector/serving-authority.ts';
import { createWebhookServer } from '../injector/webhook-server.ts';
import { createInjectorWebhooks } from '../injector/webhooks.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { readInClusterConnection, readTokenFile } from '../kube/connection.ts';
import { createTelemetry, type RunningTelemetry } from '../telemetry/create-telemetry.ts';
import { createLineOutput } from '../telemetry/line-output.ts';
import { checkMaterial } from './check-material.ts';
import { CONTROLLER, findMissing, type ControllerValues } from './controller-options.ts';
import { EXIT, type Io, type RunCommand } from './io.ts';
import { reportUsage, runCommandLine } from './options.ts';

const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const REQUESTS_END_MS = 5000;

export const runController: RunCommand = (args, io, signal) =>
  runCommandLine(CONTROLLER, args, io, async values => {
    if (values['self-test'] !== undefined) {
      const { runSelfTest } = await import('./controller-self-test.ts');
      return runSelfTest(values['self-test'], io);
    }
    const problems = findMissing(values);
    if (problems.length > 0) {
      reportUsage('controller', problems, io);
      return EXIT.usage;
    }
    return serve(values, io, signal);
  });

async function serve(values: ControllerValues, io: Io, signal: AbortSignal): Promise<number> {
  const telemetry = await openTelemetry(values);
  const { log } = telemetry;
  try {
    const parts = await assemble(values, io, telemetry);
    try {
      await parts.start();
      await waitFor(signal);
      log.info({}, 'stopping');
      return EXIT.ok;
    } finally {
      await parts.stop();
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.error({ code: 'code' in error ? error.code : error.name, problem: error.message }, 'cannot start');
    return EXIT.unavailable;
  } finally {
    telemetry.close();
    telemetry.flush();
  }
}

interface Parts {
  start(): Promise<void>;
  stop(): Promise<void>;
}

async function assemble(values: ControllerValues, io: Io, telemetry: RunningTelemetry): Promise<Parts> {
  const { log, metrics } = telemetry;
  const { namespace = '' } = values;
  const deps = { log, metrics, clock: Date.now, random: Math.random };
  const read = (path: string): Promise<string> => readFile(path, 'utf8');
  const account = values['account-folder'] ?? ACCOUNT_FOLDER;
  const kubernetesCa = await read(`${account}/ca.crt`);
  const connection = readInClusterConnection({
    ...{ env: io.env, readFile: read, tokenFile: `${account}/token`, ca: kubernetesCa },
  });
  const openClient = (): KubeClient => createKubeClient(connection, { ...deps, userAgent: 'sallyport-controller' });
  const client = openClient();
  const host = await findHost();
  const serving = createServing();
  const base = describeInjection(values, kubernetesCa);
  const nodes = createNodeWatch({ client, ...deps });
  const configure = (): InjectorConfiguration => ({
    ...base,
    controllerCa: serving.now()?.controllerCa ?? '',
    oldNodes: nodes.old(),
  });
  const parameters = createAdmissionParameters(client, namespace);
  const controller = createController({
    ...deps,
    ...{ openClient, namespace, parameters, checkData, tls: serving.tls },
    podName: values['pod-name'] ?? '',
    serviceAccount: values['service-account'] ?? CONTROLLER_SERVICE,
    service: CONTROLLER_SERVICE,
    trustDomain: values['trust-domain'] ?? 'cluster.local',
    requireLabel: values['require-secret-label'],
    excluded: new Set([...SYSTEM_NAMESPACES, namespace, ...values['exclude-namespace']]),
    verify: createVerifySidecar({ image: base.image, controllerUrl: findControllerUrl(namespace) }),
    image: base.image,
    meshCa: {
      timings: {
        lifetimeMs: values['mesh-ca-lifetime'] ?? MESH_CA_TIMINGS.lifetimeMs,
        overlapMs: values['mesh-ca-overlap'] ?? MESH_CA_TIMINGS.overlapMs,
      },
      ...(values['mesh-ca-secret'] === undefined ? {} : { given: values['mesh-ca-secret'] }),
    },
    rootCa: () => serving.now()?.controllerCa ?? '',
    token: readTokenFile(read, values['token-file'] ?? `${TOKENS_FOLDER}/controller-token`),
    listen: { host, port: values['material-port'] },
    randomBytes: takeRandom,
  });
  const webhooks = createWebhookServer({
    ...{ host, port: values['webhook-port'], log, metrics, monotonic: () => performance.now() },
    answer: createInjectorWebhooks({
      configuration: configure,
      namespaceFacts: name => describeNamespace(controller, name),
      checkAmongOthers: object => controller.checkAmongOthers(object),
      ...deps,
      randomBytes: takeRandom,
    }),
  });
  let announced = false;
  const authority = createServingAuthority({
    ...{ client, namespace, names: nameController(CONTROLLER_SERVICE, namespace), ...deps },
    onChange: next => {
      serving.change(next);
      webhooks.setCertificate(next);
      announced = false;
      void announce();
    },
    randomBytes: takeRandom,
    ...(values['webhook-certificate-secret'] === undefined
      ? {}
      : { givenSecret: values['webhook-certificate-secret'] }),
  });
  /** The admission policies must know of an image and of roots before pods with them are made. */
  const announce = async (): Promise<void> => {
    try {
      await parameters.announce(configure());
      announced = true;
    } catch (error) {
      log.warn({ problem: error instanceof Error ? error.message : 'failed' }, 'cannot tell the admission policies');
    }
  };
  const health = createHealthPort({
    ...{ host, port: values['health-port'], exposition: () => telemetry.exposition() },
    unready: () => {
      if (!controller.isReady()) return 'NotSynced';
      if (authority.problem() !== undefined) return 'NoServingCertificate';
      return announced ? undefined : 'AdmissionPoliciesNotTold';
    },
  });
  telemetry.onExposition(() => controller.refreshMetrics());
  const retry = setInterval(() => {
    if (!announced && serving.now() !== undefined) void announce();
  }, 5000);

  return {
    async start() {
      await health.start();
      await authority.start();
      await serving.first;
      nodes.start();
      await Promise.all([controller.start(), webhooks.start()]);
      log.info({ pod: values['pod-name'], uid: values['pod-uid'], address: values['pod-ip'] }, 'serving');
    },
    async stop() {
      clearInterval(retry);
      authority.stop();
      await Promise.all([webhooks.stop(REQUESTS_END_MS), controller.stop(), nodes.stop()]);
      await health.stop();
      await client.close();
    },
  };
}

const takeRandom = (size: number): Uint8Array => new Uint8Array(randomBytes(size));

/** The certificate of both servers, which the authority changes while they run. */
function createServing() {
  const listeners = new Set<() => void>();
  const { promise: first, resolve } = Promise.withResolvers<undefined>();
  let current: Serving | undefined;
  const tls: ServingCertificate = {
    current: () => {
      if (current === undefined) throw new Error('there is no serving certificate yet');
      return current;
    },
    onChange: listener => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    tls,
    first,
    now: () => current,
    change(next: Serving) {
      current = next;
      resolve(undefined);
      for (const listener of listeners) listener();
    },
  };
}

function describeInjection(values: ControllerValues, kubernetesCa: string): InjectorConfiguration {
  return {
    ...DEFAULT_CONFIGURATION,
    image: values.image ?? '',
    imagePullPolicy: values['image-pull-policy'],
    imagePullSecrets: values['image-pull-secret'],
    ...(values['sidecar-resources'] === undefined ? {} : { resources: values['sidecar-resources'] }),
    logLevel: values['sidecar-log-level'],
    extraArguments: values['sidecar-argument'],
    controllerNamespace: values.namespace ?? '',
    controllerCa: '',
    kubernetesCa,
    preStopSleepSeconds: values['pre-stop-seconds'],
    excludedNamespaces: values['exclude-namespace'],
    explicitAnywhere: values['explicit-anywhere'],
    defaultPodSecurity: values['default-pod-security'],
  };
}

/** Undefined until everything was read: a namespace that nobody has heard of may have a label. */
function describeNamespace(controller: Controller, name: string) {
  const { population } = controller.model;
  if (!controller.isReady() || !population.names().includes(name)) return undefined;
  return { name, labels: population.labelsOf(name), allowances: allowancesOf(controller.model, name) };
}

/** What Secrets and ConfigMaps hold, as `sallyport check` judges it. */
function checkData(objects: readonly KnownObject[], data: NamedData): readonly Violation[] {
  const find = (kind: 'Secret' | 'ConfigMap', key: string) => {
    const entry = data.find(kind, key);
    if (entry === undefined || entry === null) return undefined;
    return new Map([...entry.data].map(([name, text]) => [name, new Uint8Array(Buffer.from(text, 'base64'))]));
  };
  const resources = {
    complete: true,
    objects: objects.flatMap(({ parsed }) => parsed ?? []),
    ...{ invalid: [], kept: [], violations: [], namespaces: new Map(), hash: '' },
    material: { secret: (key: string) => find('Secret', key), configMap: (key: string) => find('ConfigMap', key) },
  };
  return checkMaterial(resources, Date.now());
}

/** Both families where the machine has both. */
function findHost(): Promise<string> {
  return new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve('0.0.0.0'));
    probe.listen(0, '::', () => probe.close(() => resolve('::')));
  });
}

async function openTelemetry(values: ControllerValues) {
  const output =
    values['log-format'] === 'pretty'
      ? (await import('../telemetry/pretty-output.ts')).createPrettyOutput()
      : createLineOutput({ onDrop: () => telemetry.metrics.count('sallyport_log_lines_dropped_total') });
  const telemetry = createTelemetry({
    level: values['log-level'],
    output,
    logPermits: 0,
    now: Date.now,
    random: Math.random,
    process,
  });
  return Object.assign(telemetry, { flush: () => output.flush() });
}

function waitFor(signal: AbortSignal): Promise<void> {
  return new Promise(stop => {
    if (signal.aborted) stop();
    else signal.addEventListener('abort', () => stop(), { once: true });
  });
}
