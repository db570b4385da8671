/** Objects as they are parsed: identity, metadata and a spec of one of the kinds. */
import type { SourcePosition } from './violation.ts';

export const GROUP = 'sallyport.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

/** `namespace/name`, or `name` for the cluster kind. Unique within a kind. */
export type ObjectKey = string;

export interface ObjectMeta {
  readonly name: string;
  /** Empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** 1 in files unless the manifest says otherwise; counted by the API server in the cluster. */
  readonly generation: number;
  /** Milliseconds since the epoch; 0 in files, where a conflict is an error instead. */
  readonly createdAt: number;
}

/** A position for a field path of this object, so that a violation found later still names its line. */
export type Locate = (field: string) => SourcePosition | undefined;

export interface ParsedObject<K extends string, S> {
  readonly kind: K;
  readonly meta: ObjectMeta;
  readonly key: ObjectKey;
  readonly spec: S;
  /** Absent in the cluster. */
  readonly locate?: Locate;
}

export const objectKey = (namespace: string, name: string): ObjectKey =>
  namespace === '' ? name : `${namespace}/${name}`;

/** An object that could not be parsed and has no last good content (S6). `labels` is what could be read of it. */
export interface InvalidObject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The raw manifest, of unknown shape: policy/ reads targetRefs, podSelector and port from it as far as it can. */
  readonly manifest: unknown;
}
