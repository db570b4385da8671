/** Starts programs: servers that must not outlive their cluster, and commands whose answer is wanted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterFolder } from './folder.ts';
import { markProcess } from './process-mark.ts';

export interface Daemon {
  readonly name: string;
  readonly pid: number;
  /** File that its output goes to. */
  readonly log: string;
  isRunning(): boolean;
  /** Resolves when it is gone. Default SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export type StartDaemon = (name: string, command: readonly string[], env?: NodeJS.ProcessEnv) => Daemon;

/** Put before a command, it makes the kernel kill the program when the process that started it ends, however it ends. */
export const TIED = ['setpriv', '--pdeathsig', 'KILL', '--'];

/**
 * Starts servers in sessions of their own (a terminal's Ctrl-C is ours to handle), writing to `logs/NAME.log` and named in
 * the folder's record. `enter` is put before each command: TIED, or what enters a node's namespaces.
 */
export function createDaemons(folder: ClusterFolder, enter: readonly string[] = []): StartDaemon {
  return (name, command, env = {}) => {
    const log = join(folder.path, 'logs', `${name}.log`);
    const output = openSync(log, 'a', 0o600);
    const [program = '', ...args] = [...enter, ...command];
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', output, output],
      env: { PATH: process.env['PATH'], HOME: folder.path, ...env },
    });
    closeSync(output);
    child.unref();
    const { pid } = child;
    if (pid === undefined) throw new Error(`cannot start ${program}`);
    folder.record({ processes: [...folder.readRecord().processes, markProcess(pid)] });
    return describeDaemon(child, { name, pid, log, forks: enter[0] === 'nsenter' });
  };
}

interface Started {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
  /** The program is a child of the process that was started: nsenter waits for what it started in another namespace. */
  readonly forks: boolean;
}

function describeDaemon(child: ChildProcess, { name, pid, log, forks }: Started): Daemon {
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const exited = once(child, 'exit');
  return {
    name,
    pid,
    log,
    isRunning,
    async stop(signal = 'SIGKILL') {
      if (!isRunning()) return;
      child.ref();
      for (const each of forks ? readChildren(pid) : [pid]) process.kill(each, signal);
      await exited;
    },
  };
}

/** Process ids of the children of a process with one thread. */
export function readChildren(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** The end of what a daemon wrote, for the text of an error. */
export function readLogTail({ log }: Daemon, lines = 15): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

export interface Finished {
  /** -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Runs a command to its end. Rejects only when it cannot be started. */
export async function run(
  [program = '', ...args]: readonly string[],
  { stdin, env = {}, signal }: RunOptions = {},
): Promise<Finished> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, ...(signal === undefined ? {} : { signal }) });
  const read = async (stream: NodeJS.ReadableStream): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  };
  child.stdin.on('error', () => undefined); // it may end without reading all
  child.stdin.end(stdin ?? '');
  const exit = once(child, 'exit') as Promise<[code: number | null]>;
  const [[code], stdout, stderr] = await Promise.all([exit, read(child.stdout), read(child.stderr)]);
  return { code: code ?? -1, stdout, stderr };
}
