/** Manifests read once, for `check` and `explain`. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createCollection } from './collection.ts';
import { errorCode } from './error-code.ts';
import { describeEmptyFolder, listManifestFiles, readManifestFile } from './manifest-files.ts';
import { parseManifests, type FileContent } from './manifests.ts';
import type { Resources } from './source.ts';
import { createFileViolation } from './yaml-documents.ts';

export interface ReadOptions {
  /** Relative paths start here. */
  readonly cwd: string;
  /** The text of the path `-`; absent: there is none, and the path is refused. */
  readonly stdin?: () => Promise<string>;
  /** Namespace of objects that name none; default `default`. */
  readonly defaultNamespace?: string;
}

/**
 * Files and folders (their manifests, sub-folders left out). Positions carry the paths as given. What could be read is
 * in the result even where `complete` is false: whoever decides by it looks at the violations first.
 */
export async function readManifests(paths: readonly string[], options: ReadOptions): Promise<Resources> {
  return collectManifests(await readTexts(paths, options), options);
}

/** Their texts; of what could not be read the violation. */
export async function readTexts(
  paths: readonly string[],
  options: Pick<ReadOptions, 'cwd' | 'stdin'>,
): Promise<readonly (ManifestText | FileContent)[]> {
  const texts: (ManifestText | FileContent)[][] = [];
  for (const path of paths) texts.push(await readPath(path, options));
  return texts.flat();
}

export interface ManifestText {
  readonly name: string;
  readonly text: string;
}

/** The same for texts at hand. */
export function collectManifests(
  texts: readonly (ManifestText | FileContent)[],
  { defaultNamespace = 'default' }: Pick<ReadOptions, 'defaultNamespace'> = {},
): Resources {
  const files = texts.map(item => ('text' in item ? parseManifests(item.name, item.text, { defaultNamespace }) : item));
  return createCollection().collect(files, files.length > 0 && files.every(file => file.readable));
}

async function readPath(path: string, { cwd, stdin }: ReadOptions): Promise<(ManifestText | FileContent)[]> {
  if (path === '-') {
    if (stdin === undefined) return [createUnreadable(path, 'nothing comes in on standard input', 'name a file')];
    return [{ name: path, text: await stdin() }];
  }
  const absolute = resolve(cwd, path);
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(absolute)).isDirectory();
  } catch (error) {
    const code = errorCode(error);
    const problem = code === 'ENOENT' ? 'the file does not exist' : `the file cannot be read (${code})`;
    return [createUnreadable(path, problem, 'name another')];
  }
  // Named by itself: `check <(command)` is a pipe.
  if (!isDirectory) return [await readOne(absolute, path, true)];
  const listing = await listManifestFiles(absolute);
  if (listing.error !== undefined)
    return [createUnreadable(path, `the folder cannot be read (${listing.error})`, 'make it readable')];
  if (listing.files.length === 0) {
    return [createUnreadable(path, ...(await describeEmptyFolder(absolute)))];
  }
  const texts: (ManifestText | FileContent)[] = [];
  for (const file of listing.files) {
    texts.push(await readOne(file.path, join(path, file.path.slice(absolute.length))));
  }
  return texts;
}

async function readOne(path: string, name: string, pipes = false): Promise<ManifestText | FileContent> {
  const read = await readManifestFile(path, name, pipes);
  return read.text === undefined
    ? { entries: [], violations: [read.violation], readable: false }
    : { name, text: read.text };
}

const createUnreadable = (name: string, problem: string, fix: string): FileContent => ({
  entries: [],
  violations: [createFileViolation(name, problem, fix)],
  readable: false,
});
