/** Reads from a cluster what its judgement needs, with the rights of whoever asks: what they may not read is said, not fatal. */
import { KINDS, type KindName, type SallyportObject } from '../api/kinds/index.ts';
import { MESH_CA } from '../api/names.ts';
import { API_VERSION, GROUP, VERSION } from '../api/object.ts';
import { isKind, parseObject } from '../api/parse.ts';
import { listReferences } from '../material/references.ts';
import type { KubeClient } from '../kube/client.ts';
import { isNotFound, KubeError } from '../kube/kube-error.ts';
import { trimObject, resourcePath, type ResourceAddress } from '../kube/objects.ts';
import { listPages } from '../kube/paged-list.ts';
import { identify } from '../policy/inventory.ts';
import { everyOf } from './check-problems.ts';
import type { AdmissionView, ClusterView, Raw } from './cluster-view.ts';

export interface ReadOptions {
  readonly client: KubeClient;
  /** Only this one and what it depends on; undefined: all. */
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
  /** Whether Secrets, ConfigMaps, Services and admission count too; false: objects, namespaces and pods. */
  readonly everything: boolean;
}

/** @throws KubeError when the API server cannot be reached or does not know who asks. */
export async function readCluster(options: ReadOptions): Promise<ClusterView> {
  const { namespace, everything } = options;
  const reader = createReader(options);
  const scope = namespace === undefined ? {} : { namespace };
  const core = { group: '', version: 'v1', ...scope };
  const [own, namespaces, pods] = await Promise.all([
    readObjects(reader, namespace),
    readNamespaces(reader, namespace),
    reader.list({ ...core, resource: 'pods' }, 'Pod'),
  ]);
  const objects = namespace === undefined ? own.objects : await followForeign(reader, own.objects, namespace);
  const nothing = { services: [], data: [], meshBundles: undefined, admission: NOTHING_KNOWN };
  const more = everything ? await readMore(reader, objects, scope) : nothing;
  const labels = namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}] as const);
  return {
    ...{ objects, installed: own.installed, namespaces: new Map(labels), pods: pods ?? [] },
    ...more,
    unread: reader.unread,
    notChecked: reader.describe(),
  };
}

const NOTHING_KNOWN: AdmissionView = {
  mutating: undefined,
  validating: undefined,
  policies: undefined,
  bindings: undefined,
};

async function readMore(reader: Reader, objects: readonly Raw[], scope: { readonly namespace?: string }) {
  const core = { group: '', version: 'v1', ...scope };
  const registration = { group: 'admissionregistration.k8s.io', version: 'v1' };
  const list = (resource: string, kind: string) => reader.list({ ...registration, resource }, kind);
  const [services, data, meshBundles, mutating, validating, policies, bindings] = await Promise.all([
    reader.list({ ...core, resource: 'services' }, 'Service'),
    readData(reader, objects),
    reader.list({ ...core, resource: 'configmaps' }, 'ConfigMap', { fieldSelector: `metadata.name=${MESH_CA}` }),
    list('mutatingwebhookconfigurations', 'MutatingWebhookConfiguration'),
    list('validatingwebhookconfigurations', 'ValidatingWebhookConfiguration'),
    list('validatingadmissionpolicies', 'ValidatingAdmissionPolicy'),
    list('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding'),
  ]);
  return {
    services: services ?? [],
    data,
    meshBundles,
    admission: { mutating, validating, policies, bindings },
  };
}

interface Reader {
  /** Undefined: it may not be read, or the server does not know the kind. */
  list(
    at: ResourceAddress,
    kind: string,
    query?: Readonly<Record<string, string>>,
  ): Promise<readonly Raw[] | undefined>;
  /** Undefined: not there, or unread. */
  get(at: ResourceAddress, kind: string): Promise<Raw | undefined>;
  /** Whether the server knew none of the kinds of the group. */
  readonly unknown: ReadonlySet<string>;
  readonly unread: ReadonlySet<string>;
  describe(): readonly string[];
}

function createReader({ client, signal }: ReadOptions): Reader {
  const unread = new Set<string>();
  const unknown = new Set<string>();
  const forbidden = new Map<string, string[]>();
  const withhold = (rule: string, what: string): void => {
    forbidden.set(rule, [...(forbidden.get(rule) ?? []), what]);
  };
  return {
    unread,
    unknown,
    async list(at, kind, query = {}) {
      try {
        const { objects } = await listPages({ client, path: resourcePath(at), query, signal });
        const apiVersion = at.group === '' ? at.version : `${at.group}/${at.version}`;
        return [...objects.values()].map(object => ({ ...object, apiVersion, kind }));
      } catch (error) {
        if (isNotFound(error)) unknown.add(kind);
        else if (isForbidden(error)) {
          unread.add(everyOf(kind));
          withhold(`list ${at.resource}`, describePlace(at, kind));
        } else throw error;
        return undefined;
      }
    },
    async get(at, kind) {
      try {
        const object = trimObject(await client.request('GET', resourcePath(at), { signal }));
        return object === undefined ? undefined : { ...object, kind };
      } catch (error) {
        if (isNotFound(error)) return undefined;
        if (!isForbidden(error)) throw error;
        const id = `${kind} ${at.namespace === undefined ? '' : `${at.namespace}/`}${at.name ?? ''}`;
        unread.add(id);
        withhold(`get ${at.resource}`, id);
        return undefined;
      }
    },
    describe: () => [...forbidden].map(([rule, what]) => `${nameSome(what)}: you may not ${rule}`).sort(),
  };
}

const isForbidden = (error: unknown): boolean => error instanceof KubeError && error.status === 403;

const describePlace = ({ namespace }: ResourceAddress, kind: string): string =>
  namespace === undefined ? `every ${kind} of the cluster` : `every ${kind} of namespace ${namespace}`;

const MOST_NAMED = 5;

function nameSome(names: readonly string[]): string {
  const sorted = [...new Set(names)].sort();
  const shown = sorted.slice(0, MOST_NAMED).join(', ');
  return sorted.length <= MOST_NAMED ? shown : `${shown} and ${sorted.length - MOST_NAMED} more`;
}

async function readObjects(
  reader: Reader,
  namespace: string | undefined,
): Promise<{ readonly objects: readonly Raw[]; readonly installed: boolean }> {
  const kinds = Object.keys(KINDS).filter(isKind);
  const lists = await Promise.all(
    kinds.map(kind => {
      const scope = namespace === undefined || KINDS[kind].scope === 'Cluster' ? {} : { namespace };
      return reader.list({ group: GROUP, version: VERSION, resource: KINDS[kind].plural, ...scope }, kind);
    }),
  );
  return { objects: lists.flatMap(list => list ?? []), installed: kinds.some(kind => !reader.unknown.has(kind)) };
}

async function readNamespaces(reader: Reader, namespace: string | undefined): Promise<readonly Raw[]> {
  const at = { group: '', version: 'v1', resource: 'namespaces' };
  if (namespace === undefined) return (await reader.list(at, 'Namespace')) ?? [];
  const one = await reader.get({ ...at, name: namespace }, 'Namespace');
  return one === undefined ? [] : [one];
}

/** Objects of other namespaces that those name, and what these name in turn. */
async function followForeign(reader: Reader, own: readonly Raw[], namespace: string): Promise<readonly Raw[]> {
  const found = new Map<string, Raw | undefined>();
  let fresh = own;
  while (fresh.length > 0) {
    const wanted = new Map<string, readonly [kind: KindName, namespace: string, name: string]>();
    for (const reference of fresh.flatMap(parse).flatMap(listReferences)) {
      const { kind, key } = reference;
      const [place = '', name = ''] = key.split('/');
      if (!isKind(kind) || place === namespace || found.has(identify({ kind, key }))) continue;
      wanted.set(identify({ kind, key }), [kind, place, name]);
    }
    const answers = await Promise.all(
      [...wanted].map(async ([id, [kind, place, name]]) => {
        const at = { group: GROUP, version: VERSION, resource: KINDS[kind].plural, namespace: place, name };
        return [id, await reader.get(at, kind)] as const;
      }),
    );
    for (const [id, object] of answers) found.set(id, object);
    fresh = answers.flatMap(([, object]) => object ?? []);
  }
  return [...own, ...[...found.values()].filter(object => object !== undefined)];
}

function parse(raw: Raw): readonly SallyportObject[] {
  const { object } = parseObject({ ...raw, apiVersion: API_VERSION });
  return object === undefined ? [] : [object];
}

/** By name: nobody needs the right to list Secrets for it. */
async function readData(reader: Reader, objects: readonly Raw[]): Promise<readonly Raw[]> {
  const named = new Map<string, ResourceAddress & { readonly kind: string }>();
  for (const { kind, key } of objects.flatMap(parse).flatMap(listReferences)) {
    if (kind !== 'Secret' && kind !== 'ConfigMap') continue;
    const [namespace = '', name = ''] = key.split('/');
    const resource = kind === 'Secret' ? 'secrets' : 'configmaps';
    named.set(`${kind} ${key}`, { group: '', version: 'v1', resource, namespace, name, kind });
  }
  const entries = await Promise.all([...named.values()].map(at => reader.get(at, at.kind)));
  return entries.filter(entry => entry !== undefined);
}
