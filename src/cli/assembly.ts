/** Puts one sidecar together: resources in, generations out. Standalone and cluster differ in the source alone. */
import { createCredentials, type CredentialView } from '../credentials/credentials.ts';
import { createDevices, type DeviceView } from '../devices/devices.ts';
import { createLimits } from '../limits/limits.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import { compileSnapshot } from '../policy/compile.ts';
import type { Remembered } from '../policy/remembered.ts';
import type { Generation } from '../proxy/generation.ts';
import type { Resources } from '../sources/source.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { createTokens, type TokenView } from '../tokens/tokens.ts';
import { createTrust, type TrustView } from '../trust/trust.ts';

export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number>>;
}

export interface AssemblyOptions {
  readonly workload: Workload;
  readonly fetcher: Fetcher;
  readonly telemetry: Telemetry;
  readonly clock: () => number;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
  readonly meshCertificate?: { readonly certificateFile: string; readonly keyFile: string };
  /** Gets every generation, in order. */
  readonly publish: (generation: Generation) => void;
}

export interface Assembly {
  /** Compiles and publishes; incomplete resources (S6) publish nothing. Never throws for bad configuration. */
  accept(resources: Resources): void;
  /** Resolves when every issuer of the first generation was asked once, or after `ms`. */
  ready(ms: number): Promise<void>;
  /** For status: no secrets. */
  describe(): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** The adapters’ views of the generation in force. */
interface Views {
  readonly tokens: TokenView;
  readonly trust: TrustView;
  readonly devices: DeviceView;
  readonly credentials: CredentialView;
}

const decoder = new TextDecoder();

export function createAssembly(options: AssemblyOptions): Assembly {
  const { workload, fetcher, telemetry, clock, random, publish } = options;
  const adapters = { fetcher, log: telemetry.log, metrics: telemetry.metrics, clock };
  const tokens = createTokens({ ...adapters, random });
  const trust = createTrust({ ...adapters, onChange: () => republish() });
  const devices = createDevices(adapters);
  const limits = createLimits();
  const credentials = createCredentials({
    log: telemetry.log,
    ...(options.meshCertificate === undefined ? {} : { meshCertificate: options.meshCertificate }),
    onChange: () => republish(),
  });
  let latest: Resources | undefined;
  let remembered: Remembered | undefined;
  let generation = 0;
  let views: Views | undefined;

  function republish(): void {
    if (latest === undefined) return;
    const { objects, invalid, material, namespaces, hash } = latest;
    generation += 1;
    const compiled = compileSnapshot({
      objects,
      invalid,
      workload: { ...workload, namespaceLabels: namespaces.get(workload.namespace) ?? {} },
      lookup: (kind, key, dataKey) => {
        const bytes = (kind === 'Secret' ? material.secret(key) : material.configMap(key))?.get(dataKey);
        return bytes === undefined ? undefined : decoder.decode(bytes);
      },
      generation,
      hash,
      source: 'files',
      ...(remembered === undefined ? {} : { remembered }),
    });
    ({ remembered } = compiled);
    const { snapshot } = compiled;
    const credentialView = credentials.prepare(snapshot.credentials, material);
    views = {
      tokens: tokens.prepare(snapshot.issuers, material),
      trust: trust.prepare(snapshot.trusts, material),
      devices: devices.prepare(snapshot.deviceServices, material, credentialView),
      credentials: credentialView,
    };
    publish({ snapshot, material, limits, ...views });
  }

  return {
    accept(resources) {
      if (!resources.complete) return;
      latest = resources;
      republish();
    },
    ready: async ms => views?.tokens.ready(ms),
    describe: () => ({
      configuration: latest === undefined ? 'not loaded' : { hash: latest.hash, problems: latest.violations.length },
      issuers: views?.tokens.status() ?? [],
      trusts: views?.trust.status() ?? [],
      deviceServices: views?.devices.status() ?? [],
      credentials: views?.credentials.status() ?? [],
    }),
    close: async () => {
      tokens.close();
      trust.close();
      credentials.close();
      await fetcher.close();
    },
  };
}
