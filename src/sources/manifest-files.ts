/** The file system's side: which files are manifests, whether they changed, their text. */
import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Violation } from '../api/violation.ts';
import { errorCode } from './error-code.ts';
import { createFileViolation, MOST_FILE_BYTES } from './yaml-documents.ts';

export interface Listing {
  /** By name, bytewise. */
  readonly files: readonly {
    readonly path: string;
    /** Changes whenever the file does. */ readonly signature: string;
  }[];
  /** The code of what prevented listing. */
  readonly error?: string;
}

const MANIFEST = /^[^.].*\.(ya?ml|json)$/i;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Manifests of a folder, symbolic links followed; a dangling link is listed, so that its last content is kept. */
export async function listManifestFiles(directory: string): Promise<Listing> {
  try {
    const names = (await readdir(directory)).filter(name => MANIFEST.test(name)).sort(compare);
    const files: { path: string; signature: string }[] = [];
    for (const name of names) {
      const path = join(directory, name);
      const signature = await signFile(path);
      if (signature !== undefined) files.push({ path, signature });
    }
    return { files };
  } catch (error) {
    return { files: [], error: errorCode(error) };
  }
}

/** How many sub-folders are looked into for advice. */
const MOST_FOLDERS = 64;

/**
 * Why a folder without manifests of its own holds none: sub-folders are not read, and this names those that hold some. At
 * most two levels are looked at.
 */
export async function describeEmptyFolder(directory: string): Promise<readonly [problem: string, fix: string]> {
  const [first, ...others] = await findFolders(directory);
  if (first === undefined) {
    return ['the folder holds no manifests', 'put files that end in .yaml, .yml or .json into it'];
  }
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return ['the folder holds manifests only in sub-folders, which are not read', `name ${first}${more} instead`];
}

async function findFolders(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  const waiting = await listFolders(directory, '');
  for (let at = 0; at < Math.min(waiting.length, MOST_FOLDERS); at += 1) {
    const name = waiting[at] ?? '';
    const { files } = await listManifestFiles(join(directory, name));
    if (files.length > 0) found.push(name);
    else if (!name.includes('/')) waiting.push(...(await listFolders(join(directory, name), `${name}/`)));
  }
  return found;
}

async function listFolders(directory: string, prefix: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const folders = entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.'));
    return folders.map(({ name }) => prefix + name).sort(compare);
  } catch {
    return [];
  }
}

/** Undefined for folders, whatever their name. */
async function signFile(path: string): Promise<string | undefined> {
  try {
    const status = await stat(path, { bigint: true });
    if (status.isDirectory()) return undefined;
    const { dev, ino, size, mtimeNs, ctimeNs } = status;
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return errorCode(error);
  }
}

/** One text that changes whenever the folder's manifests do. */
export const takeSignature = async (directory: string): Promise<string> =>
  signListing(await listManifestFiles(directory));

export function signListing({ files, error = '' }: Listing): string {
  return [error, ...files.map(({ path, signature }) => `${path} ${signature}`)].join('\n');
}

export type ReadFile = { readonly text: string } | { readonly text?: never; readonly violation: Violation };

/** At most 4 MiB of UTF-8. `name` is what violations call the file; `pipes`: others than regular files are read too. */
export async function readManifestFile(path: string, name = path, pipes = false): Promise<ReadFile> {
  const refuse = (problem: string, fix: string): ReadFile => ({ violation: createFileViolation(name, problem, fix) });
  let file;
  try {
    // Whoever opens a pipe without O_NONBLOCK waits for a writer, and all later changes with it.
    file = await open(path, constants.O_RDONLY | (pipes ? 0 : constants.O_NONBLOCK));
    const status = await file.stat();
    if (!pipes && !status.isFile()) return refuse('is no regular file', 'remove it, or put a file in its place');
    // Read to the bound rather than to the size that stat tells, which may be out of date.
    const buffer = Buffer.allocUnsafe(Math.min(status.size, MOST_FILE_BYTES) + 1);
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
      if (length > MOST_FILE_BYTES) return refuse('the file is larger than 4Mi', 'split it');
      chunks.push(Buffer.from(buffer.subarray(0, bytesRead)));
    }
    return decodeText(Buffer.concat(chunks), refuse);
  } catch (error) {
    return refuse(`the file cannot be read (${errorCode(error)})`, 'make it readable, or remove it');
  } finally {
    await file?.close();
  }
}

function decodeText(bytes: Uint8Array, refuse: (problem: string, fix: string) => ReadFile): ReadFile {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return refuse('the file is not UTF-8 text', 'save it as UTF-8');
  }
}
