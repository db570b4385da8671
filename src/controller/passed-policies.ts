/**
 * The AuthPolicies of each gated namespace as they were when every case passed last, in a ConfigMap of the controller's own
 * namespace. What is written there is what gates keep in force, on every replica, after restarts and changes of leader.
 */
import { promisify } from 'node:util';
import { gunzipSync, gzip } from 'node:zlib';
import type { SallyportObject } from '../api/kinds/index.ts';
import { FIELD_MANAGER } from '../api/names.ts';
import { parseObject } from '../api/parse.ts';
import type { KubeClient } from '../kube/client.ts';
import { isRecord, resourcePath, type KubeObject } from '../kube/objects.ts';
import { applyObject, deleteObject } from '../kube/writes.ts';
import { watchCollection, type WatchDependencies } from './cluster-watches.ts';

export interface PassedSet {
  readonly manifests: readonly unknown[];
  readonly objects: readonly SallyportObject[];
}

export interface PassedPolicies {
  start(): void;
  readonly synced: Promise<void>;
  /** Undefined: nothing passed yet. */
  find(namespace: string): PassedSet | undefined;
  /** Changes with what `find` answers. */
  version(namespace: string): string;
  namespaces(): Iterable<string>;
  /** The leader's work. @throws KubeError, or Error when it is more than a ConfigMap holds */
  write(namespace: string, manifests: readonly unknown[]): Promise<void>;
  remove(namespace: string): Promise<void>;
  stop(): Promise<void>;
}

export interface PassedPoliciesOptions extends WatchDependencies {
  readonly client: KubeClient;
  /** The controller's. */
  readonly namespace: string;
  readonly onChange: (namespaces: ReadonlySet<string>) => void;
}

const COMPONENT = { 'app.kubernetes.io/component': 'passed-policies' } as const;
const PREFIX = 'sallyport-passed-';
const KEY = 'policies.json.gz';
/** Of Base64: the API server takes 1 MiB of a ConfigMap. */
const MOST_CHARACTERS = 900_000;
/** Of JSON. */
const MOST_BYTES = 64 * 1024 * 1024;

const compress = promisify(gzip);

interface Stored extends KubeObject {
  readonly binaryData?: unknown;
}

interface Known extends PassedSet {
  readonly version: string;
}

export function createPassedPolicies(options: PassedPoliciesOptions): PassedPolicies {
  const { client, namespace: own, onChange, log } = options;
  const collection = { group: '', version: 'v1', resource: 'configmaps', namespace: own };
  const pathOf = (namespace: string): string => resourcePath({ ...collection, name: PREFIX + namespace });
  let known: ReadonlyMap<string, Known> = new Map();

  const watch = watchCollection<Stored>(options, {
    path: resourcePath(collection),
    query: { labelSelector: Object.entries(COMPONENT).join().replace(',', '=') },
    onChange(listed) {
      const before = known;
      known = new Map(
        [...listed.values()].flatMap(stored => {
          const namespace = stored.metadata.name.slice(PREFIX.length);
          const same = before.get(namespace);
          const version = `${stored.metadata.uid ?? ''} ${stored.metadata.resourceVersion ?? ''}`;
          const read = same?.version === version ? same : readStored(stored, version);
          if (read === undefined) log.error({ configMap: stored.metadata.name }, 'what passed last cannot be read');
          return read === undefined ? [] : [[namespace, read] as const];
        }),
      );
      const names = new Set([...before.keys(), ...known.keys()]);
      onChange(new Set([...names].filter(name => before.get(name)?.version !== known.get(name)?.version)));
    },
  });

  return {
    start: () => watch.start(),
    synced: watch.synced,
    find: namespace => known.get(namespace),
    version: namespace => known.get(namespace)?.version ?? '',
    namespaces: () => known.keys(),
    async write(namespace, manifests) {
      const text = (await compress(JSON.stringify(manifests))).toString('base64');
      if (text.length > MOST_CHARACTERS) {
        throw new Error(`${text.length} bytes are more than a ConfigMap holds: divide the namespace`);
      }
      const metadata = { name: PREFIX + namespace, namespace: own, labels: COMPONENT };
      const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata, binaryData: { [KEY]: text } };
      await applyObject(client, pathOf(namespace), manifest, { fieldManager: FIELD_MANAGER });
    },
    async remove(namespace) {
      await deleteObject(client, pathOf(namespace));
    },
    stop: () => watch.stop(),
  };
}

/** Undefined: somebody wrote over it. Then nothing passed yet, until the tests passed again. */
function readStored({ binaryData }: Stored, version: string): Known | undefined {
  const text = isRecord(binaryData) ? binaryData[KEY] : undefined;
  if (typeof text !== 'string') return undefined;
  try {
    const bytes = gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: MOST_BYTES });
    const manifests: unknown = JSON.parse(bytes.toString('utf8'));
    if (!Array.isArray(manifests)) return undefined;
    return { manifests, objects: manifests.flatMap(manifest => parseObject(manifest).object ?? []), version };
  } catch {
    return undefined;
  }
}
