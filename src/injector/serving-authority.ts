/**
 * What the controller serves with, over TLS: each replica signs its own certificate with roots that all replicas share in one
 * Secret, made by whoever comes first. Looks every ten seconds whether something is due, and whether what the API server
 * trusts is still what it should.
 */
import { X509Certificate } from 'node:crypto';
import { SERVING_CA, WEBHOOK_CONFIGURATION } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { AlternativeNames } from '../x509/write.ts';
import {
  bundleForSidecars,
  bundleRoots,
  makeRoots,
  readRoots,
  rotateRoots,
  SERVING_TIMINGS,
  signLeaf,
  writeRoots,
  type Leaf,
  type Making,
  type Roots,
  type ServingTimings,
} from './serving-roots.ts';
import { settleObject } from './settle-object.ts';
import type { ServingCertificate } from './webhook-server.ts';

export interface Serving extends ServingCertificate {
  /** PEM: the roots by which sidecars that are injected now judge the controller. */
  readonly controllerCa: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface ServingAuthorityDeps {
  readonly client: KubeClient;
  /** The controller's. */
  readonly namespace: string;
  /** A kubernetes.io/tls Secret with ca.crt, written by somebody else; absent: we make our own. */
  readonly givenSecret?: string;
  /** Of the server. */
  readonly names: AlternativeNames;
  /** Gets what is to be served from now on. */
  readonly onChange: (serving: Serving) => void;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly timings?: ServingTimings;
}

export interface ServingAuthority {
  /** Looks, and again every ten seconds. Resolves after the first look, whatever came of it. */
  start(): Promise<void>;
  stop(): void;
  /** Looks now. Never rejects. */
  check(): Promise<void>;
  /** Why it cannot serve; undefined: it can. For readiness. */
  problem(): string | undefined;
}

const CHECK_MS = 10_000;

/** Names by which the API server and sidecars call a controller in this namespace. */
export const nameController = (service: string, namespace: string): AlternativeNames => ({
  dns: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, `${service}.${namespace}`],
});

interface Found {
  readonly serving: Serving;
  /** PEM: for the API server. */
  readonly bundle: string;
}

export function createServingAuthority(deps: ServingAuthorityDeps): ServingAuthority {
  const { log, metrics, onChange } = deps;
  const find = deps.givenSecret === undefined ? createOwnSource(deps) : createGivenSource(deps, deps.givenSecret);
  let current: Serving | undefined;
  let problem: string | undefined = 'no certificate yet';
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    try {
      const { serving, bundle } = await find();
      if (serving.certificate !== current?.certificate || serving.controllerCa !== current.controllerCa) {
        current = serving;
        onChange(serving);
        log.info({ notAfter: new Date(serving.notAfter).toISOString() }, 'serving certificate in use');
      }
      metrics.gauge('sallyport_certificate_expiry_timestamp_seconds', serving.notAfter / 1000, { use: 'serving' });
      await writeBundle(deps, bundle);
      problem = undefined;
    } catch (error) {
      const said = describeProblem(error);
      if (said !== problem) log.error({ problem: said }, 'the serving certificate cannot be looked after');
      problem = said;
    }
  };
  const check = (): Promise<void> => {
    running ??= look().finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    start: async () => {
      timer = setInterval(() => void check(), CHECK_MS);
      await check();
    },
    stop: () => clearInterval(timer),
    check,
    // What is served goes on being served while the API server is away.
    problem: () => (current !== undefined && current.notAfter > deps.clock() ? undefined : problem),
  };
}

class ServingProblem extends Error {}

function describeProblem(error: unknown): string {
  if (error instanceof KubeError || error instanceof ServingProblem) return error.message;
  return error instanceof Error ? error.name : 'unknown';
}

interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

const decode = (data: SecretObject['data'] = {}): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]));
const encode = (data: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'utf8').toString('base64')]));

const secretsOf = (namespace: string): string =>
  resourcePath({ group: '', version: 'v1', resource: 'secrets', namespace });

function createOwnSource(deps: ServingAuthorityDeps): () => Promise<Found> {
  const { client, namespace, names, log, clock, randomBytes, timings = SERVING_TIMINGS } = deps;
  const collection = secretsOf(namespace);
  let held: Roots | undefined;
  let leaf: (Leaf & { readonly signedBy: string }) | undefined;

  const settle = (making: Making): Promise<SecretObject> =>
    settleObject<SecretObject>(client, { collection, name: SERVING_CA }, before => {
      const stored = before === undefined ? undefined : readRoots(decode(before.data));
      if (before !== undefined && stored === undefined)
        log.error({ secret: SERVING_CA }, 'unusable roots are replaced');
      // Sidecars that run trust what we hold: a Secret that was removed comes back as it was.
      const roots = rotateRoots(stored ?? held ?? makeRoots(making), making);
      if (before !== undefined && roots === stored) return before;
      const empty = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name: SERVING_CA, namespace } };
      return { ...(before ?? empty), data: encode(writeRoots(roots)) };
    });

  return async () => {
    const making = { now: clock(), timings, randomBytes };
    const roots = readRoots(decode((await settle(making)).data));
    if (roots === undefined) throw new ServingProblem(`the Secret ${SERVING_CA} cannot be used`);
    held = roots;
    const { signing } = roots;
    if (leaf === undefined || leaf.signedBy !== signing.certificate || making.now >= leaf.renewAt) {
      leaf = { ...signLeaf(signing, names, making), signedBy: signing.certificate };
    }
    const { certificate, key, notAfter } = leaf;
    return {
      serving: { certificate, key, notAfter, controllerCa: bundleForSidecars(roots) },
      bundle: bundleRoots(roots),
    };
  };
}

function createGivenSource({ client, namespace }: ServingAuthorityDeps, name: string): () => Promise<Found> {
  return async () => {
    const secret = await readObject<SecretObject>(client, `${secretsOf(namespace)}/${name}`);
    if (secret === undefined) throw new ServingProblem(`the Secret ${namespace}/${name} does not exist`);
    const { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': ca } = decode(secret.data);
    if (certificate === undefined || key === undefined || ca === undefined) {
      throw new ServingProblem(`the Secret ${namespace}/${name} must hold tls.crt, tls.key and ca.crt`);
    }
    try {
      const notAfter = new X509Certificate(certificate).validToDate.getTime();
      return { serving: { certificate, key, notAfter, controllerCa: ca }, bundle: ca };
    } catch {
      throw new ServingProblem(`tls.crt of the Secret ${namespace}/${name} is no certificate`);
    }
  };
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
}

const CONFIGURATIONS = ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'] as const;

/** The bundle is ours alone to write; whoever overwrote it would have every call fail. */
async function writeBundle({ client, log }: ServingAuthorityDeps, bundle: string): Promise<void> {
  const caBundle = Buffer.from(bundle, 'utf8').toString('base64');
  for (const resource of CONFIGURATIONS) {
    const collection = resourcePath({ group: 'admissionregistration.k8s.io', version: 'v1', resource });
    const present = await readObject<WebhookConfiguration>(client, `${collection}/${WEBHOOK_CONFIGURATION}`);
    if (present === undefined || isTold(present, caBundle)) continue;
    await settleObject<WebhookConfiguration>(client, { collection, name: WEBHOOK_CONFIGURATION }, before => {
      if (before === undefined) throw new ServingProblem(`the ${resource} ${WEBHOOK_CONFIGURATION} was removed`);
      if (isTold(before, caBundle)) return before;
      const webhooks = (before.webhooks ?? []).map(webhook => ({
        ...webhook,
        clientConfig: { ...webhook.clientConfig, caBundle },
      }));
      return { ...before, webhooks };
    });
    log.info({ resource }, 'the API server has been told whom to trust');
  }
}

const isTold = ({ webhooks = [] }: WebhookConfiguration, caBundle: string): boolean =>
  webhooks.every(({ clientConfig }) => clientConfig.caBundle === caBundle);
