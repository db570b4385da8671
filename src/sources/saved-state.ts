/**
 * What was in force, on the sidecar’s own memory volume, so that a restart of the container needs neither the API server
 * nor the controller. It holds Secrets: the file is readable by its owner alone and never leaves the volume.
 */
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { KindName } from '../api/kinds/index.ts';
import { isKind } from '../api/parse.ts';
import { isRecord } from '../kube/objects.ts';
import type { MaterialMessage } from '../material/protocol.ts';
import { readFromController } from '../material/read-controller.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { errorCode } from './error-code.ts';
import { readManifest, type WatchedObject } from './watched-object.ts';

export interface SavedObject {
  readonly kind: KindName;
  /** As the API server last had it. */
  readonly newest: string;
  /** What stood in for it, where that was older; absent: the newest was in force, or nothing was. */
  readonly good?: string;
}

export interface SavedState {
  /** Of the resources that were in force. */
  readonly hash: string;
  /** Milliseconds since the epoch. */
  readonly savedAt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly objects: readonly SavedObject[];
  readonly material: MaterialMessage | undefined;
}

export interface StateStore {
  /** Undefined: none, or one that cannot be read, which is logged. */
  load(): Promise<SavedState | undefined>;
  /** The last call counts; failures are logged, since serving matters more. */
  save(state: SavedState): Promise<void>;
}

const FORMAT = 1;
const MOST_BYTES = 128 * 1024 * 1024;

export function createStateStore({ directory, log }: { readonly directory: string; readonly log: Log }): StateStore {
  const file = join(directory, 'last-good.json');
  let saving: Promise<void> | undefined;
  let next: SavedState | undefined;

  async function write(): Promise<void> {
    while (next !== undefined) {
      const state = next;
      next = undefined;
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        await writeAtomically(file, JSON.stringify({ format: FORMAT, ...state }));
      } catch (error) {
        log.warn({ file, code: errorCode(error) }, 'what is in force could not be saved for a restart');
      }
    }
    saving = undefined;
  }

  return {
    async load() {
      try {
        const text = await readFile(file, 'utf8');
        if (text.length > MOST_BYTES) throw new Error('too large');
        return readState(JSON.parse(text));
      } catch (error) {
        const code = errorCode(error);
        // The text itself holds secrets: an error of its parser must not be shown.
        if (code !== 'ENOENT') log.warn({ file, code }, 'the saved state cannot be used');
        return undefined;
      }
    },
    save(state) {
      next = state;
      saving ??= write();
      return saving;
    },
  };
}

/** Whoever reads the file sees the old or the new content whole, also after a crash. */
export async function writeAtomically(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  // A file that was there before kept its mode.
  await chmod(draft, 0o600);
  await rename(draft, file);
}

function readState(value: unknown): SavedState {
  if (!isRecord(value) || value['format'] !== FORMAT) throw new Error('another format');
  const { hash, savedAt, labels, objects, material } = value;
  if (typeof hash !== 'string' || typeof savedAt !== 'number' || !isRecord(labels) || !Array.isArray(objects)) {
    throw new Error('another shape');
  }
  const texts = Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    hash,
    savedAt,
    labels: Object.fromEntries(texts),
    objects: objects.flatMap((object: unknown) => readObject(object) ?? []),
    material: material === undefined ? undefined : readMaterial(material),
  };
}

function readObject(value: unknown): SavedObject | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, newest, good } = value;
  if (!isKind(kind) || typeof newest !== 'string') return undefined;
  return { kind, newest, ...(typeof good === 'string' ? { good } : {}) };
}

function readMaterial(value: unknown): MaterialMessage {
  const message = readFromController(JSON.stringify(value));
  if (message?.type !== 'material') throw new Error('another shape');
  return message;
}

/** The objects of one kind: as they were last, or (`good`) what was in force of them. */
export function listSaved(state: SavedState, kind: KindName, which: 'newest' | 'good'): readonly WatchedObject[] {
  return state.objects.flatMap(saved => {
    if (saved.kind !== kind) return [];
    const text = which === 'good' ? (saved.good ?? saved.newest) : saved.newest;
    const parsed: unknown = JSON.parse(text);
    return readManifest(kind, parsed) ?? [];
  });
}
