/** Keeps what passed the gates in ConfigMaps of the controller’s namespace. Every replica reads them, the leader writes. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { applyObject } from '../kube/writes.ts';
import { watchCollection, type WatchDependencies } from './cluster-watches.ts';
import { readPassed, writePassed, type PassedPolicies } from './gates.ts';

const GATE_LABEL = 'sallyport.dev/gate';
/** The API server takes a mebibyte; a policy that is left out is held back as if it never passed. */
const MOST_BYTES = 900_000;

export interface GateKeeper {
  start(): void;
  readonly synced: Promise<void>;
  kept(namespace: string): PassedPolicies;
  /** Where it differs from what is kept. */
  keep(namespace: string, passed: PassedPolicies): void;
  stop(): Promise<void>;
}

export interface GateKeeperOptions extends WatchDependencies {
  readonly client: KubeClient;
  /** The controller’s. */
  readonly namespace: string;
  readonly leads: () => boolean;
  /** What is kept for that namespace was read or changed. */
  readonly onChange: (namespace: string) => void;
}

interface ConfigMap extends KubeObject {
  readonly data?: unknown;
}

export function createGateKeeper(options: GateKeeperOptions): GateKeeper {
  const { client, namespace, leads, log } = options;
  const address = { group: '', version: 'v1', resource: 'configmaps', namespace };
  let maps: ReadonlyMap<string, ConfigMap> = new Map();
  const writing = new Map<string, PassedPolicies>();

  const watch = watchCollection<ConfigMap>(options, {
    path: resourcePath(address),
    query: { labelSelector: GATE_LABEL },
    onChange: (listed, { object }) => {
      maps = listed;
      for (const one of object === undefined ? listed.values() : [object]) {
        const of = one.metadata.labels?.[GATE_LABEL];
        if (of !== undefined) options.onChange(of);
      }
    },
  });

  const find = (of: string): ConfigMap | undefined => maps.get(`${namespace}/${nameOf(of)}`);

  async function write(of: string): Promise<void> {
    for (let passed = writing.get(of); passed !== undefined && leads(); passed = writing.get(of)) {
      const name = nameOf(of);
      const path = resourcePath({ ...address, name });
      const data = cutToFit(writePassed(passed));
      const metadata = { name, namespace, labels: { [GATE_LABEL]: of } };
      const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      await applyObject(client, path, manifest, { fieldManager: FIELD_MANAGER });
      if (writing.get(of) === passed) break;
    }
  }

  return {
    start: () => watch.start(),
    synced: watch.synced,
    kept: of => readPassed(find(of)?.data),
    keep(of, passed) {
      const stored = find(of);
      const isSame = isDeepStrictEqual(stored?.data ?? {}, cutToFit(writePassed(passed)));
      if (!leads() || isSame) return;
      const isRunning = writing.has(of);
      writing.set(of, passed);
      if (isRunning) return;
      write(of)
        .catch((error: unknown) => {
          const problem = error instanceof Error ? error.message : 'failed';
          log.warn({ namespace: of, problem }, 'cannot keep what passed the policy tests');
        })
        .finally(() => writing.delete(of));
    },
    stop: () => watch.stop(),
  };
}

/** Names of namespaces are as long as a label may be, so the prefix needs room. */
function nameOf(namespace: string): string {
  const digest = createHash('sha256').update(namespace).digest('hex').slice(0, 8);
  return `sallyport-gate-${namespace.slice(0, 40)}-${digest}`.replace(/-+/g, '-');
}

function cutToFit(data: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  let left = MOST_BYTES;
  return Object.fromEntries(
    Object.entries(data).filter(([name, text]) => {
      left -= name.length + Buffer.byteLength(text);
      return left >= 0;
    }),
  );
}
