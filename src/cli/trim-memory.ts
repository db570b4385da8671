/** Gives back what starting has used: parsing manifests and compiling policies leaves the young generation large and half empty. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/**
 * One full collection that also shrinks the heap (measured: 4 MiB resident less, 10–20 ms). V8 does this by itself only
 * under memory pressure, never in a process that is idle. Call it while nobody waits; does nothing where V8 offers no
 * such call.
 */
export function trimMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') (collect as Collect)({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
