/** One attempt after another at a collection: list it or resume where the last watch ended, then watch until the end. */
import { METADATA_ONLY, type KubeClient } from './client.ts';
import { createLocalError, KubeError } from './kube-error.ts';
import { nameObject, type KubeObject } from './objects.ts';
import { listPages } from './paged-list.ts';
import { readEvent, type WatchEvent } from './watch-events.ts';

export interface Timings {
  /** Between these a watch is asked to end, at random, so that a thousand pods do not come back at once. */
  readonly watchMinMs: number;
  readonly watchMaxMs: number;
  /** A watch that outlives its time by this is given up. */
  readonly graceMs: number;
  /** The initial events of a streaming list must be complete within this, or pages are asked for. */
  readonly streamedListMs: number;
  /** A watch that ends sooner than this without an event counts as a failure. */
  readonly shortestMs: number;
  readonly retryMinMs: number;
}

const TIMINGS = {
  watchMinMs: 300_000,
  watchMaxMs: 600_000,
  graceMs: 30_000,
  streamedListMs: 60_000,
  shortestMs: 1000,
} as const;

export interface FollowerOptions {
  readonly client: KubeClient;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly metadataOnly?: boolean;
  readonly clock: () => number;
  readonly random: () => number;
  readonly relistEveryMs?: number;
  readonly timings?: Partial<Timings>;
  readonly signal: AbortSignal;
  readonly onOpen: () => void;
  /** A watch brought an event, or lasted: the server may be asked again without a wait. */
  readonly onProgress: () => void;
  readonly onListed: (objects: ReadonlyMap<string, KubeObject>) => void;
  readonly onEvent: (event: Exclude<WatchEvent, { type: 'BOOKMARK' }>) => void;
}

export interface Follower {
  /** Returns when the watch ended in order. @throws KubeError */
  follow(): Promise<void>;
  /**
   * The resource version is too old: the next attempt lists. False when it was listed just now: a server that calls its
   * own answer too old must not be asked again at once.
   */
  forget(): boolean;
}

/** What one watch has brought so far. */
interface Progress {
  /** The initial events of a streaming list, until they are complete. */
  initial: Map<string, KubeObject> | undefined;
  events: number;
}

export function createFollower(options: FollowerOptions): Follower {
  const { client, path, query = {}, clock, random, signal, relistEveryMs = 1_800_000, metadataOnly = false } = options;
  const timings = { ...TIMINGS, ...options.timings };
  let resourceVersion: string | undefined;
  let listedAt = 0;
  let canStream = true;

  function keepList(objects: ReadonlyMap<string, KubeObject>, version: string): void {
    [resourceVersion, listedAt] = [version, clock()];
    options.onListed(objects);
  }

  function take(event: WatchEvent, progress: Progress): void {
    progress.events += 1;
    const { initial } = progress;
    if (initial === undefined) {
      ({ resourceVersion } = event);
      options.onProgress();
      if (event.type !== 'BOOKMARK') options.onEvent(event);
    } else if (event.type !== 'BOOKMARK') {
      if (event.type === 'DELETED') initial.delete(nameObject(event.object));
      else initial.set(nameObject(event.object), event.object);
    } else if (event.initialEnd) {
      progress.initial = undefined;
      keepList(initial, event.resourceVersion);
    }
  }

  async function watch(from: string | undefined): Promise<void> {
    const lasts = timings.watchMinMs + random() * (timings.watchMaxMs - timings.watchMinMs);
    const progress: Progress = { initial: from === undefined ? new Map() : undefined, events: 0 };
    const startedAt = clock();
    const guard = guardWatch(progress, lasts + timings.graceMs, timings.streamedListMs, signal);
    const asked = {
      ...query,
      watch: '1',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(Math.max(1, Math.round(lasts / 1000))),
      ...(from === undefined
        ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: from }),
    };
    const streaming = { onOpen: options.onOpen, ...(metadataOnly ? { accept: METADATA_ONLY.watch } : {}) };
    try {
      for await (const line of client.stream(path, asked, guard.signal, streaming)) {
        take(readEvent(line), progress);
      }
    } catch (error) {
      throw guard.explain() ?? error;
    } finally {
      guard.disarm();
    }
    if (progress.initial !== undefined) throw createLocalError('ConnectionLost', 'the streaming list ended early');
    // A server that accepts and ends at once would otherwise be asked without a pause.
    if (progress.events === 0 && clock() - startedAt < timings.shortestMs) {
      throw createLocalError('ConnectionLost', 'the server ends watches at once');
    }
    options.onProgress();
  }

  async function list(): Promise<void> {
    if (canStream) {
      try {
        return await watch(undefined);
      } catch (error) {
        if (!refusesStreaming(error)) throw error;
        canStream = false;
      }
    }
    const listed = await listPages({ client, path, query, signal, metadataOnly });
    keepList(listed.objects, listed.resourceVersion);
  }

  return {
    async follow() {
      const isDue = resourceVersion === undefined || clock() - listedAt >= relistEveryMs;
      // A streaming list is a watch as well.
      if (isDue) await list();
      else await watch(resourceVersion);
    },
    forget() {
      const wasUsed = resourceVersion !== undefined && clock() - listedAt >= timings.shortestMs;
      resourceVersion = undefined;
      return wasUsed;
    },
  };
}

const STREAMED_LIST_LATE = 'the initial events did not come in time';

/** 400 and 422: the server does not know streaming lists, or has them switched off (before Kubernetes 1.32). */
function refusesStreaming(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return error.status === 400 || error.status === 422 || error.message === STREAMED_LIST_LATE;
}

/** Ends a watch that outlives its time: a connection may be half open, or a gateway may hold it. */
function guardWatch(progress: Progress, longestMs: number, streamedListMs: number, outer: AbortSignal) {
  const ending = new AbortController();
  let why: string | undefined;
  const end = (reason: string): void => {
    why = reason;
    ending.abort();
  };
  const stop = (): void => ending.abort();
  outer.addEventListener('abort', stop, { once: true });
  if (outer.aborted) stop();
  const longest = setTimeout(() => end('the watch outlived its time'), longestMs);
  const initial =
    progress.initial === undefined
      ? undefined
      : setTimeout(() => {
          if (progress.initial !== undefined) end(STREAMED_LIST_LATE);
        }, streamedListMs);
  return {
    signal: ending.signal,
    explain: () => (why === undefined ? undefined : createLocalError('Timeout', why)),
    disarm() {
      clearTimeout(longest);
      clearTimeout(initial);
      outer.removeEventListener('abort', stop);
    },
  };
}
