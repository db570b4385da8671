/**
 * material: floor 2. What policies refer to (Secrets and ConfigMaps), from files or the controller. Immutable: a change
 * is a new Material.
 */
import type { ObjectKey } from '../api/object.ts';

export interface Material {
  /** Data of one Secret or ConfigMap by `namespace/name`; undefined when it does not exist. Values are raw bytes. */
  secret(key: ObjectKey): ReadonlyMap<string, Uint8Array> | undefined;
  configMap(key: ObjectKey): ReadonlyMap<string, Uint8Array> | undefined;
}

export const EMPTY_MATERIAL: Material = { secret: () => undefined, configMap: () => undefined };
