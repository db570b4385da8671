/**
 * Answers of one service, by certificate and device id. Bounded; the oldest that was not used since it was last looked at
 * goes first (second chance), so that a hit writes one field and moves nothing.
 */
import type { Answered } from './answer.ts';

export interface CachedAnswer {
  readonly evidence: Answered;
  /** Milliseconds since the epoch; until then it stands for the service's answer. */
  readonly freshUntil: number;
  /** Until then it may stand in for a service that does not answer; never below freshUntil. */
  readonly staleUntil: number;
}

interface Slot {
  readonly answer: CachedAnswer;
  used: boolean;
}

export interface AnswerCache {
  find(key: string): CachedAnswer | undefined;
  keep(key: string, answer: CachedAnswer): void;
  drop(key: string): void;
  size(): number;
}

export function createAnswerCache(maxEntries: number): AnswerCache {
  const slots = new Map<string, Slot>();
  const evict = (): void => {
    for (const [key, slot] of slots) {
      if (slots.size <= maxEntries) return;
      slots.delete(key);
      if (!slot.used) continue;
      slot.used = false;
      slots.set(key, slot);
    }
  };
  return {
    find(key) {
      const slot = slots.get(key);
      if (slot === undefined) return undefined;
      slot.used = true;
      return slot.answer;
    },
    keep(key, answer) {
      slots.delete(key);
      slots.set(key, { answer, used: false });
      if (slots.size > maxEntries) evict();
    },
    drop: key => void slots.delete(key),
    size: () => slots.size,
  };
}
