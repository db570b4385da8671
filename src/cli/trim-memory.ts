/** Gives back what starting has used: parsing manifests and compiling policies leaves the young generation large and half empty. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { Memory } from '../proxy/memory-watch.ts';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/**
 * One full collection that also shrinks the heap (measured: 4 MiB resident less, 10–20 ms). V8 does this by itself only
 * under memory pressure, never in a process that is idle. Call it while nobody waits; does nothing where V8 offers no
 * such call.
 */
export function trimMemory(release: Release = KEEP): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') (collect as Collect)({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  release();
}

/** Gives what is free in the C library's allocator back to the kernel. */
export type Release = () => void;
const KEEP: Release = () => undefined;

/**
 * malloc_trim(3) of glibc: each of its arenas (one for each thread of V8's compilers, of the thread pool …) keeps the most
 * that it ever held, 10 MiB after a start and more after a load. Where there is none (musl) nothing is done.
 */
export async function openRelease(): Promise<Release> {
  try {
    const { default: koffi } = await import('koffi');
    const trim = koffi.load(null).func('int malloc_trim(size_t)');
    return () => void trim(0);
  } catch {
    return KEEP;
  }
}

/** How often it is looked whether the process rests, and what counts as rest: the share of time that anything ran. */
const LOOK_MS = 2000;
const REST = 0.05;
/** A process that has grown by less than this is left alone. */
const WORTHWHILE_BYTES = 6 * 1024 * 1024;

/**
 * Trims at once, at the first rest (what listening and the first look at the files left), and then whenever the process has
 * grown and nobody waits: after a change of configuration, after a load. Costs nothing while requests come. Answers how to
 * stop it.
 */
export function keepTrimmed(release: Release): () => void {
  trimMemory(release);
  let resident = -WORTHWHILE_BYTES;
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization > REST || process.memoryUsage.rss() < resident + WORTHWHILE_BYTES) return;
    trimMemory(release);
    resident = process.memoryUsage.rss();
    before = performance.eventLoopUtilization();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Memory of this process. Needed: what V8 and its buffers hold, and what the program itself took before its first
 * request; the rest of resident memory lies in allocators, which hand it out again before they ask for more.
 */
export function createMemory(release: Release): Memory {
  const { rss, heapTotal, external } = process.memoryUsage();
  const program = rss - heapTotal - external;
  return {
    resident: () => process.memoryUsage.rss(),
    needed: () => {
      const { heapUsed, external: buffers } = process.memoryUsage();
      return program + heapUsed + buffers;
    },
    collect: () => trimMemory(release),
  };
}
