/** A control plane that injects: our webhooks in this process, our admission policies in the API server. */
import { randomBytes } from 'node:crypto';
import { createAuthority } from '../../../src/demo/pki.ts';
import { createAdmissionObjects } from '../../../src/injector/admission-objects.ts';
import { createAdmissionParameters } from '../../../src/injector/admission-parameters.ts';
import { sumAllowances } from '../../../src/injector/allowed.ts';
import {
  DEFAULT_CONFIGURATION,
  type InjectorConfiguration,
  type NamespaceFacts,
} from '../../../src/injector/configuration.ts';
import type { Operation } from '../../../src/injector/pod-editor.ts';
import { createWebhookServer } from '../../../src/injector/webhook-server.ts';
import { createInjectorWebhooks } from '../../../src/injector/webhooks.ts';
import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import type { AllowancePlan } from '../../../src/policy/model.ts';
import { SILENT } from '../../../src/telemetry/telemetry.ts';
import { openControlPlane, type ControlPlane } from './control-plane.ts';

export const SYSTEM = 'sallyport-system';

type Manifest = Readonly<Record<string, unknown>>;

export interface Injection {
  readonly cluster: ControlPlane;
  readonly client: KubeClient;
  readonly configuration: InjectorConfiguration;
  /** The patches that our webhook gave, in order. */
  readonly answers: readonly (readonly Operation[])[];
  /** Makes a namespace that the webhooks know. */
  createNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /** Takes the webhooks away, or puts them back. */
  setWebhooks(present: boolean): Promise<void>;
  /** For the webhooks and the admission policies. */
  allow(namespace: string, allowance: Partial<AllowancePlan>): Promise<void>;
  close(): Promise<void>;
}

const NOTHING: AllowancePlan = {
  policy: 'test',
  opensUnselectedPorts: false,
  excludePorts: [],
  udpPorts: [],
  privilegedContainers: false,
  until: Infinity,
};

export async function openInjection(): Promise<Injection> {
  const cluster = await openControlPlane();
  const client = createKubeClient(cluster.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
  const configuration: InjectorConfiguration = {
    ...DEFAULT_CONFIGURATION,
    image: 'localhost/sallyport:1',
    controllerNamespace: SYSTEM,
    controllerCa: cluster.ca,
    kubernetesCa: cluster.ca,
  };
  const facts = new Map<string, NamespaceFacts>();
  const answers: (readonly Operation[])[] = [];
  const { url, ca, stop } = await startWebhooks(configuration, facts, answers);
  await cluster.createNamespace(SYSTEM);
  const parameters = createAdmissionParameters(client, SYSTEM);
  await parameters.announce(configuration);
  const objects = createAdmissionObjects(SETTINGS);
  const isWebhook = ({ kind }: Manifest): boolean => String(kind).endsWith('WebhookConfiguration');
  const webhooks = writeAll(objects.filter(isWebhook).map(one => redirect(one, url, ca)));
  await cluster.apply(writeAll(objects.filter(one => !isWebhook(one))));
  const setWebhooks = async (present: boolean): Promise<void> => {
    if (present) await cluster.apply(webhooks);
    else await cluster.kubectl(['delete', '-f', '-'], webhooks);
  };
  return {
    ...{ cluster, client, configuration, answers, setWebhooks },
    createNamespace: async (name, labels = {}) => {
      facts.set(name, { name, labels, allowances: [] });
      await cluster.createNamespace(name, labels);
    },
    allow: async (name, allowance) => {
      const before = facts.get(name);
      facts.set(name, { name, labels: before?.labels ?? {}, allowances: [{ ...NOTHING, ...allowance }] });
      const sums = [...facts.values()].map(({ name: of, allowances }) => [of, sumAllowances(allowances, 0)] as const);
      await parameters.allow(new Map(sums));
    },
    close: async () => {
      await client.close();
      await stop();
      await cluster.close();
    },
  };
}

const SETTINGS = {
  namespace: SYSTEM,
  excludedNamespaces: [],
  timeoutSeconds: 5,
  validatingFailurePolicy: 'Fail',
} as const;

const writeAll = (objects: readonly Manifest[]): string => objects.map(one => JSON.stringify(one)).join('\n---\n');

async function startWebhooks(
  configuration: InjectorConfiguration,
  facts: ReadonlyMap<string, NamespaceFacts>,
  answers: (readonly Operation[])[],
) {
  const answer = createInjectorWebhooks({
    configuration: () => configuration,
    namespaceFacts: name => facts.get(name),
    clock: Date.now,
    randomBytes,
    ...SILENT,
  });
  const server = createWebhookServer({
    answer: (path, review) => {
      const response = answer(path, review);
      const { patch = '' } = response ?? {};
      answers.push(patch === '' ? [] : (JSON.parse(Buffer.from(patch, 'base64').toString()) as readonly Operation[]));
      return response;
    },
    ...{ host: '127.0.0.1', port: 0, monotonic: () => performance.now() },
    ...SILENT,
  });
  const authority = createAuthority({ name: 'webhook' });
  const leaf = authority.issue({ subject: 'webhook', usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
  server.setCertificate({ certificate: leaf.chainPem, key: leaf.keyPem });
  await server.start();
  const url = `https://127.0.0.1:${server.address?.port ?? 0}`;
  return { url, ca: authority.certificatePem, stop: () => server.stop(0) };
}

/** A Service leads nowhere without nodes: the same path at this process’s address. */
function redirect(configuration: Manifest, url: string, ca: string): Manifest {
  const webhooks = configuration['webhooks'] as readonly { readonly clientConfig: { service: { path: string } } }[];
  const caBundle = Buffer.from(ca).toString('base64');
  return {
    ...configuration,
    webhooks: webhooks.map(webhook => ({
      ...webhook,
      clientConfig: { url: url + webhook.clientConfig.service.path, caBundle },
    })),
  };
}
