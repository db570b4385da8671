/** What a command for people knows of a cluster: read once, judged by pure functions. */
import type { KubeObject } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';

export type Raw = KubeObject & Readonly<Record<string, unknown>>;

export interface ClusterView {
  /** Of the group, with apiVersion and kind, status included. */
  readonly objects: readonly Raw[];
  /** False: the API server does not know the kinds of the group. */
  readonly installed: boolean;
  /** Labels by name; what is absent is not known. */
  readonly namespaces: ReadonlyMap<string, Labels>;
  readonly pods: readonly Raw[];
  readonly services: readonly Raw[];
  /** Secrets and ConfigMaps that objects name. */
  readonly data: readonly Raw[];
  /** ConfigMaps with the bundle of the mesh CA, one in each opted-in namespace; undefined: not known. */
  readonly meshBundles: readonly Raw[] | undefined;
  /** Undefined: not known. */
  readonly admission: AdmissionView;
  /** `Secret shop/tls`: what may be there and could not be read. */
  readonly unread: ReadonlySet<string>;
  /** Sentences. */
  readonly notChecked: readonly string[];
}

/** Each undefined where it could not be read. */
export interface AdmissionView {
  readonly mutating: readonly Raw[] | undefined;
  readonly validating: readonly Raw[] | undefined;
  readonly policies: readonly Raw[] | undefined;
  readonly bindings: readonly Raw[] | undefined;
}
