/** Mesh certificates with their keys, for a restart of the container without a controller. One file for each credential. */
import { join } from 'node:path';
import { isRecord } from '../kube/objects.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { digest } from './canonical.ts';
import { createSavedFile } from './saved-file.ts';

export interface SavedPair {
  /** PEM. */
  readonly certificate: string;
  /** PEM; secret. */
  readonly key: string;
}

export interface SavedPairs {
  load(credential: string): Promise<SavedPair | undefined>;
  save(credential: string, pair: SavedPair): Promise<void>;
}

export function createSavedPairs({ directory, log }: { readonly directory: string; readonly log: Log }): SavedPairs {
  const open = (credential: string) => createSavedFile(join(directory, `mesh-${digest(credential)}.json`), log);
  return {
    async load(credential) {
      const value = await open(credential).load();
      if (!isRecord(value)) return undefined;
      const { certificate, key } = value;
      return typeof certificate === 'string' && typeof key === 'string' ? { certificate, key } : undefined;
    },
    save: (credential, { certificate, key }) => open(credential).save({ certificate, key }),
  };
}
