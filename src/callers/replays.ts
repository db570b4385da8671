/** Signed messages that were seen, for as long as their time is believed (P10). In this process, lost with it. */
import type { KeyHash } from '../limits/key-hash.ts';
import { createKeyTable, type KeyTable } from '../limits/key-table.ts';

export type Seen = 'new' | 'seen' | 'full';

export interface Replays {
  /** Remembers the message until `until` (milliseconds since the epoch), and says whether it was known. */
  remember(memory: string, message: string, now: number, until: number): Seen;
  /** Forgets what no loaded step names any more. */
  keep(memories: ReadonlySet<string>): void;
}

/** Of one step: 20 MiB. Whoever fills it has signed so many messages; past it nothing more is let in. */
const MOST = 500_000;

export function createReplays(hash: KeyHash): Replays {
  const tables = new Map<string, KeyTable>();
  const tableOf = (memory: string): KeyTable => {
    const known = tables.get(memory) ?? createKeyTable(hash);
    tables.set(memory, known);
    return known;
  };
  return {
    remember: (memory, message, now, until) => {
      const table = tableOf(memory);
      const place = table.place(message, now, MOST);
      if (place < 0) return 'full';
      if (table.until(place) > now) return 'seen';
      table.set(place, until, 1);
      return 'new';
    },
    keep: memories => {
      for (const memory of tables.keys()) if (!memories.has(memory)) tables.delete(memory);
    },
  };
}
