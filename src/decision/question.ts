/**
 * What a step asks for, and how it goes on with the answer. Steps are plain functions that give their result at once or a
 * Question; only decide() is a generator, since each generator that yields to another costs more than most steps do.
 */
import type { Evidence, EvidenceRequest } from './evidence.ts';

/** The result, or what must be known first. */
export type Asking<T> = T | Question<T>;

export class Question<T> {
  readonly request: EvidenceRequest;
  readonly resume: (answer: Evidence) => Asking<T>;

  constructor(request: EvidenceRequest, resume: (answer: Evidence) => Asking<T>) {
    this.request = request;
    this.resume = resume;
  }
}

export function whenKnown<T, U>(asking: Asking<T>, go: (result: T) => Asking<U>): Asking<U> {
  if (!(asking instanceof Question)) return go(asking);
  return new Question(asking.request, answer => whenKnown(asking.resume(answer), go));
}
