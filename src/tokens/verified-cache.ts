/**
 * Tokens that were verified, by their exact text. Bounded in entries and bytes; the oldest that was not used since it was
 * last looked at goes first (second chance), so that a hit writes one field and moves nothing.
 *
 * The text itself is the key: equality of texts is stricter than equality of digests, it never leaves memory, and V8 seeds
 * its string hash per process. Only verified tokens enter, so nobody without a token can fill it.
 */
import type { ObjectKey } from '../api/object.ts';
import type { TokenEvidence } from '../decision/evidence.ts';

export interface CachedToken<I> {
  readonly issuerKey: ObjectKey;
  /** The issuer in force at that time, by identity: another spec, trust or generation is another object. */
  readonly issuer: I;
  /** Of the issuer's keys at that time. */
  readonly keysGeneration: number;
  /** Milliseconds since the epoch; from then on the entry is no longer used. */
  readonly until: number;
  readonly evidence: TokenEvidence;
}

interface Slot<I> {
  readonly cached: CachedToken<I>;
  readonly bytes: number;
  used: boolean;
}

export interface VerifiedCache<I> {
  find(token: string): CachedToken<I> | undefined;
  keep(token: string, cached: CachedToken<I>): void;
  /** Entries held. */
  size(): number;
}

export interface VerifiedCacheLimits {
  readonly entries: number;
  readonly bytes: number;
}

export function createVerifiedCache<I>({ entries, bytes }: VerifiedCacheLimits): VerifiedCache<I> {
  const slots = new Map<string, Slot<I>>();
  let held = 0;

  const drop = (token: string, slot: Slot<I>): void => {
    slots.delete(token);
    held -= slot.bytes;
  };
  const evict = (): void => {
    for (const [token, slot] of slots) {
      if (slots.size <= entries && held <= bytes) return;
      slots.delete(token);
      if (slot.used) {
        slot.used = false;
        slots.set(token, slot);
      } else held -= slot.bytes;
    }
  };

  return {
    find(token) {
      const slot = slots.get(token);
      if (slot === undefined) return undefined;
      slot.used = true;
      return slot.cached;
    },
    keep(token, cached) {
      const old = slots.get(token);
      if (old !== undefined) drop(token, old);
      const slot = { cached, bytes: estimateBytes(token), used: false };
      // A copy: a slice would keep the whole head of its request in memory.
      slots.set(Buffer.from(token, 'latin1').toString('latin1'), slot);
      held += slot.bytes;
      evict();
    },
    size: () => slots.size,
  };
}

/** The text, the claims as objects (about twice their text), and what stands around them. */
const estimateBytes = (token: string): number => 512 + 3 * token.length;
