/** A place for an example to run on: a temporary folder, servers, a sidecar; all of it ends together. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Listening } from './listening.ts';

export interface StageOptions {
  /** How to start this program again: `[node, script]`. */
  readonly program: readonly string[];
  /** Folder with the manifests of the example. */
  readonly examples: string;
  /** 0: any free one. */
  readonly port: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The sidecar's log, for people; absent: kept for the case that it fails. */
  readonly showLog?: (text: string) => void;
  readonly signal: AbortSignal;
  /** As Io.onExit: for an end that waits for nothing, such as the second Ctrl-C. */
  readonly onExit?: (clean: () => void) => () => void;
}

type Closable = Pick<Listening, 'close'>;

/** Waits for a server, and ends it with the stage. */
export type Keep = <C extends Closable>(starting: Promise<C>) => Promise<C>;

/** What happened to one request, and what is not as it must be. */
export interface Outcome {
  readonly attempt: { readonly title: string };
  /** 0: the connection was refused. */
  readonly status: number;
  readonly reason: string;
  /** In a few words; `nothing` when the request did not reach it. */
  readonly appSaw: string;
  /** Empty: all well. */
  readonly problems: readonly string[];
}

/** @throws Error with a sentence when the sidecar does not get ready; nothing stays behind then. */
export async function openStage<S>(
  { onExit }: StageOptions,
  populate: (folder: string, keep: Keep) => Promise<S>,
): Promise<S & { readonly folder: string; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-demo-'));
  const forget = onExit?.(() => rmSync(folder, { recursive: true, force: true }));
  const removeFolder = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    forget?.();
  };
  const opened: Closable[] = [{ close: removeFolder }];
  const keep: Keep = async starting => {
    const started = await starting;
    opened.unshift(started);
    return started;
  };
  try {
    return { ...(await populate(folder, keep)), folder, close: () => closeAll(opened) };
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

/** Newest first; one that cannot be closed does not keep the others open. */
async function closeAll(opened: Closable[]): Promise<void> {
  const failures: unknown[] = [];
  for (const one of opened.splice(0)) {
    await one.close().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, 'something of the demo could not be ended');
}
