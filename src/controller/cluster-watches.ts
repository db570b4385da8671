/** What is watched of the cluster: our kinds, namespaces, pods with the label, and the pods of namespaces that matter. */
import { INJECT_LABEL } from '../api/names.ts';
import { KINDS, type KindName } from '../api/kinds/index.ts';
import { GROUP, VERSION } from '../api/object.ts';
import { createListWatch, type ListWatch, type ListWatchOptions } from '../kube/list-watch.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { ClientPool } from './client-pool.ts';
import type { Model } from './model.ts';
import type { RawObject } from './objects.ts';
import { readPod, type PodFacts, type VerifySidecar } from './pods.ts';

export interface WatchDependencies {
  readonly clients: ClientPool;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
}

export interface ClusterWatchOptions extends WatchDependencies {
  readonly model: Model;
  readonly verify: VerifySidecar;
}

export interface ClusterWatches {
  start(): void;
  /** Everything but the pods of single namespaces was read once. */
  readonly synced: Promise<void>;
  /** The pods of the namespaces that are followed now were read. */
  podsSynced(): Promise<void>;
  /** Watches the pods of these namespaces and of no others. */
  followPods(namespaces: ReadonlySet<string>): void;
  stop(): Promise<void>;
}

/** A list-watch with a connection of the pool. */
export function watchCollection<T extends KubeObject>(
  { clients, log, metrics, clock, random }: WatchDependencies,
  options: Pick<ListWatchOptions<T>, 'path' | 'query' | 'trim' | 'onChange' | 'metadataOnly'>,
): ListWatch {
  const { client, giveBack } = clients.take();
  const watch = createListWatch<T>({ client, log, metrics, clock, random, ...options });
  return { ...watch, stop: () => watch.stop().finally(giveBack) };
}

const core = (resource: string, namespace?: string): string =>
  resourcePath({ group: '', version: 'v1', resource, ...(namespace === undefined ? {} : { namespace }) });

export function createClusterWatches(options: ClusterWatchOptions): ClusterWatches {
  const { model, verify } = options;
  const podWatches = new Map<string, ListWatch>();
  const ended: Promise<void>[] = [];
  const trim = (pod: KubeObject): PodFacts => readPod(pod, verify);

  const kinds = (Object.keys(KINDS) as KindName[]).map(kind =>
    watchCollection<RawObject>(options, {
      path: resourcePath({ group: GROUP, version: VERSION, resource: KINDS[kind].plural }),
      onChange: (objects, { object }) => model.takeObjects(kind, objects, object),
    }),
  );
  const namespaces = watchCollection<KubeObject>(options, {
    path: core('namespaces'),
    trim: ({ metadata: { name, labels, resourceVersion, uid } }) => ({
      metadata: {
        name,
        ...(uid === undefined ? {} : { uid }),
        ...(labels === undefined ? {} : { labels }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
    }),
    onChange: listed => model.takeNamespaces(listed),
  });
  const labelled = watchCollection<PodFacts>(options, {
    path: core('pods'),
    query: { labelSelector: `${INJECT_LABEL}=enabled` },
    trim,
    onChange: listed => model.takeLabelled(listed.values()),
  });
  const fixed = [...kinds, namespaces, labelled];

  return {
    start: () => fixed.forEach(watch => watch.start()),
    synced: Promise.all(fixed.map(watch => watch.synced)).then(() => undefined),
    async podsSynced() {
      await Promise.all([...podWatches.values()].map(watch => watch.synced));
    },
    followPods(wanted) {
      for (const [namespace, watch] of podWatches) {
        if (wanted.has(namespace)) continue;
        podWatches.delete(namespace);
        ended.push(watch.stop());
        model.takePods(namespace, []);
      }
      for (const namespace of wanted) {
        if (podWatches.has(namespace)) continue;
        const watch = watchCollection<PodFacts>(options, {
          path: core('pods', namespace),
          trim,
          onChange: listed => {
            if (podWatches.get(namespace) === watch) model.takePods(namespace, listed.values());
          },
        });
        podWatches.set(namespace, watch);
        watch.start();
      }
    },
    async stop() {
      await Promise.all([...fixed, ...podWatches.values()].map(watch => watch.stop()));
      await Promise.all(ended);
    },
  };
}
