/** Everything of a collection in pages, for servers without streaming lists. */
import { METADATA_ONLY, type KubeClient } from './client.ts';
import { createLocalError, isGone, KubeError } from './kube-error.ts';
import { isRecord, nameObject, trimObject, type KubeObject } from './objects.ts';

export interface Listed {
  readonly objects: ReadonlyMap<string, KubeObject>;
  readonly resourceVersion: string;
}

export interface PagedListOptions {
  readonly client: KubeClient;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly metadataOnly?: boolean;
  /** Objects of a page; default 250. */
  readonly pageSize?: number;
}

/** @throws KubeError */
export async function listPages(options: PagedListOptions): Promise<Listed> {
  const { pageSize = 250 } = options;
  try {
    return await listAll(options, pageSize);
  } catch (error) {
    // The continue token grew too old while we read: a list in one piece has none.
    if (isGone(error)) return listAll(options, 0);
    if (error instanceof KubeError && error.reason === 'TooLarge' && pageSize > 1) {
      return listPages({ ...options, pageSize: Math.ceil(pageSize / 8) });
    }
    throw error;
  }
}

async function listAll(options: PagedListOptions, pageSize: number): Promise<Listed> {
  const { client, path, query, signal, metadataOnly = false } = options;
  const accept = metadataOnly ? { accept: METADATA_ONLY.list } : {};
  const objects = new Map<string, KubeObject>();
  let token = '';
  for (;;) {
    const paging = pageSize === 0 ? {} : { limit: String(pageSize), ...(token === '' ? {} : { continue: token }) };
    const page = readPage(
      await client.request<unknown>('GET', path, { query: { ...query, ...paging }, signal, ...accept }),
    );
    for (const object of page.objects) objects.set(nameObject(object), object);
    if (page.token === '') return { objects, resourceVersion: page.resourceVersion };
    ({ token } = page);
  }
}

function readPage(value: unknown): { objects: readonly KubeObject[]; resourceVersion: string; token: string } {
  const metadata = isRecord(value) ? value['metadata'] : undefined;
  if (!isRecord(value) || !isRecord(metadata) || typeof metadata['resourceVersion'] !== 'string') {
    throw createLocalError('Protocol', 'the answer is no list');
  }
  const { items, kind, apiVersion } = value;
  // Go writes an empty list as null. Items of built-in kinds leave out what the list says.
  const type = { apiVersion, kind: typeof kind === 'string' ? kind.replace(/List$/, '') : undefined };
  const objects = (Array.isArray(items) ? items : []).map((item: unknown) => {
    const object = trimObject(isRecord(item) ? { ...type, ...item } : undefined);
    if (object === undefined) throw createLocalError('Protocol', 'the list holds what is no object');
    return object;
  });
  const token = metadata['continue'];
  return { objects, resourceVersion: metadata['resourceVersion'], token: typeof token === 'string' ? token : '' };
}
