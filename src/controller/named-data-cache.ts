/**
 * Secrets and ConfigMaps that objects name, and no others: one watch of the metadata of all of them says what changed, and
 * only what is named is read. Of what is read, only the named keys are kept.
 *
 * Memory: about half a kilobyte for every Secret and ConfigMap of the cluster, and the values that are named.
 */
import type { ObjectKey } from '../api/object.ts';
import { createBackoff, pause } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { createListWatch, type ListWatch, type ListWatchEvent } from '../kube/list-watch.ts';
import { isRecord, nameObject, resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { readAllowedHosts, type NamedData, type NamedEntry } from './named-data.ts';
import { USE_LABEL } from './permissions.ts';

export type DataKind = 'Secret' | 'ConfigMap';
/** Names of the keys wanted, by `namespace/name`. */
export type WantedData = Readonly<Record<DataKind, ReadonlyMap<ObjectKey, ReadonlySet<string>>>>;

export interface NamedDataCacheOptions {
  readonly client: KubeClient;
  /** An entry became known, changed or went away. */
  readonly onChange: (kind: DataKind, key: ObjectKey) => void;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
}

export interface NamedDataCache extends NamedData {
  start(): void;
  readonly synced: Promise<void>;
  /** What is no longer wanted is forgotten. */
  want(wanted: WantedData): void;
  /** Resolves when everything that is wanted is known, or after `withinMs`: one that cannot be read must not hold up all. */
  settled(withinMs: number): Promise<void>;
  stop(): Promise<void>;
}

const ALLOWED_HOSTS = 'sallyport.dev/allowed-hosts';
const RESOURCES = { Secret: 'secrets', ConfigMap: 'configmaps' } as const;
const KINDS = ['Secret', 'ConfigMap'] as const;
const MOST_READS = 16;

interface Slot {
  readonly kind: DataKind;
  readonly key: ObjectKey;
  keys: ReadonlySet<string>;
  entry: NamedEntry | null | undefined;
  /** Version of what was read; empty: nothing was. */
  version: string;
  /** Version of the metadata that let it be read; the answer may be newer, and the watch then tells what is known. */
  asked: string;
  reading: boolean;
}

export function createNamedDataCache(options: NamedDataCacheOptions): NamedDataCache {
  const { client, log, metrics, clock, random, onChange } = options;
  const slots = new Map<string, Slot>();
  const listed: Record<DataKind, ReadonlyMap<string, KubeObject> | undefined> = {
    Secret: undefined,
    ConfigMap: undefined,
  };
  const waiting = new Set<Slot>();
  const stopping = new AbortController();
  let reads = 0;
  let onSettled: (() => void) | undefined;

  const watches = KINDS.map(kind =>
    createListWatch<KubeObject>({
      client,
      path: resourcePath({ group: '', version: 'v1', resource: RESOURCES[kind] }),
      metadataOnly: true,
      trim: ({ metadata: { name, namespace, uid, resourceVersion } }) => ({
        metadata: {
          name,
          ...(namespace === undefined ? {} : { namespace }),
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        },
      }),
      onChange: (objects, event) => take(kind, objects, event),
      log,
      metrics,
      clock,
      random,
    }),
  );

  function take(kind: DataKind, objects: ReadonlyMap<string, KubeObject>, event: ListWatchEvent<KubeObject>): void {
    listed[kind] = objects;
    if (event.object !== undefined) return look(slots.get(`${kind} ${nameObject(event.object)}`));
    for (const slot of slots.values()) if (slot.kind === kind) look(slot);
  }

  /** Settles what the metadata alone tell; reads the rest. */
  function look(slot: Slot | undefined): void {
    const objects = slot === undefined ? undefined : listed[slot.kind];
    if (slot === undefined || objects === undefined) return;
    const metadata = objects.get(slot.key)?.metadata;
    if (metadata === undefined) return settle(slot, null, '');
    const version = versionOf(metadata);
    if (slot.reading || version === slot.version || version === slot.asked) return;
    [slot.reading, slot.asked] = [true, version];
    waiting.add(slot);
    readNext();
  }

  function settle(slot: Slot, entry: NamedEntry | null, version: string): void {
    const isSame = JSON.stringify(describe(slot.entry)) === JSON.stringify(describe(entry));
    [slot.entry, slot.version] = [entry, version];
    if (!isSame && slots.get(`${slot.kind} ${slot.key}`) === slot) onChange(slot.kind, slot.key);
    if (isSettled()) onSettled?.();
  }

  const isSettled = (): boolean => [...slots.values()].every(({ entry }) => entry !== undefined);

  function readNext(): void {
    for (const slot of waiting) {
      if (reads >= MOST_READS) return;
      waiting.delete(slot);
      reads += 1;
      void read(slot).finally(() => {
        reads -= 1;
        readNext();
      });
    }
  }

  async function read(slot: Slot): Promise<void> {
    const { kind, key } = slot;
    const [namespace = '', name = ''] = key.split('/');
    const path = resourcePath({ group: '', version: 'v1', resource: RESOURCES[kind], namespace, name });
    const backoff = createBackoff({ random });
    while (!stopping.signal.aborted && slots.get(`${kind} ${key}`) === slot) {
      const { keys } = slot;
      try {
        const object = await readObject<KubeObject>(client, path);
        slot.reading = false;
        if (object === undefined) settle(slot, null, '');
        else settle(slot, readEntry(kind, object, keys), versionOf(object.metadata));
        // It changed, or more of it is wanted, while it was read.
        if (slot.keys !== keys) [slot.version, slot.asked] = ['', ''];
        return look(slot);
      } catch (error) {
        const problem = error instanceof Error ? error.message : 'failed';
        log.warn({ kind, object: key, problem }, 'cannot read what objects name');
        await pause(backoff.next(), stopping.signal);
      }
    }
    slot.reading = false;
  }

  return {
    find: (kind, key) => slots.get(`${kind} ${key}`)?.entry,
    start: () => watches.forEach(watch => watch.start()),
    synced: Promise.all(watches.map(watch => watch.synced)).then(() => undefined),
    want(wanted) {
      const ids = new Set<string>();
      for (const kind of KINDS) {
        for (const [key, keys] of wanted[kind]) {
          const id = `${kind} ${key}`;
          ids.add(id);
          const slot = slots.get(id);
          if (slot === undefined)
            slots.set(id, { kind, key, keys, entry: undefined, version: '', asked: '', reading: false });
          else if (!isSubset(keys, slot.keys)) [slot.keys, slot.version, slot.asked] = [keys, '', ''];
          look(slots.get(id));
        }
      }
      for (const id of slots.keys()) if (!ids.has(id)) slots.delete(id);
    },
    settled(withinMs) {
      if (isSettled()) return Promise.resolve();
      return new Promise(resolve => {
        const timer = setTimeout(resolve, withinMs);
        onSettled = () => {
          clearTimeout(timer);
          onSettled = undefined;
          resolve();
        };
      });
    },
    async stop() {
      stopping.abort();
      await Promise.all(watches.map((watch: ListWatch) => watch.stop()));
    },
  };
}

const versionOf = ({ uid = '', resourceVersion = '' }: KubeObject['metadata']): string => `${uid} ${resourceVersion}`;

const isSubset = (some: ReadonlySet<string>, of: ReadonlySet<string>): boolean =>
  [...some].every(member => of.has(member));

function describe(entry: NamedEntry | null | undefined): unknown {
  if (entry === undefined) return 'not known';
  return entry === null ? null : { ...entry, data: [...entry.data] };
}

function readEntry(kind: DataKind, object: KubeObject, keys: ReadonlySet<string>): NamedEntry {
  const raw = object as KubeObject & Record<string, unknown>;
  const plain = kind === 'ConfigMap' ? texts(raw['data']) : [];
  const encoded = texts(raw[kind === 'ConfigMap' ? 'binaryData' : 'data']);
  const data = [...encoded, ...plain.map(([key, text]) => [key, Buffer.from(text).toString('base64')] as const)];
  const { labels = {}, annotations = {} } = object.metadata;
  const allowedHosts = readAllowedHosts(annotations[ALLOWED_HOSTS]);
  return {
    type: typeof raw['type'] === 'string' ? raw['type'] : '',
    data: new Map(data.filter(([key]) => keys.has(key))),
    released: Object.hasOwn(labels, USE_LABEL),
    ...(allowedHosts === undefined ? {} : { allowedHosts }),
  };
}

function texts(value: unknown): readonly (readonly [string, string])[] {
  if (!isRecord(value)) return [];
  return Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
}
