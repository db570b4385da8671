/**
 * Follows one collection: a streaming list (or pages) and a watch that continues it, for as long as the process lives.
 * No error of the server or the network ends it. https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createBackoff, pause } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { createDelivery } from './delivery.ts';
import { createFollower, type Timings } from './follower.ts';
import { isGone, KubeError } from './kube-error.ts';
import type { KubeObject } from './objects.ts';
import { createObjectStore } from './object-store.ts';

export interface ListWatchEvent<T extends KubeObject> {
  /** SYNC: the first list, a list that found differences, or a repetition after a handler threw. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'SYNC';
  /** Absent for SYNC. */
  readonly object?: T;
}

export interface ListWatchOptions<T extends KubeObject> {
  readonly client: KubeClient;
  /** Of the collection: `/apis/sallyport.dev/v1alpha1/namespaces/shop/apis`. */
  readonly path: string;
  /** `labelSelector`, `fieldSelector`. */
  readonly query?: Readonly<Record<string, string>>;
  /** Objects are asked for without everything but their metadata: of Secrets no value then leaves the API server. */
  readonly metadataOnly?: boolean;
  /**
   * One live map, by `namespace/name`: read it, do not keep a copy of it that must stay as it was. What it throws is
   * logged, and it is called again with SYNC.
   */
  readonly onChange: (objects: ReadonlyMap<string, T>, event: ListWatchEvent<T>) => void | Promise<void>;
  /** What is kept of an object, `metadata` as it is; default: all of it. managedFields are never kept. */
  readonly trim?: (object: KubeObject) => T;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Milliseconds. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Default 30 min: differences that a watch did not tell are found then, and logged. */
  readonly relistEveryMs?: number;
  readonly timings?: Partial<Timings>;
}

export interface ListWatchStatus {
  /** A watch is open, or was closed in order and is being opened again. */
  readonly connected: boolean;
  /** Since when it is not; 0 while connected. */
  readonly staleMs: number;
  /** Lists after the first. */
  readonly relists: number;
  /** Why it is not connected, as a sentence for people. */
  readonly problem?: string;
}

export interface ListWatch {
  start(): void;
  /** Resolves after the first list was handed to `onChange`; waits as long as that takes. */
  readonly synced: Promise<void>;
  stop(): Promise<void>;
  status(): ListWatchStatus;
}

export function createListWatch<T extends KubeObject>(options: ListWatchOptions<T>): ListWatch {
  const { path, log, metrics, clock, random, timings } = options;
  const resource = path.slice(path.lastIndexOf('/') + 1);
  // Without `trim`, T is what the caller says the server sends.
  const store = createObjectStore<T>(options.trim ?? (object => object as T));
  const delivery = createDelivery<ListWatchEvent<T>>({
    handle: event => options.onChange(store.objects, event),
    again: { type: 'SYNC' },
    log,
    name: resource,
    random,
    ...(timings?.retryMinMs === undefined ? {} : { retryMinMs: timings.retryMinMs }),
  });
  const backoff = createBackoff({
    random,
    ...(timings?.retryMinMs === undefined ? {} : { minMs: timings.retryMinMs }),
  });
  const stopping = new AbortController();
  const { promise: synced, resolve: sync } = Promise.withResolvers<undefined>();
  const isStopped = (): boolean => stopping.signal.aborted;
  let lostAt: number | undefined = clock();
  let problem: string | undefined;
  let lists = 0;
  let running: Promise<void> | undefined;

  const follower = createFollower({
    ...options,
    signal: stopping.signal,
    onOpen() {
      if (problem !== undefined) log.info({ resource }, 'watching again');
      [lostAt, problem] = [undefined, undefined];
      metrics?.gauge('sallyport_watch_connected', 1, { resource });
    },
    onProgress: () => backoff.reset(),
    onListed(listed) {
      lists += 1;
      if (lists > 1) metrics?.count('sallyport_watch_relists_total', { resource });
      const changes = store.replace(listed);
      if (lists > 1 && changes > 0) log.info({ resource, changes }, 'a list found what the watch had not told');
      if (lists === 1 || changes > 0) delivery.deliver({ type: 'SYNC' });
      sync(undefined);
    },
    onEvent: event => delivery.deliver({ type: event.type, object: store.change(event) }),
  });

  /** How long to wait before the next attempt. */
  function recover(error: unknown): number {
    if (isGone(error) && follower.forget()) return 0;
    lostAt ??= clock();
    metrics?.gauge('sallyport_watch_connected', 0, { resource });
    const text = error instanceof Error ? error.message : 'the watch failed';
    // The same problem every few seconds is one line.
    if (text !== problem) log.warn({ resource, problem: text }, 'cannot watch; what is known stays in force');
    problem = text;
    return backoff.next(error instanceof KubeError ? error.retryAfterMs : undefined);
  }

  async function run(): Promise<void> {
    while (!isStopped()) {
      try {
        await follower.follow();
      } catch (error) {
        if (isStopped()) return;
        const delay = recover(error);
        if (delay > 0) await pause(delay, stopping.signal);
      }
    }
  }

  return {
    start() {
      metrics?.gauge('sallyport_watch_connected', 0, { resource });
      running ??= run();
    },
    synced: synced.then(() => undefined),
    async stop() {
      stopping.abort();
      delivery.stop();
      await running;
    },
    status: () => ({
      connected: lostAt === undefined,
      staleMs: lostAt === undefined ? 0 : clock() - lostAt,
      relists: Math.max(0, lists - 1),
      ...(problem === undefined ? {} : { problem }),
    }),
  };
}
