/** Thin writes: one request each, named after what the API server does with it. Errors are KubeError. */
import type { KubeClient } from './client.ts';
import { isNotFound, KubeError } from './kube-error.ts';
import type { KubeObject } from './objects.ts';

/** Undefined when there is no such object. */
export async function readObject<T extends KubeObject>(client: KubeClient, path: string): Promise<T | undefined> {
  try {
    return await client.request<T>('GET', path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** `path` is the collection’s. */
export const createObject = <T extends KubeObject>(client: KubeClient, path: string, object: unknown): Promise<T> =>
  client.request<T>('POST', path, { body: object });

/** Replaces the object; with a resourceVersion in it, 409 Conflict when somebody else was faster. */
export const replaceObject = <T extends KubeObject>(client: KubeClient, path: string, object: unknown): Promise<T> =>
  client.request<T>('PUT', path, { body: object });

export interface ApplyOptions {
  readonly fieldManager: string;
  /** Take fields from other managers; default true, as controllers do. */
  readonly force?: boolean;
}

/** Server-side apply: the fields given are owned, those given earlier and no longer are removed. Makes the object. */
export const applyObject = <T extends KubeObject>(
  client: KubeClient,
  path: string,
  object: unknown,
  { fieldManager, force = true }: ApplyOptions,
): Promise<T> =>
  client.request<T>('PATCH', path, {
    query: { fieldManager, force: String(force) },
    body: object,
    contentType: 'application/apply-patch+yaml',
  });

/** RFC 7386 merge patch; `null` removes a field. */
export const mergeObject = <T extends KubeObject>(
  client: KubeClient,
  path: string,
  patch: unknown,
  { fieldManager }: { readonly fieldManager?: string } = {},
): Promise<T> =>
  client.request<T>('PATCH', path, {
    ...(fieldManager === undefined ? {} : { query: { fieldManager } }),
    body: patch,
    contentType: 'application/merge-patch+json',
  });

/** RFC 6902 JSON patch. */
export const patchObject = <T extends KubeObject>(
  client: KubeClient,
  path: string,
  operations: readonly unknown[],
): Promise<T> => client.request<T>('PATCH', path, { body: operations, contentType: 'application/json-patch+json' });

/** False when there was none, or (with a uid) another one of that name. */
export async function deleteObject(client: KubeClient, path: string, uid?: string): Promise<boolean> {
  const body = uid === undefined ? undefined : { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid } };
  try {
    await client.request('DELETE', path, body === undefined ? {} : { body });
    return true;
  } catch (error) {
    const isOther = uid !== undefined && error instanceof KubeError && error.status === 409;
    if (isNotFound(error) || isOther) return false;
    throw error;
  }
}
