/** When V8 may optimise: not while nothing has been served yet. */
import { setFlagsFromString } from 'node:v8';

const COMPILERS = ['opt', 'maglev'];

/**
 * Starting runs each piece of code for a moment. Optimising it touches 2–8 MiB of V8's compilers, and 1,000 policies leave
 * 12 MiB more in allocators, which a process at rest then keeps; the start is not faster for it (measured). Call it before
 * the program is loaded, and `allowOptimizing` before the first request.
 */
export function delayOptimizing(): void {
  for (const name of COMPILERS) setFlagsFromString(`--no-${name}`);
}

export function allowOptimizing(): void {
  for (const name of COMPILERS) setFlagsFromString(`--${name}`);
}
