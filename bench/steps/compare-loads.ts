/**
 * CPU per request of two loads, on one process or on two, in turns so short that whatever else this machine does falls on both alike.
 * Both keep their connections; one of them stands still while the other runs.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadPlan, LoadResult } from '../load-generator.ts';
import { readSchedulerMicroseconds, startLoad } from '../process.ts';

/** For plans: such a load ends when it is told to. */
export const LONGEST_SECONDS = 600;
const TURN_MS = 100;
/** In which the proxy ends what it was asked. */
const REST_MS = 15;

export interface LoadedProcess {
  readonly pid: number;
  readonly plan: LoadPlan;
}

interface Load {
  readonly child: ChildProcess;
  readonly result: Promise<LoadResult>;
}

/** Microseconds of each; `title` names them when requests fail. */
export async function compareLoads(
  loaded: readonly [LoadedProcess, LoadedProcess],
  seconds: number,
  title: string,
): Promise<readonly [number, number]> {
  const loads = new Map<0 | 1, Load>();
  const spent: [number, number] = [0, 0];
  const turn = async (at: 0 | 1): Promise<void> => {
    const { pid, plan } = loaded[at];
    const before = readSchedulerMicroseconds(pid);
    const load = loads.get(at) ?? startLoad(plan);
    loads.set(at, load);
    load.child.kill('SIGCONT');
    await sleep(TURN_MS);
    load.child.kill('SIGSTOP');
    await sleep(REST_MS);
    spent[at] += readSchedulerMicroseconds(pid) - before;
  };
  for (let turns = 0; turns < (seconds * 1000) / TURN_MS; turns += 1) {
    await turn(0);
    await turn(1);
  }
  const [one, other] = await Promise.all([...loads.values()].map(load => end(load, title)));
  return [spent[0] / (one ?? Number.NaN), spent[1] / (other ?? Number.NaN)];
}

/** Requests that were answered. */
async function end({ child, result }: Load, title: string): Promise<number> {
  child.kill('SIGTERM');
  child.kill('SIGCONT');
  const { requests, failures, firstFailure } = await result;
  child.kill('SIGKILL');
  if (failures > 0) process.stderr.write(`${title}: ${failures} failures, first: ${firstFailure ?? ''}\n`);
  return Math.max(1, requests);
}
