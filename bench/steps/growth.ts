/** What a request costs as the configuration grows: the smallest and a larger one in two processes, loaded in turns. */
import { planLoad, type Bench } from '../bench.ts';
import { REST_MS, waitForReady } from '../footprint.ts';
import type { Ports } from '../peers/peer.ts';
import { startSallyport } from '../peers/sallyport.ts';
import { readResidentMiB, runLoad, type Running } from '../process.ts';
import { compareLoads, LONGEST_SECONDS, type LoadedProcess } from './compare-loads.ts';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Growth {
  readonly name: string;
  /** Ascending. */
  readonly counts: readonly [number, ...number[]];
  /** The folder of manifests and the file of heads for so many. */
  readonly write: (count: number) => { readonly folder: string; readonly headsFile: string };
}

export interface Grown {
  readonly count: number;
  /** From starting the process until it is ready. */
  readonly readyMs: number;
  /** At rest, before its first request. */
  readonly residentMiB: number;
  /** CPU of a request, and of one with the smallest count in the same turns. */
  readonly microseconds: number;
  readonly leastMicroseconds: number;
}

interface Started extends LoadedProcess {
  readonly running: Running;
  readonly readyMs: number;
  readonly residentMiB: number;
}

const WARM_UP_SECONDS = 2;

export async function measureGrowth(bench: Bench, growth: Growth): Promise<readonly Grown[]> {
  const [least, ...more] = growth.counts;
  const base = await start(bench, growth, least, bench.ports);
  try {
    const grown: Grown[] = [];
    for (const count of more) grown.push(await compare(bench, growth, base, count));
    const microseconds = grown[0]?.leastMicroseconds ?? Number.NaN;
    const first = { ...base, count: least, microseconds, leastMicroseconds: microseconds };
    return [first, ...grown];
  } finally {
    await base.running.stop();
  }
}

async function compare(bench: Bench, growth: Growth, base: Started, count: number): Promise<Grown> {
  const { listen, health } = bench.ports;
  const own = await start(bench, growth, count, { ...bench.ports, listen: listen + 1, health: health + 1 });
  try {
    const { readyMs, residentMiB } = own;
    const [leastMicroseconds, microseconds] = await compareLoads(
      [base, own],
      Math.max(2, bench.seconds),
      `${count} ${growth.name}`,
    );
    return { count, readyMs, residentMiB, microseconds, leastMicroseconds };
  } finally {
    await own.running.stop();
  }
}

async function start(bench: Bench, { write }: Growth, count: number, ports: Ports): Promise<Started> {
  const { folder, headsFile } = write(count);
  const begin = performance.now();
  const running = startSallyport({ material: bench.material, ports, mode: 'plain' }, folder);
  await waitForReady(ports);
  const readyMs = performance.now() - begin;
  await sleep(REST_MS);
  const residentMiB = readResidentMiB(running.pid);
  const plan = { ...planLoad(bench, { mode: 'plain', headsFile }), port: ports.listen, seconds: LONGEST_SECONDS };
  await runLoad({ ...plan, seconds: WARM_UP_SECONDS });
  return { running, pid: running.pid, plan, readyMs, residentMiB };
}
