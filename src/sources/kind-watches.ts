/** One list-watch for each kind: those of the own namespace, and the cluster kind. */
import { KINDS, type KindName } from '../api/kinds/index.ts';
import { GROUP, VERSION } from '../api/object.ts';
import type { KubeClient } from '../kube/client.ts';
import { createListWatch, type ListWatch, type ListWatchStatus } from '../kube/list-watch.ts';
import type { Timings } from '../kube/follower.ts';
import { resourcePath } from '../kube/objects.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { trimWatched, type WatchedObject } from './watched-object.ts';

export interface KindWatchesOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** All objects of one kind, after each change. */
  readonly onChange: (kind: KindName, objects: Iterable<WatchedObject>) => void;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
  readonly timings?: Partial<Timings>;
}

export interface KindWatches {
  start(): void;
  /** Whether the kind was listed once. */
  isSynced(kind: KindName): boolean;
  status(): readonly KindStatus[];
  stop(): Promise<void>;
}

export interface KindStatus extends ListWatchStatus {
  readonly kind: KindName;
}

/** Tests of policies are the controller’s to run: nothing that is served depends on them but what a gate holds back. */
export const KIND_NAMES = (Object.keys(KINDS) as readonly KindName[]).filter(kind => kind !== 'PolicyTest');

export function createKindWatches(options: KindWatchesOptions): KindWatches {
  const synced = new Set<KindName>();
  const watches = new Map<KindName, ListWatch>(KIND_NAMES.map(kind => [kind, createKindWatch(kind)]));

  function createKindWatch(kind: KindName): ListWatch {
    const { client, namespace, log, metrics, clock, random, timings } = options;
    const { plural, scope } = KINDS[kind];
    const address = { group: GROUP, version: VERSION, resource: plural };
    return createListWatch<WatchedObject>({
      client,
      path: resourcePath(scope === 'Cluster' ? address : { ...address, namespace }),
      trim: object => trimWatched(kind, object),
      onChange(objects) {
        synced.add(kind);
        options.onChange(kind, objects.values());
      },
      log,
      clock,
      random,
      ...(metrics === undefined ? {} : { metrics }),
      ...(timings === undefined ? {} : { timings }),
    });
  }

  return {
    start: () => watches.forEach(watch => watch.start()),
    isSynced: kind => synced.has(kind),
    status: () => [...watches].map(([kind, watch]) => ({ kind, ...watch.status() })),
    stop: async () => {
      await Promise.all([...watches.values()].map(watch => watch.stop()));
    },
  };
}
