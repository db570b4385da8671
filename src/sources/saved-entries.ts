/** A few JSON values by name in one saved file, read once and written whole. */
import { isRecord } from '../kube/objects.ts';
import type { SavedFile } from './saved-file.ts';

export interface SavedEntries {
  find(name: string): unknown;
  keep(name: string, value: object): void;
  /** Resolves when everything is written. */
  settle(): Promise<void>;
}

/** Entries that nobody asked for or kept since the start are written no more: their issuers are gone. */
export async function openSavedEntries(file: SavedFile): Promise<SavedEntries> {
  const read = await file.load();
  const before = new Map(isRecord(read) ? Object.entries(read) : []);
  const current = new Map<string, unknown>();
  let writing: Promise<void> = Promise.resolve();
  return {
    find(name) {
      const value = current.get(name) ?? before.get(name);
      if (value !== undefined) current.set(name, value);
      return value;
    },
    keep(name, value) {
      current.set(name, value);
      writing = file.save(Object.fromEntries(current));
    },
    settle: () => writing,
  };
}
