/** cli: floor 3. One file per command. This file: what a command sees of the world, so that tests can run one in memory. */

export interface Output {
  write(text: string): void;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Everything on standard input, to its end, as text. Absent: the command was given none. */
  readonly stdin?: () => Promise<string>;
  /** Standard output is a terminal: colours and tables fitted to `columns` are welcome. */
  readonly isTTY: boolean;
  /** Width of the terminal in characters; 80 where there is none. */
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute; file arguments are relative to it. */
  readonly cwd: string;
  /** How to start this program again: `[node, script]`; the arguments come after it. Absent: by its package's launcher. */
  readonly program?: readonly string[];
  /**
   * Runs `clean`, which must not wait for anything, however the process ends but by SIGKILL. The returned function takes it
   * back. Absent: nothing does, as in tests.
   */
  readonly onExit?: (clean: () => void) => () => void;
}

/** What a command promises: its exit code. 0 well, 1 a negative answer (problems found, denied), 64 wrong usage. */
export type RunCommand = (args: readonly string[], io: Io, signal: AbortSignal) => Promise<number>;

export const EXIT = {
  ok: 0,
  negative: 1,
  usage: 64,
  /** Something that the command needs is not there: no sidecar behind the admin socket, a file that cannot be read. */
  unavailable: 69,
  /** A fault of ours. */
  internal: 70,
} as const;
