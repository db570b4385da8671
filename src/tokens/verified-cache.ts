/**
 * Tokens that were verified, found by the end of their text and used only when the whole text is equal. Bounded in entries and bytes; the oldest that was not used since it was
 * last looked at goes first (second chance), so that a hit writes one field and moves nothing.
 *
 * The text itself is compared: equality of texts is stricter than equality of digests, it never leaves memory, and V8 seeds
 * its string hash per process. Each request brings its token as a new string, and hashing all of it would cost more than
 * everything else that is done for a known token: the end is the signature, in which two tokens differ. Only verified
 * tokens enter, so nobody without a token can fill it.
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
  readonly text: string;
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

  const evict = (): void => {
    for (const [end, slot] of slots) {
      if (slots.size <= entries && held <= bytes) return;
      slots.delete(end);
      if (slot.used) {
        slot.used = false;
        slots.set(end, slot);
      } else held -= slot.bytes;
    }
  };

  return {
    find(token) {
      const slot = slots.get(endOf(token));
      if (slot === undefined || slot.text !== token) return undefined;
      slot.used = true;
      return slot.cached;
    },
    keep(token, cached) {
      // A copy: a slice would keep the whole head of its request in memory.
      const text = Buffer.from(token, 'latin1').toString('latin1');
      const end = endOf(text);
      const old = slots.get(end);
      slots.delete(end);
      const slot = { text, cached, bytes: estimateBytes(token), used: false };
      slots.set(end, slot);
      held += slot.bytes - (old?.bytes ?? 0);
      evict();
    },
    size: () => slots.size,
  };
}

/** Characters of an HS256 signature, the shortest there is; of an encrypted token, its tag and what stands before. */
const END = 43;

const endOf = (token: string): string => token.slice(-END);

/** The text, the claims as objects (about twice their text), and what stands around them. */
const estimateBytes = (token: string): number => 512 + 3 * token.length;
