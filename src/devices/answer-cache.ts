/** Answers of one service, by certificate and device id. Bounded; the least recently used goes first. */
import type { Answered } from './answer.ts';

export interface CachedAnswer {
  readonly evidence: Answered;
  /** Milliseconds since the epoch; until then it stands for the service's answer. */
  readonly freshUntil: number;
  /** Until then it may stand in for a service that does not answer; never below freshUntil. */
  readonly staleUntil: number;
}

export interface AnswerCache {
  find(key: string): CachedAnswer | undefined;
  keep(key: string, answer: CachedAnswer): void;
  drop(key: string): void;
  size(): number;
}

export function createAnswerCache(maxEntries: number): AnswerCache {
  const answers = new Map<string, CachedAnswer>();
  return {
    find(key) {
      const found = answers.get(key);
      if (found === undefined) return undefined;
      answers.delete(key);
      answers.set(key, found);
      return found;
    },
    keep(key, answer) {
      answers.delete(key);
      answers.set(key, answer);
      if (answers.size <= maxEntries) return;
      for (const oldest of answers.keys()) {
        answers.delete(oldest);
        return;
      }
    },
    drop: key => void answers.delete(key),
    size: () => answers.size,
  };
}
