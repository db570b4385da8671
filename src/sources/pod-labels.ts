/** Labels of the pod, as the downward API writes them into a file, and their changes. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../telemetry/telemetry.ts';
import { errorCode } from './error-code.ts';
import { watchDirectory } from './watch.ts';

export type Labels = Readonly<Record<string, string>>;

export interface PodLabels {
  /** Undefined: they could not be read yet. */
  current(): Labels | undefined;
  /** Why they cannot be read; the last ones that could be stay. */
  problem(): string | undefined;
  start(onChange: () => void): void;
  stop(): Promise<void>;
}

export interface PodLabelsOptions {
  /** The mounted volume: `/etc/sallyport/pod`. */
  readonly directory: string;
  readonly log: Log;
  /** Default 10 s. */
  readonly pollMs?: number;
}

export function createPodLabels({ directory, log, pollMs = 10_000 }: PodLabelsOptions): PodLabels {
  const file = join(directory, 'labels');
  const stopping = new AbortController();
  let labels: Labels | undefined;
  let text: string | undefined;
  let problem: string | undefined;
  let watching: { close: () => Promise<void> } | undefined;

  async function read(onChange: () => void): Promise<void> {
    try {
      const now = await readFile(file, 'utf8');
      problem = undefined;
      if (now === text) return;
      [text, labels] = [now, parsePodLabels(now)];
      onChange();
    } catch (error) {
      const said = `${file} cannot be read (${errorCode(error)})`;
      if (problem !== said) log.warn({ file, code: errorCode(error) }, 'the labels of the pod cannot be read');
      problem = said;
    }
  }

  return {
    current: () => labels,
    problem: () => problem,
    start(onChange) {
      watching ??= watchDirectory(directory, { pollMs, sign: () => signFile(file), log, signal: stopping.signal }, () =>
        read(onChange),
      );
    },
    async stop() {
      stopping.abort();
      await watching?.close();
    },
  };
}

/** Of the file that the volume’s links lead to. */
async function signFile(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return [ino, size, mtimeMs].join(' ');
  } catch (error) {
    return errorCode(error);
  }
}

/** For tests and for `--workload-labels`: labels that do not change. */
export const createFixedLabels = (labels: Labels): PodLabels => ({
  current: () => labels,
  problem: () => undefined,
  start: () => undefined,
  stop: () => Promise.resolve(),
});

/** Lines of `key="value"`, the value quoted as Go does it; what is no such line is left out. */
export function parsePodLabels(text: string): Labels {
  const labels = Object.create(null) as Record<string, string>;
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    // A label’s value has no character that Go would escape.
    const value = /^"([^"\\]*)"$/.exec(line.slice(at + 1));
    if (at > 0 && value?.[1] !== undefined) labels[line.slice(0, at)] = value[1];
  }
  return labels;
}
