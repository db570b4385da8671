/**
 * A cluster's folder: certificates, data, logs and `cluster.json`, which says what has to be stopped. Several stand side by
 * side, each with a name of its own.
 */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Level } from '../../../cluster/parts.ts';
import { removeControlGroups } from './control-groups.ts';
import { type ProcessMark, isAlive, killAll, markProcess } from './process-mark.ts';

export interface ClusterRecord {
  readonly level: Level;
  /** The process without which it is worth nothing: the test's, or that of `up` until the cluster stands. */
  readonly owner?: ProcessMark;
  readonly processes: readonly ProcessMark[];
  /** Folders elsewhere that are its own. */
  readonly data: readonly string[];
  /** Folders of everybody's that were made for it: removed unless somebody else has put something there. */
  readonly made: readonly string[];
}

export interface ClusterFolder {
  readonly path: string;
  readonly name: string;
  readRecord(): ClusterRecord;
  /** Remembers what must be stopped or removed. Written before it is needed, and whole at any time. */
  record(change: Partial<ClusterRecord>): void;
  /** From now on it stays until somebody says `down`. */
  disown(): void;
}

/** Where the clusters of this user stand. */
export function locateClusters(): string {
  return join(tmpdir(), `sallyport-cluster-${process.getuid?.() ?? 'user'}`);
}

/** @throws Error when a cluster of that name exists. What a dead process left is removed first. */
export function createFolder(name: string, level: Level): ClusterFolder {
  removeStale();
  const path = join(locateClusters(), name);
  provideHome();
  // With its record from the first moment on: without one nobody could tell what it is.
  const unnamed = mkdtempSync(join(locateClusters(), '.new-'));
  writeRecord(unnamed, { level, owner: markProcess(process.pid), processes: [], data: [], made: [] });
  try {
    renameSync(unnamed, path);
  } catch (cause) {
    rmSync(unnamed, { recursive: true });
    throw new Error(`the cluster ${name} exists: \`npm run cluster -- down --name ${name}\` removes it`, { cause });
  }
  return openAt(path);
}

/** @throws Error when somebody else has made the folder: what root writes there would be theirs to read and to replace. */
function provideHome(): void {
  mkdirSync(locateClusters(), { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(locateClusters());
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0)
    throw new Error(`${locateClusters()} belongs to somebody else: remove it, or set TMPDIR to a folder of your own`);
}

/** Undefined when there is no cluster of that name. */
export function openFolder(name: string): ClusterFolder | undefined {
  const path = join(locateClusters(), name);
  return readRecord(path) === undefined ? undefined : openAt(path);
}

export function listFolders(): readonly ClusterFolder[] {
  return listEntries(locateClusters()).flatMap(name => openFolder(name) ?? []);
}

/** Stops what the record names and removes all of it; may be said at any stage of a start or a removal. */
export function removeFolder(folder: ClusterFolder): void {
  const { processes, data, made } = folder.readRecord();
  killAll(processes);
  removeControlGroups(folder.name);
  for (const path of [...data, folder.path]) rmSync(path, { recursive: true, force: true, maxRetries: 9 });
  for (const path of made) removeEmpty(path);
  removeEmpty(locateClusters());
}

/** Removes clusters whose owner has died, or none of whose processes lives (the machine was restarted). */
export function removeStale(): void {
  for (const folder of listFolders()) {
    const { owner, processes } = folder.readRecord();
    if (owner === undefined ? !processes.some(isAlive) : !isAlive(owner)) removeFolder(folder);
  }
}

function openAt(path: string): ClusterFolder {
  const read = (): ClusterRecord => readRecord(path) ?? { level: 'node', processes: [], data: [], made: [] };
  return {
    path,
    name: basename(path),
    readRecord: read,
    record: change => writeRecord(path, { ...read(), ...change }),
    disown: () => {
      const { level, processes, data, made } = read();
      writeRecord(path, { level, processes, data, made });
    },
  };
}

function writeRecord(path: string, record: ClusterRecord): void {
  const file = join(path, 'cluster.json');
  writeFileSync(`${file}.new`, JSON.stringify(record, null, 2));
  renameSync(`${file}.new`, file);
}

function readRecord(path: string): ClusterRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(path, 'cluster.json'), 'utf8')) as ClusterRecord;
  } catch {
    return undefined;
  }
}

function listEntries(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is gone, or somebody else's files are in it.
  }
}
