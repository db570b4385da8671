/** Waits for a fact that makes no event of its own: looks again and again, and fails with words after a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

const WITHIN_MS = 15_000;
const LOOK_MS = 25;

/** What `look` gave when it gave something. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = WITHIN_MS,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(LOOK_MS);
  }
}
