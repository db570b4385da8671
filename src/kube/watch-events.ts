/** Reads the events of a watch (Kubernetes API concepts, "Efficient detection of changes"). */
import { createLocalError, type KubeError } from './kube-error.ts';
import { isRecord, trimObject, type KubeObject } from './objects.ts';
import { createEventError } from './status.ts';

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject; readonly resourceVersion: string }
  /** `initialEnd`: everything there is has been sent (a streaming list). */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEnd: boolean };

const INITIAL_END = 'k8s.io/initial-events-end';

/** @throws KubeError for an ERROR event (410 among them) and for what is no event */
export function readEvent(value: unknown): WatchEvent {
  if (!isRecord(value)) throw refuse();
  const { type, object } = value;
  if (type === 'ERROR') throw createEventError(object);
  if (type === 'BOOKMARK') return readBookmark(object);
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw refuse();
  const trimmed = trimObject(object);
  const resourceVersion = trimmed?.metadata.resourceVersion;
  if (trimmed === undefined || typeof resourceVersion !== 'string') throw refuse();
  return { type, object: trimmed, resourceVersion };
}

function readBookmark(object: unknown): WatchEvent {
  const metadata = isRecord(object) ? object['metadata'] : undefined;
  if (!isRecord(metadata) || typeof metadata['resourceVersion'] !== 'string') throw refuse();
  const annotations = metadata['annotations'];
  const initialEnd = isRecord(annotations) && annotations[INITIAL_END] === 'true';
  return { type: 'BOOKMARK', resourceVersion: metadata['resourceVersion'], initialEnd };
}

const refuse = (): KubeError => createLocalError('Protocol', 'the watch sent what is no event');
