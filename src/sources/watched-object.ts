/** An object of the API server as the source keeps it: the manifest as one text, which costs a tenth of its parsed form. */
import { API_VERSION } from '../api/object.ts';
import { isRecord, type KubeMetadata, type KubeObject } from '../kube/objects.ts';

export interface WatchedObject extends KubeObject {
  readonly metadata: Pick<KubeMetadata, 'name' | 'namespace' | 'uid' | 'resourceVersion' | 'generation'>;
  /** JSON of what a person wrote: no status, no fields that only the server needs. Equal text: nothing changed. */
  readonly manifest: string;
}

/** `kind` is that of the collection: the server’s own word counts, not the object’s. */
export function trimWatched(kind: string, object: KubeObject): WatchedObject {
  const { name, namespace, uid, resourceVersion, generation, labels, annotations, creationTimestamp } = object.metadata;
  const { spec } = object as KubeObject & { readonly spec?: unknown };
  const shared = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(generation === undefined ? {} : { generation }),
  };
  const metadata = { ...shared, labels, annotations, creationTimestamp };
  return {
    metadata: resourceVersion === undefined ? shared : { ...shared, resourceVersion },
    manifest: JSON.stringify({ apiVersion: object.apiVersion ?? API_VERSION, kind, metadata, spec }),
  };
}

/** A manifest of the saved state or of the controller; undefined when it is none. */
export function readManifest(kind: string, value: unknown): WatchedObject | undefined {
  const metadata = isRecord(value) ? value['metadata'] : undefined;
  if (!isRecord(value) || value['kind'] !== kind || !isRecord(metadata) || typeof metadata['name'] !== 'string') {
    return undefined;
  }
  // The shape that every object has, checked as far as it is read here; the parser of the kind checks the rest.
  return trimWatched(kind, value as unknown as KubeObject);
}
