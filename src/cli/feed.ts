/** Where a sidecar’s resources come from: a folder or the cluster. Each is imported only where it is used. */
import { resolve } from 'node:path';
import type { ManagedOptions } from '../credentials/managed-certificates.ts';
import type { EnforcedState } from '../material/acknowledgement.ts';
import type { Outcome, Resources } from '../sources/source.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { Io } from './io.ts';
import type { SidecarValues } from './sidecar-options.ts';
import { findSource } from './source-options.ts';

export interface FeedOptions {
  readonly values: SidecarValues;
  readonly io: Pick<Io, 'env' | 'cwd'>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
  /** What the controller is told besides the objects. */
  readonly enforced: () => Omit<EnforcedState, 'hash' | 'objects'>;
}

export interface Feed {
  start(onChange: (resources: Resources) => Outcome | undefined): Promise<void>;
  /** Why nothing is in force yet, as /readyz says it. */
  problems(): readonly string[];
  /** Ready pods of the workload, this one included. */
  readyPods(): number;
  /** For status. */
  describe(): Readonly<Record<string, unknown>>;
  refreshMetrics(): void;
  /** How managed mesh certificates come; absent: from --mesh-certificate, or not at all. */
  readonly managed?: Pick<ManagedOptions, 'sign' | 'store'>;
  stop(): Promise<void>;
}

export async function openFeed(options: FeedOptions): Promise<Feed> {
  const { values, io, log } = options;
  if (findSource(values, io.env) === 'kubernetes') {
    const { createCluster } = await import('./cluster.ts');
    return createCluster(options);
  }
  const { createFilesSource } = await import('../sources/files.ts');
  const directory = resolve(io.cwd, values.config ?? '');
  const source = createFilesSource({ directory, log, defaultNamespace: values.namespace ?? 'default' });
  return {
    start: onChange => source.start(onChange),
    problems: () => [],
    readyPods: () => values['ready-pods'],
    describe: () => ({ source: { kind: 'files', directory } }),
    refreshMetrics: () => undefined,
    stop: () => source.stop(),
  };
}
