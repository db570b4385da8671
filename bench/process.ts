/** Starts what is measured and reads what it cost: CPU time and resident memory from /proc, over the whole process tree. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadPlan, LoadResult } from './load-generator.ts';

/** The core that the measured process has for itself; load and app share the other. */
export const PROXY_CORE = '0';
export const OTHER_CORE = '1';

const TICKS_PER_SECOND = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString().trim() || '100');

export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

export function start(core: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn('taskset', ['-c', core, command, ...args], {
    stdio: ['ignore', 'ignore', process.env['BENCH_DEBUG'] === undefined ? 'ignore' : 'inherit'],
    env: { ...process.env, ...env },
  });
  const { pid } = child;
  child.on('error', () => undefined); // said by the next line
  if (pid === undefined) throw new Error(`cannot start taskset (util-linux)`);
  return {
    pid,
    child,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      for (const each of findTree(pid)) tryKill(each);
      await Promise.race([once(child, 'exit'), sleep(3000)]);
    },
  };
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended in the meantime.
  }
}

function findTree(root: number): number[] {
  const found = [root];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (stat !== undefined && found.includes(Number(stat[1]))) found.push(Number(entry));
  }
  return found;
}

/** Ends everything that this process has started, and what that has started. Waits for nothing. */
export function killDescendants(): void {
  for (const each of findTree(process.pid).slice(1)) tryKill(each);
}

/** Those at which somebody listens. */
export async function findBusyPorts(ports: readonly number[]): Promise<number[]> {
  const open = await Promise.all(ports.map(isOpen));
  return ports.filter((_, i) => open[i]);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

/** Fields after the command's name: 0 is the state, 1 the parent, 11 and 12 user and system ticks. */
function readStat(pid: number): string[] | undefined {
  const text = readProc(`${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** User plus system time of the process and its children, in microseconds. */
export function readCpuMicroseconds(pid: number): number {
  let ticks = 0;
  for (const each of findTree(pid)) {
    const stat = readStat(each);
    if (stat !== undefined) ticks += Number(stat[11]) + Number(stat[12]);
  }
  return (ticks / TICKS_PER_SECOND) * 1e6;
}

/** The same by the scheduler's own count, in parts of a microsecond; of threads that live. */
export function readSchedulerMicroseconds(pid: number): number {
  let nanoseconds = 0;
  for (const each of findTree(pid)) {
    for (const thread of listThreads(each)) {
      nanoseconds += Number(readProc(`${each}/task/${thread}/schedstat`)?.split(' ')[0] ?? 0);
    }
  }
  return nanoseconds / 1000;
}

function listThreads(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** undefined: it ended in the meantime. */
function readProc(file: string): string | undefined {
  try {
    return readFileSync(`/proc/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

/** Resident memory of the process and its children, in MiB. */
export function readResidentMiB(pid: number): number {
  let kib = 0;
  for (const each of findTree(pid)) {
    kib += Number(/VmRSS:\s+(\d+)/.exec(readProc(`${each}/status`) ?? '')?.[1] ?? 0);
  }
  return kib / 1024;
}

/** Resolves when somebody listens; the time that took, in milliseconds. */
export async function waitForPort(port: number, withinMs = 15000): Promise<number> {
  const begin = performance.now();
  for (;;) {
    if (await isOpen(port)) return performance.now() - begin;
    if (performance.now() - begin > withinMs) throw new Error(`nobody listens at 127.0.0.1:${port}`);
    await sleep(2);
  }
}

export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  const { child, result } = startLoad(plan);
  const answer = await result;
  child.kill('SIGKILL');
  return answer;
}

/** Starts a load and gives its result once it is printed; with `hold` the connections stay open until `child` is killed. */
export function startLoad(plan: LoadPlan): { child: ChildProcess; result: Promise<LoadResult> } {
  const file = new URL(plan.http2 === undefined ? 'load-generator.ts' : 'http2-load.ts', import.meta.url).pathname;
  const child = spawn('taskset', ['-c', OTHER_CORE, process.execPath, file, JSON.stringify(plan)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const result = new Promise<LoadResult>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.endsWith('\n')) resolve(JSON.parse(text) as LoadResult);
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error('the load generator ended without a result')));
  });
  return { child, result };
}

/** What a program prints about itself; undefined when it is not on this machine. */
export function readVersion(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return error === undefined ? pattern.exec(stdout + stderr)?.[1] : undefined;
}
