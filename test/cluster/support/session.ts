/** The life of a cluster: its folder, and who ends it. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Level } from '../../../cluster/parts.ts';
import { type ClusterFolder, createFolder, removeFolder } from './folder.ts';

export interface OpenOptions {
  /** Default: one that nobody has. */
  readonly name?: string;
  /** It stays when this process ends, until somebody says `down`. Default false. */
  readonly persistent?: boolean;
  /** Further flags of the API server. */
  readonly flags?: readonly string[];
}

export interface Closable {
  /** Stops everything and removes every trace. */
  close(): Promise<void>;
}

/** Nothing of a cluster that fails to start remains. */
export async function openSession<T>(
  level: Level,
  { name = `test-${randomBytes(4).toString('hex')}`, persistent = false }: OpenOptions,
  start: (folder: ClusterFolder) => Promise<T>,
): Promise<T & Closable> {
  const folder = createFolder(name, level);
  const remove = (): void => {
    process.off('exit', remove);
    removeFolder(folder);
  };
  process.on('exit', remove);
  try {
    mkdirSync(join(folder.path, 'logs'));
    const started = await start(folder);
    if (persistent) {
      folder.disown();
      process.off('exit', remove);
    }
    return { ...started, close: () => Promise.resolve(remove()) };
  } catch (error) {
    remove();
    throw error;
  }
}
