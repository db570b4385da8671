/**
 * The source `files`: a folder of ordinary manifests, watched. Files that end in .yaml, .yml or .json count, as for
 * kubectl; sub-folders and names that start with a dot do not.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Log } from '../telemetry/telemetry.ts';
import type { Violation } from '../api/violation.ts';
import { createCollection } from './collection.ts';
import {
  describeEmptyFolder,
  listManifestFiles,
  readManifestFile,
  signListing,
  takeSignature,
  type Listing,
} from './manifest-files.ts';
import { parseManifests, type FileContent } from './manifests.ts';
import { describeKept, type Resources, type Source } from './source.ts';
import { watchDirectory } from './watch.ts';
import { createFileViolation } from './yaml-documents.ts';

export interface FilesSourceOptions {
  readonly directory: string;
  readonly log: Log;
  /** Namespace of objects that name none; default `default`. */
  readonly defaultNamespace?: string;
  /** How long the folder must be unchanged before it is read, so that half-written files are not; default 100 ms. */
  readonly settleMs?: number;
  /** How often the folder is looked at without an event of the file system; default 5 s. */
  readonly pollMs?: number;
}

interface FileState {
  readonly signature: string;
  /** Of the newest content. */
  readonly violations: readonly Violation[];
  /** Whether the newest content could be read. */
  readonly readable: boolean;
  /** Absent: there never was readable content. */
  readonly lastReadable: FileContent | undefined;
}

export function createFilesSource(options: FilesSourceOptions): Source {
  const { directory, log, settleMs = 100, pollMs = 5000 } = options;
  const collection = createCollection();
  let files: ReadonlyMap<string, FileState> = new Map();
  let problem: Violation | undefined;
  let complete = false;
  let published: string | undefined;
  /** What was last collected; the same again says nothing new. */
  let collected: { readonly files: typeof files; readonly problem: typeof problem } | undefined;
  const stopping = new AbortController();
  let watching: { close: () => Promise<void> } | undefined;

  /** Reads what changed; false when the folder changed meanwhile, so that a half-written file may have been read. */
  async function read(): Promise<boolean> {
    const listing = await listManifestFiles(directory);
    problem = await describeListing(listing, directory);
    if (problem !== undefined) return true;
    const changed = await readChanged(listing, files, options);
    if (signListing(listing) !== (await takeSignature(directory))) return false;
    files = changed;
    return true;
  }

  /** Reads once two looks at the folder, `settleMs` apart, saw the same. A folder that never stands still is kept out. */
  async function readSettled(): Promise<void> {
    let before = await takeSignature(directory);
    for (;;) {
      await wait(settleMs, undefined, { signal: stopping.signal });
      const now = await takeSignature(directory);
      if (now === before && (await read())) return;
      before = now;
    }
  }

  function collect(): Resources {
    const states = [...files.values()];
    complete ||= problem === undefined && states.length > 0 && states.every(file => file.lastReadable !== undefined);
    const contents = states.map(({ lastReadable, violations, readable }) => ({
      // Before everything was readable once, nobody can tell which policies are missing, so none of them counts.
      entries: complete ? (lastReadable?.entries ?? []) : [],
      violations,
      outdated: !readable || problem !== undefined,
    }));
    const ofFolder = problem === undefined ? [] : [{ entries: [], violations: [problem] }];
    return collection.collect([...contents, ...ofFolder], complete);
  }

  function publish(onChange: (resources: Resources) => unknown): void {
    if (collected?.files === files && collected.problem === problem) return;
    collected = { files, problem };
    const resources = collect();
    const summary = `${resources.hash} ${JSON.stringify(resources.violations)}`;
    if (summary === published || stopping.signal.aborted) return;
    published = summary;
    logResources(resources, directory, log);
    onChange(resources);
  }

  return {
    async start(onChange) {
      // The first content is not waited for: if it changes while it is read, the watch begins with another look.
      await read();
      publish(onChange);
      watching = watchDirectory(directory, { pollMs, sign: takeSignature, log, signal: stopping.signal }, async () => {
        await readSettled();
        publish(onChange);
      });
    },
    async stop() {
      stopping.abort();
      await watching?.close();
    },
  };
}

async function describeListing(listing: Listing, directory: string): Promise<Violation | undefined> {
  if (listing.error !== undefined) {
    return createFileViolation(
      directory,
      `the folder cannot be read (${listing.error})`,
      'make it readable, or name another',
    );
  }
  if (listing.files.length > 0) return undefined;
  return createFileViolation(directory, ...(await describeEmptyFolder(directory)));
}

/** New states by name, in order; a file whose signature did not change keeps its state. `before` itself if none did. */
async function readChanged(
  listing: Listing,
  before: ReadonlyMap<string, FileState>,
  { defaultNamespace = 'default' }: FilesSourceOptions,
): Promise<ReadonlyMap<string, FileState>> {
  const states = new Map<string, FileState>();
  for (const { path, signature } of listing.files) {
    const known = before.get(path);
    if (known?.signature === signature) {
      states.set(path, known);
      continue;
    }
    const read = await readManifestFile(path);
    const content =
      read.text === undefined
        ? { entries: [], violations: [read.violation], readable: false }
        : parseManifests(path, read.text, { defaultNamespace });
    const lastReadable = content.readable ? content : known?.lastReadable;
    states.set(path, { signature, violations: content.violations, readable: content.readable, lastReadable });
  }
  const isSame = states.size === before.size && [...states].every(([path, state]) => before.get(path) === state);
  return isSame ? before : states;
}

function logResources(resources: Resources, directory: string, log: Log): void {
  for (const { severity, object, field, problem, fix, position } of resources.violations) {
    const fields = { object, field, problem, fix, file: position?.file, line: position?.line };
    if (severity === 'error') log.error(fields, 'configuration refused');
    else log.warn(fields, 'configuration questionable');
  }
  const { objects, invalid, kept, hash, complete } = resources;
  const counts = { directory, objects: objects.length, invalid: invalid.length, complete, hash };
  if (kept.length === 0) log.info(counts, 'configuration read');
  else log.info({ ...counts, kept }, `configuration read, ${describeKept(kept.length)}`);
}
