/** Who is ended when memory is short: whoever holds most of it. To refuse all others instead would be what an attacker wants. */
import type { OpenConnection } from './ingress.ts';

/** Less than this share of the limit is not what memory is short of. */
const WORTHWHILE = 0.1;

export interface Shed {
  readonly ended: number;
  readonly bytes: number;
}

/**
 * Resets the connections whose clients leave most of their answers untaken, until half of what all of them leave is given
 * up. Nobody, if answers that wait are no large part of `maxBytes`.
 */
export function shedLargest(connections: Iterable<OpenConnection>, maxBytes: number): Shed {
  const holders = [...connections]
    .map(connection => ({ connection, bytes: connection.closed ? 0 : connection.heldBytes }))
    .filter(({ bytes }) => bytes > 0)
    .sort((one, other) => other.bytes - one.bytes);
  const held = holders.reduce((sum, { bytes }) => sum + bytes, 0);
  let [ended, bytes] = [0, 0];
  if (held < WORTHWHILE * maxBytes) return { ended, bytes };
  for (const holder of holders) {
    if (bytes >= held / 2) break;
    holder.connection.reset();
    ended++;
    bytes += holder.bytes;
  }
  return { ended, bytes };
}
