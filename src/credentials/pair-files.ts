/** Pairs kept in files: read when they are first named and when they change; the last good pair stays in force. */
import type { Log } from '../telemetry/telemetry.ts';
import { readPair, type ClientCertificate, type PairProblem, type PairReading } from './key-pair.ts';

/** @throws when the file cannot be read */
export type ReadFile = (path: string) => Uint8Array;
/** Calls back after any of the files may have changed; the answer ends it. */
export type WatchFiles = (paths: readonly string[], onChange: () => void) => () => void;

export interface FilePair {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface HeldPair {
  /** The last good pair; undefined when there never was one. */
  readonly pair: ClientCertificate | undefined;
  /** Of the newest content. */
  readonly problem: PairProblem | undefined;
}

export interface PairFiles {
  /** Reads the pair at first; later what is held. */
  hold(files: FilePair): HeldPair;
  /** Stops watching the pairs that are not among these. */
  retain(files: readonly FilePair[]): void;
  close(): void;
}

interface Held {
  state: HeldPair;
  readonly stop: () => void;
}

export interface PairFilesOptions {
  readonly readFile: ReadFile;
  readonly watch: WatchFiles;
  readonly log: Log;
  /** A good pair has taken the place of another, or of none. */
  readonly onChange: () => void;
}

const nameOf = ({ certificateFile, keyFile }: FilePair): string => `${certificateFile}\n${keyFile}`;

export function createPairFiles({ readFile, watch, log, onChange }: PairFilesOptions): PairFiles {
  const held = new Map<string, Held>();

  const read = (files: FilePair): PairReading => {
    try {
      const decode = (path: string): string => Buffer.from(readFile(path)).toString('utf8');
      return readPair(decode(files.certificateFile), decode(files.keyFile));
    } catch {
      return { problem: 'MISSING' };
    }
  };
  const reload = (files: FilePair, entry: Held): void => {
    const reading = read(files);
    const before = entry.state;
    if ('problem' in reading) {
      entry.state = { pair: before.pair, problem: reading.problem };
      if (before.problem === reading.problem) return;
      const fields = { file: files.certificateFile, code: reading.problem, lastGoodKept: before.pair !== undefined };
      return log.warn(fields, 'a certificate and its key cannot be used');
    }
    const changed = before.pair?.sha256 !== reading.pair.sha256 || before.pair.certificate !== reading.pair.certificate;
    entry.state = { pair: changed ? reading.pair : before.pair, problem: undefined };
    if (!changed) return;
    const { sha256, notAfter } = reading.pair;
    log.info(
      { file: files.certificateFile, sha256, notAfter: new Date(notAfter).toISOString() },
      'a certificate was read',
    );
    if (held.get(nameOf(files)) === entry) onChange();
  };

  return {
    hold(files) {
      const known = held.get(nameOf(files));
      if (known !== undefined) return known.state;
      const stop = watch([files.certificateFile, files.keyFile], () => reload(files, entry));
      const entry: Held = { state: { pair: undefined, problem: undefined }, stop };
      // Before it is held, so that the first reading is no change.
      reload(files, entry);
      held.set(nameOf(files), entry);
      return entry.state;
    },
    retain(files) {
      const kept = new Set(files.map(nameOf));
      for (const [name, { stop }] of held) {
        if (kept.has(name)) continue;
        stop();
        held.delete(name);
      }
    },
    close() {
      for (const { stop } of held.values()) stop();
      held.clear();
    },
  };
}
