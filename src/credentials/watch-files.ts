/**
 * Tells when files may have changed: by their folders, since Kubernetes replaces a mounted Secret by renaming a link beside
 * it, and by looking now and then, since notifications get lost on some file systems.
 */
import { watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';
import type { WatchFiles } from './pair-files.ts';

export interface WatchOptions {
  /** Milliseconds of silence after a notification, so that both files of a pair are written. */
  readonly settleMs?: number;
  /** Milliseconds between looks. */
  readonly everyMs?: number;
}

export function createWatchFiles({ settleMs = 100, everyMs = 30_000 }: WatchOptions = {}): WatchFiles {
  return (paths, onChange) => {
    let settling: NodeJS.Timeout | undefined;
    const settle = (): void => {
      clearTimeout(settling);
      settling = setTimeout(onChange, settleMs).unref();
    };
    const watchers = [...new Set(paths.map(path => dirname(path)))].flatMap(folder => watchFolder(folder, settle));
    const looking = setInterval(onChange, everyMs).unref();
    return () => {
      clearTimeout(settling);
      clearInterval(looking);
      for (const watcher of watchers) watcher.close();
    };
  };
}

function watchFolder(folder: string, onEvent: () => void): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    // A folder that goes away is looked at by time alone.
    watcher.on('error', () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}
