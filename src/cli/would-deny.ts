/** Counts what Audit policies would have denied, by policy, for the controller (S8). */
import { identify } from '../policy/inventory.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

export interface WouldDenyCounter {
  readonly telemetry: Telemetry;
  /** By `AuthPolicy shop/fleet`, since the process started. */
  counts(): readonly { readonly policy: string; readonly count: number }[];
}

/** What goes through `telemetry` of the answer is counted and handed on. */
export function countWouldDeny<T extends Telemetry>(telemetry: T): WouldDenyCounter {
  const counts = new Map<string, number>();
  return {
    telemetry: {
      ...telemetry,
      request(record) {
        for (const { origin } of record.auditDenials) {
          const policy = identify(origin);
          counts.set(policy, (counts.get(policy) ?? 0) + 1);
        }
        telemetry.request(record);
      },
    },
    counts: () => [...counts].map(([policy, count]) => ({ policy, count })),
  };
}
