/**
 * material: floor 2. What policies refer to (Secrets and ConfigMaps), from files or the controller. Immutable: a change
 * is a new Material.
 */
import type { ObjectKey } from '../api/object.ts';
import type { Lookup, MaterialKind } from '../policy/references.ts';

export interface Material {
  /** Data of one Secret or ConfigMap by `namespace/name`; undefined when it does not exist. Values are raw bytes. */
  secret(key: ObjectKey): ReadonlyMap<string, Uint8Array> | undefined;
  configMap(key: ObjectKey): ReadonlyMap<string, Uint8Array> | undefined;
  /** What a Secret's annotation `sallyport.dev/allowed-hosts` names; undefined (or absent): it may be presented to any host. */
  secretHosts?(key: ObjectKey): readonly string[] | undefined;
  /** Those of one kind with the names of their keys, for advice; absent: they cannot be listed. */
  list?(kind: 'Secret' | 'ConfigMap'): Iterable<readonly [key: ObjectKey, dataKeys: readonly string[]]>;
}

/** What the policy compiler reads of it: text of a key. Bytes that are not UTF-8 become U+FFFD. */
export function createLookup(material: Material): Lookup {
  const decoder = new TextDecoder();
  const lookup = (kind: MaterialKind, key: ObjectKey, dataKey: string): string | undefined => {
    const bytes = (kind === 'Secret' ? material.secret(key) : material.configMap(key))?.get(dataKey);
    return bytes === undefined ? undefined : decoder.decode(bytes);
  };
  return Object.assign(lookup, {
    list: (kind: MaterialKind) => material.list?.(kind) ?? [],
    secretHosts: (key: ObjectKey) => material.secretHosts?.(key),
  });
}

export const EMPTY_MATERIAL: Material = { secret: () => undefined, configMap: () => undefined };
