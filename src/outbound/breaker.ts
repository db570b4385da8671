/** Stops asking a service that does not answer, and asks again with one call at a time. */

export type BreakerState = 'closed' | 'halfOpen' | 'open';

export interface Breaker {
  /** Whether a call may be made now. While half open only the first may, until it has ended. */
  admit(now: number): boolean;
  succeed(): void;
  fail(now: number): void;
  state(now: number): BreakerState;
}

export interface BreakerLimits {
  readonly consecutiveErrors: number;
  /** Milliseconds. */
  readonly openFor: number;
}

export function createBreaker({ consecutiveErrors, openFor }: BreakerLimits): Breaker {
  let errors = 0;
  let openUntil: number | undefined;
  let probing = false;
  return {
    admit(now) {
      if (openUntil === undefined) return true;
      if (now < openUntil || probing) return false;
      probing = true;
      return true;
    },
    succeed() {
      errors = 0;
      openUntil = undefined;
      probing = false;
    },
    fail(now) {
      errors++;
      probing = false;
      if (errors >= consecutiveErrors) openUntil = now + openFor;
    },
    state: now => (openUntil === undefined ? 'closed' : now < openUntil ? 'open' : 'halfOpen'),
  };
}
