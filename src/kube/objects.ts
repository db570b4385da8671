/** Objects of the API server as far as every kind has them, and the paths of their collections. */

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string | null;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
    readonly controller?: boolean;
  }[];
  readonly finalizers?: readonly string[];
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
}

/** `namespace/name`, for objects of the cluster the name alone. */
export const nameObject = ({ metadata: { namespace, name } }: KubeObject): string =>
  namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;

/** kubectl’s copy of the whole object: as large as the object, and of no use here. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * What the server sent, without what only it needs: managedFields and kubectl’s copy. Changes the value.
 * Undefined: no object with a name.
 */
export function trimObject(value: unknown): (KubeObject & Record<string, unknown>) | undefined {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined;
  const metadata = value['metadata'];
  if (typeof metadata['name'] !== 'string') return undefined;
  delete metadata['managedFields'];
  const annotations = metadata['annotations'];
  if (isRecord(annotations) && LAST_APPLIED in annotations) {
    metadata['annotations'] = Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED));
  }
  // The server’s own shape, as far as it was checked above.
  return value as unknown as KubeObject & Record<string, unknown>;
}

export interface ResourceAddress {
  /** Empty: the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case. */
  readonly resource: string;
  /** Absent: of the cluster, or of all namespaces. */
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

/** `/apis/apps/v1/namespaces/shop/deployments/fleet/status`. */
export function resourcePath({ group, version, resource, namespace, name, subresource }: ResourceAddress): string {
  const parts = [
    group === '' ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(namespace === undefined ? [] : ['namespaces', encodeURIComponent(namespace)]),
    resource,
    ...(name === undefined ? [] : [encodeURIComponent(name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return parts.join('/');
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
