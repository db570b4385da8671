/**
 * What was in force, on the sidecar’s own memory volume, so that a restart of the container needs neither the API server
 * nor the controller. It holds Secrets: the file is readable by its owner alone and never leaves the volume.
 */
import { join } from 'node:path';
import type { KindName } from '../api/kinds/index.ts';
import { isKind } from '../api/parse.ts';
import { isRecord } from '../kube/objects.ts';
import type { MaterialMessage } from '../material/protocol.ts';
import { readFromController } from '../material/read-controller.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { createSavedFile } from './saved-file.ts';
import { readManifest, type WatchedObject } from './watched-object.ts';

export interface SavedObject {
  readonly kind: KindName;
  /** As the API server last had it. */
  readonly newest: string;
  /** What stood in for it, where that was older; absent: the newest was in force; null: nothing was. */
  readonly good?: string | null;
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

export function createStateStore({ directory, log }: { readonly directory: string; readonly log: Log }): StateStore {
  const path = join(directory, 'last-good.json');
  const file = createSavedFile(path, log);
  return {
    async load() {
      const value = await file.load();
      if (value === undefined) return undefined;
      const state = readState(value);
      if (state === undefined) log.warn({ file: path }, 'the saved state has another form');
      return state;
    },
    save: state => file.save({ format: FORMAT, ...state }),
  };
}

function readState(value: unknown): SavedState | undefined {
  if (!isRecord(value) || value['format'] !== FORMAT) return undefined;
  const { hash, savedAt, labels, objects, material: raw } = value;
  if (typeof hash !== 'string' || typeof savedAt !== 'number' || !isRecord(labels) || !Array.isArray(objects)) {
    return undefined;
  }
  const texts = Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  const material = raw === undefined ? undefined : readMaterial(raw);
  if (raw !== undefined && material === undefined) return undefined;
  const read = objects.map((object: unknown) => readObject(object));
  // Without one of its policies a set would protect less than it did.
  if (!read.every(object => object !== undefined)) return undefined;
  return { hash, savedAt, labels: Object.fromEntries(texts), objects: read, material };
}

function readObject(value: unknown): SavedObject | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, newest, good } = value;
  if (!isKind(kind) || !isManifest(kind, newest) || !(good === undefined || good === null || isManifest(kind, good)))
    return undefined;
  return { kind, newest, ...(good === undefined ? {} : { good }) };
}

function isManifest(kind: KindName, text: unknown): text is string {
  try {
    return typeof text === 'string' && readManifest(kind, JSON.parse(text)) !== undefined;
  } catch {
    return false;
  }
}

function readMaterial(value: unknown): MaterialMessage | undefined {
  try {
    const message = readFromController(JSON.stringify(value));
    return message?.type === 'material' ? message : undefined;
  } catch {
    return undefined;
  }
}

/** The objects of one kind: as they were last, or (`good`) what was in force of them. */
export function listSaved(state: SavedState, kind: KindName, which: 'newest' | 'good'): readonly WatchedObject[] {
  return state.objects.flatMap(saved => {
    if (saved.kind !== kind) return [];
    const { newest, good = newest } = saved;
    const text = which === 'good' ? good : newest;
    if (text === null) return [];
    const parsed: unknown = JSON.parse(text);
    return readManifest(kind, parsed) ?? [];
  });
}
