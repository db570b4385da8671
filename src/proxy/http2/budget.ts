/** A bound on what costs us more than its sender: so many at once, and so many a second after that. */
export interface Budget {
  /** False: it is used up. `now` is monotonic, milliseconds. */
  spend(now: number): boolean;
}

export function createBudget(burst: number, perSecond: number): Budget {
  let left = burst;
  let since: number | undefined;
  return {
    spend: now => {
      left = Math.min(burst, left + ((now - (since ?? now)) / 1000) * perSecond);
      since = now;
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}
