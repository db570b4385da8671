/** The controller’s message as material: bytes by name, objects of other namespaces, what a gate holds back. */
import { KINDS, type KindName } from '../api/kinds/index.ts';
import type { ObjectKey } from '../api/object.ts';
import { isKind } from '../api/parse.ts';
import type { Material } from '../material/material.ts';
import type { MaterialMessage } from '../material/protocol.ts';
import { createMaterial, type Data } from './manifest-material.ts';
import { readManifest, type WatchedObject } from './watched-object.ts';

export interface ControllerMaterial {
  readonly message: MaterialMessage | undefined;
  /** An entry, null included: "it does not exist" is known. */
  has(kind: 'Secret' | 'ConfigMap' | 'object', key: string): boolean;
  readonly secrets: ReadonlyMap<ObjectKey, Data>;
  readonly configMaps: ReadonlyMap<ObjectKey, Data>;
  /** Of Secrets that may be presented to these hosts only. */
  readonly secretHosts: ReadonlyMap<ObjectKey, readonly string[]>;
  /** Objects of other namespaces, by kind. */
  readonly foreign: ReadonlyMap<KindName, readonly WatchedObject[]>;
  /** What takes the place of the namespace's AuthPolicies; null: none passed yet. Absent: no gate. */
  readonly gate?: { readonly policies: readonly WatchedObject[] | null };
}

/** `namespace`: the pod’s own, whose objects come from the API server alone. */
export function readMaterial(message: MaterialMessage | undefined, namespace: string): ControllerMaterial {
  const { secrets = {}, configMaps = {}, objects = {}, gate } = message ?? {};
  return {
    message,
    has: (kind, key) => Object.hasOwn(kind === 'Secret' ? secrets : kind === 'ConfigMap' ? configMaps : objects, key),
    secrets: decodeAll(secrets),
    configMaps: decodeAll(configMaps),
    secretHosts: new Map(
      Object.entries(secrets).flatMap(([key, entry]) =>
        entry?.allowedHosts === undefined ? [] : [[key, entry.allowedHosts] as const],
      ),
    ),
    foreign: sortForeign(Object.values(objects), namespace),
    ...(gate === undefined ? {} : { gate: { policies: readGated(gate.policies, namespace) } }),
  };
}

export function withoutGate(material: ControllerMaterial): ControllerMaterial {
  const { message, secrets, configMaps, secretHosts, foreign } = material;
  return { message, has: (kind, key) => material.has(kind, key), secrets, configMaps, secretHosts, foreign };
}

/** The gate holds back policies of the pod’s namespace and nothing else (api.md, PolicyTest). */
function readGated(policies: readonly unknown[] | null, namespace: string): readonly WatchedObject[] | null {
  const read = policies?.flatMap(policy => readManifest('AuthPolicy', policy) ?? []);
  return read?.filter(({ metadata }) => metadata.namespace === namespace) ?? null;
}

type Entries = Readonly<Record<string, { readonly data: Readonly<Record<string, string>> } | null>>;

function decodeAll(entries: Entries): ReadonlyMap<ObjectKey, Data> {
  const decoded = new Map<ObjectKey, Data>();
  for (const [key, entry] of Object.entries(entries)) {
    if (entry === null) continue;
    const data = Object.entries(entry.data).map(
      ([name, text]) => [name, new Uint8Array(Buffer.from(text, 'base64'))] as const,
    );
    decoded.set(key, new Map(data));
  }
  return decoded;
}

function sortForeign(objects: readonly unknown[], namespace: string): ReadonlyMap<KindName, readonly WatchedObject[]> {
  const sorted = new Map<KindName, WatchedObject[]>();
  for (const value of objects) {
    const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
    if (!isKind(kind) || KINDS[kind].scope !== 'Namespaced') continue;
    const watched = readManifest(kind, value);
    if (watched?.metadata.namespace === undefined || watched.metadata.namespace === namespace) continue;
    sorted.set(kind, [...(sorted.get(kind) ?? []), watched]);
  }
  return sorted;
}

/** Bytes by name, for adapters. */
export type MaterialData = Pick<ControllerMaterial, 'secrets' | 'configMaps' | 'secretHosts'>;

/**
 * `carried`: material that nothing names any more but the last good content of an object (S6). What the message says comes
 * first, and what it says not to exist does not.
 */
export function mergeData(current: ControllerMaterial, carried: MaterialData | undefined): MaterialData {
  if (carried === undefined) return current;
  const merge = <V>(kind: 'Secret' | 'ConfigMap', own: ReadonlyMap<ObjectKey, V>, old: ReadonlyMap<ObjectKey, V>) =>
    new Map([...[...old].filter(([key]) => !current.has(kind, key)), ...own]);
  return {
    secrets: merge('Secret', current.secrets, carried.secrets),
    configMaps: merge('ConfigMap', current.configMaps, carried.configMaps),
    secretHosts: merge('Secret', current.secretHosts, carried.secretHosts),
  };
}

export const toMaterial = ({ secrets, configMaps, secretHosts }: MaterialData): Material =>
  createMaterial(secrets, configMaps, secretHosts);
