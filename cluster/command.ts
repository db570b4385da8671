/** Runs a program of the machine and tells what it said when it fails. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** What it wrote to its standard output, trimmed. @throws Error with the end of its standard error. */
export async function runCommand(
  [program = '', ...args]: readonly string[],
  { cwd, env = process.env }: CommandOptions = {},
): Promise<string> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  const exit = once(child, 'exit') as Promise<[code: number | null]>;
  const [[code], stdout, stderr] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  if (code === 0) return stdout.trim();
  throw new Error(
    `${program} ${args.slice(0, 6).join(' ')} … failed:\n${stderr.trim().split('\n').slice(-20).join('\n')}`,
  );
}
