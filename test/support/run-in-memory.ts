/** A whole command line in this process: what it prints, and its exit code. */
import type { Io } from '../../src/cli/io.ts';
import { runProgram } from '../../src/cli/commands.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runInMemory(argv: readonly string[], about: Partial<Io> = {}): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const io: Io = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    isTTY: false,
    columns: 80,
    env: {},
    cwd: process.cwd(),
    ...about,
  };
  const code = await runProgram(argv, io, { signal: new AbortController().signal, version: '0' });
  return { code, stdout, stderr };
}
