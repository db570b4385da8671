/** So many at once; the others wait in the order of their coming. */
import { createLocalError } from './kube-error.ts';

export interface Turns {
  /** Resolves with what ends the turn; calling that again does nothing. @throws KubeError `Closed` when `signal` aborts first */
  enter(signal: AbortSignal): Promise<() => void>;
}

export function createTurns(most: number): Turns {
  const waiting = new Set<() => void>();
  let taken = 0;

  const leave = (): (() => void) => {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      taken -= 1;
      const [next] = waiting;
      next?.();
    };
  };

  return {
    enter(signal) {
      return new Promise((resolve, reject) => {
        const abort = (): void => {
          waiting.delete(begin);
          reject(createLocalError('Closed', 'the request was given up'));
        };
        const begin = (): void => {
          waiting.delete(begin);
          signal.removeEventListener('abort', abort);
          taken += 1;
          resolve(leave());
        };
        if (signal.aborted) return abort();
        if (taken < most) return begin();
        waiting.add(begin);
        signal.addEventListener('abort', abort, { once: true });
      });
    },
  };
}
