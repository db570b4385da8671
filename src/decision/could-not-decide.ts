/** "Could not decide": thrown by adapters, turned into a 503 denial at one place (judge.ts). */
import type { Reason } from '../api/reasons.ts';

/** Carries a reason and nothing of the request: never a token, key or claim set. */
export class CouldNotDecide extends Error {
  override readonly name = 'CouldNotDecide';
  readonly code = 'COULD_NOT_DECIDE';
  readonly reason: Reason;

  constructor(reason: Reason) {
    super(reason);
    this.reason = reason;
  }
}
