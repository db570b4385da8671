/** Puts one sidecar together: resources in, generations out. Standalone and cluster differ in the source alone. */
import { createCredentials, type CredentialView } from '../credentials/credentials.ts';
import type { ManagedOptions } from '../credentials/managed-certificates.ts';
import { createDevices, type DeviceView } from '../devices/devices.ts';
import { createLimits } from '../limits/limits.ts';
import { createLookup, type Material } from '../material/material.ts';
import { createReplays } from '../callers/replays.ts';
import { createSignatures } from '../callers/signatures.ts';
import { createKeyHash } from '../limits/key-hash.ts';
import { createSubscriptionKeys } from '../callers/subscription-keys.ts';
import type { Snapshot } from '../policy/model.ts';
import type { EnforcedState } from '../material/acknowledgement.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { ResolveRule } from '../outbound/resolve.ts';
import { isInForce } from '../policy/allowances.ts';
import { describeIssuer, describeStore, describeViolation, explainUnserved, settleWithin } from './assembly-status.ts';
import { compileSnapshot, type CompileOutput } from '../policy/compile.ts';
import type { Remembered } from '../policy/remembered.ts';
import type { Generation } from '../proxy/generation.ts';
import type { Violation } from '../api/violation.ts';
import { describeKept, type Outcome, type Resources } from '../sources/source.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { createTokens, type KeyStore, type TokenView } from '../tokens/tokens.ts';
import { createTrust, type TrustView } from '../trust/trust.ts';

export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number>>;
  /** Authorities by which the app of a port is known, for hideBackend. */
  readonly appAuthorities: (port: number) => readonly string[];
}

export interface AssemblyOptions {
  readonly workload: Workload;
  readonly fetcher: Fetcher;
  readonly telemetry: Telemetry;
  readonly clock: () => number;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly monotonic: () => number;
  /** As given by --resolve. */
  readonly resolve: readonly ResolveRule[];
  /** Ready pods of the workload, this one included; at least 1. */
  readonly readyPods: () => number;
  readonly meshCertificate?: { readonly certificateFile: string; readonly keyFile: string };
  /** `meshCertificate.managed` where a controller signs. */
  readonly managed?: Pick<ManagedOptions, 'sign' | 'store'> | undefined;
  /** Public keys over a restart of the container. */
  readonly keyStore?: KeyStore | undefined;
  /** In files a conflict is an error; in the cluster the younger loses. Default files. */
  readonly source?: 'files' | 'kubernetes';
  /** Gets every generation, in order. */
  readonly publish: (generation: Generation) => void;
}

export interface Assembly {
  /**
   * Compiles and publishes; incomplete resources (S6) publish nothing, a rehearsal is remembered only. Never throws for
   * bad configuration. Undefined: nothing was compiled yet.
   */
  accept(resources: Resources): Outcome | undefined;
  /** Resolves when every issuer of the first generation was asked once, or after `ms`. */
  ready(ms: number): Promise<void>;
  /** Gauges that only a moment can tell; call it before each exposition. */
  refreshMetrics(): void;
  /** For status: no secrets. */
  describe(): Readonly<Record<string, unknown>>;
  /** Of signed contexts (JWK). */
  publicKeys(): readonly object[];
  /** Managed mesh certificates that the configuration in force names and that did not come yet. */
  missingCertificates(): readonly string[];
  /** What the controller is told of keys and certificates. */
  enforced(): Pick<EnforcedState, 'issuers' | 'certificates'>;
  close(): Promise<void>;
}

/** The adapters’ views of the generation in force. */
interface Views {
  readonly tokens: TokenView;
  readonly trust: TrustView;
  readonly devices: DeviceView;
  readonly credentials: CredentialView;
}

export function createAssembly(options: AssemblyOptions): Assembly {
  const { workload, fetcher, telemetry, clock, random, publish } = options;
  const adapters = { fetcher, log: telemetry.log, metrics: telemetry.metrics, clock };
  const tokens = createTokens({
    ...adapters,
    random,
    ...(options.keyStore === undefined ? {} : { keyStore: options.keyStore }),
  });
  const trust = createTrust({ ...adapters, onChange: () => republish() });
  const devices = createDevices(adapters);
  const { readyPods, resolve, monotonic, randomBytes } = options;
  const limits = createLimits({ ...adapters, readyPods, resolve, monotonic, random, randomBytes });
  const replays = createReplays(createKeyHash(options.randomBytes(8)));
  const credentials = createCredentials({
    log: telemetry.log,
    ...(options.meshCertificate === undefined ? {} : { meshCertificate: options.meshCertificate }),
    ...(options.managed === undefined ? {} : { managed: { ...options.managed, clock, random } }),
    onChange: () => republish(),
    outbound: { fetcher, clock, random },
  });
  let refused: readonly Violation[] = [];
  let reported: ReadonlySet<string> = new Set();
  let latest: Resources | undefined;
  let remembered: Remembered | undefined;
  let generation = 0;
  let views: Views | undefined;
  let publishedAt: number | undefined;
  let inForce: Pick<CompileOutput, 'snapshot' | 'idle' | 'kept'> | undefined;

  function compile({ objects, invalid, material, namespaces, labels, hash }: Resources): CompileOutput {
    const compiled = compileSnapshot({
      objects,
      invalid,
      workload: {
        ...workload,
        namespaceLabels: namespaces.get(workload.namespace) ?? {},
        ...(labels === undefined ? {} : { labels }),
      },
      lookup: createLookup(material),
      generation,
      hash,
      source: options.source ?? 'files',
      ...(remembered === undefined ? {} : { remembered }),
    });
    ({ remembered } = compiled);
    return compiled;
  }

  function republish(): void {
    if (latest === undefined) return;
    const { material } = latest;
    generation += 1;
    const compiled = compile(latest);
    const { snapshot } = compiled;
    const credentialView = credentials.prepare(snapshot.credentials, material);
    views = {
      tokens: tokens.prepare(snapshot.issuers, material),
      trust: trust.prepare(snapshot.trusts, material),
      devices: devices.prepare(snapshot.deviceServices, material, credentialView),
      credentials: credentialView,
    };
    const callers = prepareCallers(snapshot, material);
    limits.keep(snapshot.counters);
    limits.prepare(snapshot.sharedStore, material);
    replays.keep(snapshot.counters);
    publish({ snapshot, material, callers, limits, unserved: explainUnserved(compiled.idle), ...views });
    publishedAt = clock();
    inForce = { snapshot, idle: compiled.idle, kept: compiled.kept };
    report(snapshot.violations, compiled.kept);
  }

  function prepareCallers({ subscriptions }: Snapshot, material: Material): Generation['callers'] {
    const keys = createSubscriptionKeys(subscriptions, material);
    for (const { plan, secret, dataKey } of keys.unread) {
      const fields = { subscription: plan.key, secret, key: dataKey };
      telemetry.log.warn(fields, 'the hash of a subscription key cannot be read: unknown keys are answered 503');
    }
    return { subscription: request => keys.find(request), ...createSignatures(material, replays) };
  }

  /** What the compiler finds for the first time; the source has logged its own already. */
  function report(violations: readonly Violation[], kept: readonly string[]): void {
    const before = reported;
    reported = new Set(violations.map(describeViolation));
    const fresh = violations.filter(violation => !before.has(describeViolation(violation)));
    if (fresh.some(({ severity }) => severity === 'error')) telemetry.metrics.count('sallyport_policy_rejected_total');
    for (const { severity, object, field, problem, fix, position } of fresh) {
      const fields = { object, field, problem, fix, file: position?.file, line: position?.line };
      if (severity === 'error') telemetry.log.error(fields, 'configuration refused');
      else telemetry.log.warn(fields, 'configuration questionable');
    }
    if (fresh.length > 0 && kept.length > 0) telemetry.log.warn({ kept }, describeKept(kept.length));
  }

  return {
    accept(resources) {
      refused = resources.violations;
      if (refused.some(({ severity }) => severity === 'error')) {
        telemetry.metrics.count('sallyport_policy_rejected_total');
      }
      if (!resources.complete) return undefined;
      if (resources.rehearsal === true) {
        const { kept, snapshot } = compile(resources);
        return { kept, violations: snapshot.violations };
      }
      const isSame = latest?.hash === resources.hash;
      latest = resources;
      // What was refused is not in force, so nothing has changed.
      if (!isSame) republish();
      return inForce === undefined ? undefined : { kept: inForce.kept, violations: inForce.snapshot.violations };
    },
    ready: async ms => {
      await Promise.all([
        views?.tokens.ready(ms),
        settleWithin(credentials.ready(), ms),
        settleWithin(limits.ready(), ms),
      ]);
    },
    refreshMetrics() {
      views?.tokens.status(); // sets the ages of keys
      const { metrics } = telemetry;
      metrics.gauge('sallyport_policy_generation', generation);
      const allowances = inForce?.snapshot.allowances.filter(allowance => isInForce(allowance, clock())) ?? [];
      metrics.gauge('sallyport_allowances_active', allowances.length);
      if (publishedAt !== undefined) metrics.gauge('sallyport_policy_age_seconds', (clock() - publishedAt) / 1000);
      for (const { key, certificate } of views?.credentials.status() ?? []) {
        if (certificate === undefined) continue;
        metrics.gauge('sallyport_certificate_expiry_timestamp_seconds', certificate.notAfter / 1000, { use: key });
      }
    },
    describe: () => ({
      ...(latest === undefined ? { configuration: 'not loaded' } : {}),
      problems: [...refused, ...(inForce?.snapshot.violations ?? [])].map(describeViolation),
      kept: [...new Set([...(latest?.kept ?? []), ...(inForce?.kept ?? [])])].map(
        object => `${object}: its last good content stays in force`,
      ),
      idle: (inForce?.idle ?? []).map(({ object, why }) => `${object} ${why}`),
      issuers: views?.tokens.status() ?? [],
      trusts: views?.trust.status() ?? [],
      deviceServices: views?.devices.status() ?? [],
      credentials: views?.credentials.status() ?? [],
      ...describeStore(limits.status()),
    }),
    publicKeys: () => credentials.publicKeys(),
    missingCertificates: () =>
      (views?.credentials.status() ?? [])
        .filter(({ from, certificate }) => from === 'managed' && certificate === undefined)
        .map(({ key }) => key),
    enforced: () => ({
      issuers: (views?.tokens.status() ?? []).map(describeIssuer),
      certificates: (views?.credentials.status() ?? []).flatMap(({ key, certificate }) =>
        certificate === undefined
          ? []
          : [{ credential: key, notAfter: certificate.notAfter, sha256: certificate.sha256 }],
      ),
    }),
    close: async () => {
      tokens.close();
      trust.close();
      credentials.close();
      await limits.close();
      await fetcher.close();
    },
  };
}
