/** Makes the grants of opted-in namespaces, mends them, and removes them when the namespace opts out. The leader's work. */
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER, MESH_CA, SIDECAR_ROLE } from '../api/names.ts';
import { createBackoff, pause } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ListWatch } from '../kube/list-watch.ts';
import { KubeError } from '../kube/kube-error.ts';
import { resourcePath, type KubeObject, type ResourceAddress } from '../kube/objects.ts';
import { applyObject, deleteObject, readObject } from '../kube/writes.ts';
import { watchCollection, type WatchDependencies } from './cluster-watches.ts';
import {
  describeClusterGrant,
  describeGrants,
  MANAGED_SELECTOR,
  type GrantedObject,
  type GrantedResource,
} from './grants.ts';

export interface GrantKeeper {
  start(): void;
  readonly synced: Promise<void>;
  /** Looks at everything again, soon. */
  refresh(): void;
  stop(): Promise<void>;
}

export interface GrantKeeperOptions extends WatchDependencies {
  readonly client: KubeClient;
  /** Undefined: this replica does not lead, and does nothing. */
  readonly wanted: () =>
    { readonly namespaces: ReadonlySet<string>; readonly meshBundle: string | undefined } | undefined;
}

const COLLECTIONS: Readonly<Record<GrantedResource, { readonly address: ResourceAddress; readonly name: string }>> = {
  roles: { address: { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'roles' }, name: SIDECAR_ROLE },
  rolebindings: {
    address: { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'rolebindings' },
    name: SIDECAR_ROLE,
  },
  configmaps: { address: { group: '', version: 'v1', resource: 'configmaps' }, name: MESH_CA },
};
const RESOURCES = Object.keys(COLLECTIONS) as readonly GrantedResource[];

export function createGrantKeeper(options: GrantKeeperOptions): GrantKeeper {
  const { client, log, random } = options;
  const stopping = new AbortController();
  const known = new Map<GrantedResource, ReadonlyMap<string, KubeObject>>();
  let dirty = false;
  let settledFor = '';
  let running: Promise<void> | undefined;

  const watches: readonly ListWatch[] = RESOURCES.map(resource =>
    watchCollection<KubeObject>(options, {
      path: resourcePath(COLLECTIONS[resource].address),
      query: { labelSelector: MANAGED_SELECTOR },
      onChange: listed => {
        known.set(resource, listed);
        settledFor = '';
        refresh();
      },
    }),
  );

  function refresh(): void {
    dirty = true;
    running ??= run().finally(() => (running = undefined));
  }

  async function run(): Promise<void> {
    const backoff = createBackoff({ random });
    while (dirty && !stopping.signal.aborted) {
      dirty = false;
      // Several changes come together: a namespace, its pods, the bundle.
      if (!(await pause(50, stopping.signal))) return;
      const failed = await settleAll();
      if (failed && (await pause(backoff.next(), stopping.signal))) dirty = true;
    }
  }

  /** Whether something has to be tried again. */
  async function settleAll(): Promise<boolean> {
    const wish = options.wanted();
    if (wish === undefined) settledFor = '';
    if (wish === undefined || known.size < RESOURCES.length) return false;
    const { namespaces, meshBundle } = wish;
    const wanted = JSON.stringify([[...namespaces].sort(), meshBundle]);
    if (wanted === settledFor) return false;
    settledFor = wanted;
    let failed = false;
    for (const namespace of namespaces) {
      const grants = describeGrants(namespace, meshBundle);
      for (const resource of RESOURCES) {
        const grant = grants[resource];
        if (grant !== undefined) failed = !(await settle(grant, find(resource, namespace))) || failed;
      }
    }
    for (const resource of RESOURCES) failed = !(await removeOthers(resource, namespaces)) || failed;
    failed = !(await settleCluster([...namespaces])) || failed;
    if (failed) settledFor = '';
    return failed;
  }

  const find = (resource: GrantedResource, namespace: string): KubeObject | undefined =>
    known.get(resource)?.get(`${namespace}/${COLLECTIONS[resource].name}`);

  async function settle(grant: GrantedObject, stored: KubeObject | undefined): Promise<boolean> {
    if (stored !== undefined && holds(stored, grant)) return true;
    return attempt(grant.address, () =>
      applyObject(client, resourcePath(grant.address), grant.manifest, { fieldManager: FIELD_MANAGER }),
    );
  }

  async function removeOthers(resource: GrantedResource, namespaces: ReadonlySet<string>): Promise<boolean> {
    let done = true;
    const { address, name } = COLLECTIONS[resource];
    for (const { metadata } of known.get(resource)?.values() ?? []) {
      const { namespace = '', uid } = metadata;
      if (metadata.name !== name || namespaces.has(namespace)) continue;
      const at = { ...address, namespace, name };
      done = (await attempt(at, () => deleteObject(client, resourcePath(at), uid))) && done;
    }
    return done;
  }

  async function settleCluster(namespaces: readonly string[]): Promise<boolean> {
    const grant = describeClusterGrant(namespaces);
    return attempt(grant.address, async () => {
      const path = resourcePath(grant.address);
      const stored = await readObject(client, path);
      if (stored !== undefined && holds(stored, grant)) return;
      await applyObject(client, path, grant.manifest, { fieldManager: FIELD_MANAGER });
    });
  }

  async function attempt(address: ResourceAddress, act: () => Promise<unknown>): Promise<boolean> {
    if (stopping.signal.aborted) return true;
    try {
      await act();
      return true;
    } catch (error) {
      // A namespace that is being deleted takes nothing new, and needs nothing.
      if (error instanceof KubeError && (error.status === 404 || isEnding(error))) return true;
      const { resource, namespace } = address;
      const problem = error instanceof Error ? error.message : 'failed';
      log.warn({ resource, namespace, problem }, 'cannot make what sidecars need to read their policies');
      return false;
    }
  }

  return {
    start: () => watches.forEach(watch => watch.start()),
    synced: Promise.all(watches.map(watch => watch.synced)).then(() => undefined),
    refresh,
    async stop() {
      stopping.abort();
      await Promise.all(watches.map(watch => watch.stop()));
      await running;
    },
  };
}

const isEnding = ({ status, message }: KubeError): boolean =>
  status === 403 && message.includes('because it is being terminated');

/** Whether the stored object says what the grant says; what else it holds is not ours. */
function holds(stored: KubeObject, { manifest }: GrantedObject): boolean {
  const raw = stored as KubeObject & Record<string, unknown>;
  return ['rules', 'subjects', 'roleRef', 'data'].every(
    member => manifest[member] === undefined || isDeepStrictEqual(raw[member], manifest[member]),
  );
}
