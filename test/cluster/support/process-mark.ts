/** Names a process beyond doubt, also for another program later: a process id alone may have been given to somebody else. */
import { readFileSync } from 'node:fs';

export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks from boot to its start (proc(5), field 22 of `stat`), and which boot. */
  readonly started: string;
}

/** The mark of a process that has ended equals no other. */
export function markProcess(pid: number): ProcessMark {
  return { pid, started: readStart(pid) ?? 'ended' };
}

export function isAlive({ pid, started }: ProcessMark): boolean {
  return readStart(pid) === started;
}

/** Kills what still runs of `marks` and waits, at most `withinMs`, until it is gone. */
export function killAll(marks: readonly ProcessMark[], withinMs = 10_000): void {
  for (const mark of marks) if (isAlive(mark)) kill(mark.pid);
  const deadline = Date.now() + withinMs;
  while (marks.some(isAlive) && Date.now() < deadline) pause(10);
}

/** Blocks: it is used where a process is about to exit too. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended in the meantime.
  }
}

/** Undefined for what has ended, a zombie included. */
function readStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${readBoot()}/${fields[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

function readBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
