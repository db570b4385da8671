/**
 * callers: floor 2. Who is known by a shared secret: subscription keys and webhook signatures. May import api/, http/,
 * policy/, decision/, telemetry/ and material/.
 *
 * Subscription keys are found by their SHA-256, so that 10,000 subscriptions cost what one does (P9). The table is asked by
 * a part of the hash, which says nothing about a key; whole hashes are compared in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { SubscriptionEvidence, SubscriptionRequest } from '../decision/evidence.ts';
import type { Material } from '../material/material.ts';
import type { SubscriptionPlan, SubscriptionSet } from '../policy/model.ts';

export interface SubscriptionKeys {
  find(request: Pick<SubscriptionRequest, 'api' | 'key' | 'isText'>): SubscriptionEvidence;
  /** Hashes that cannot be read: a key that nobody else has may be theirs. */
  readonly unread: readonly UnreadHash[];
}

export interface UnreadHash {
  readonly plan: SubscriptionPlan;
  readonly secret: ObjectKey;
  /** Of the Secret's data. */
  readonly dataKey: string;
}

interface Entry {
  readonly hash: Buffer;
  readonly plan: SubscriptionPlan;
}

/** Longer ones are nobody's, and are not hashed. In characters, which are bytes in a header. */
const LONGEST_KEY = 1024;

const NOBODY: SubscriptionEvidence = { state: 'found', plans: [] };
const undecided = (reason: Reason): SubscriptionEvidence => ({ state: 'undecided', reason });

/** 64 hex digits, as sha256sum prints them: its file name may follow. Undefined when it is no hash. */
export function readKeyHash(bytes: Uint8Array): Buffer | undefined {
  const [, digits] = /^\s*([0-9A-Fa-f]{64})(?:\s+\*?-)?\s*$/.exec(Buffer.from(bytes).toString('latin1')) ?? [];
  return digits === undefined ? undefined : Buffer.from(digits, 'hex');
}

export function createSubscriptionKeys({ plans, held }: SubscriptionSet, material: Material): SubscriptionKeys {
  const table = new Map<string, Entry[]>();
  const unread: UnreadHash[] = [];
  for (const plan of [...plans.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const { secret, dataKey } of plan.hashes) {
      const bytes = material.secret(secret)?.get(dataKey);
      const hash = bytes === undefined ? undefined : readKeyHash(bytes);
      if (hash === undefined) unread.push({ plan, secret, dataKey });
      else addEntry(table, { hash, plan });
    }
  }
  return {
    unread,
    find: ({ api, key, isText }) => {
      if (key.length > LONGEST_KEY) return NOBODY;
      const hash = createHash('sha256')
        .update(key, isText ? 'utf8' : 'latin1')
        .digest();
      const found = findPlans(table, hash);
      if (found.length > 0) return { state: 'found', plans: found };
      // Whoever is suspended is refused with any key.
      if (unread.some(({ plan }) => plan.isActive && plan.covers.has(api))) return undecided('KeysUnavailable');
      return held.length > 0 ? undecided('PolicyInvalid') : NOBODY;
    },
  };
}

const slotOf = (hash: Buffer): string => hash.toString('latin1', 0, 8);

function addEntry(table: Map<string, Entry[]>, entry: Entry): void {
  const slot = slotOf(entry.hash);
  const known = table.get(slot);
  if (known === undefined) table.set(slot, [entry]);
  else known.push(entry);
}

/** Every plan once, also one whose two keys are the same. */
function findPlans(table: ReadonlyMap<string, readonly Entry[]>, hash: Buffer): readonly SubscriptionPlan[] {
  const found: SubscriptionPlan[] = [];
  for (const entry of table.get(slotOf(hash)) ?? NONE) {
    if (timingSafeEqual(entry.hash, hash) && !found.includes(entry.plan)) found.push(entry.plan);
  }
  return found;
}

const NONE: readonly Entry[] = [];
