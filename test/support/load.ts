/** Clients that ask without pause, each on a keep-alive connection of its own, until they are told to stop. */
import type { Answer, Ask, Connection } from './connection.ts';

export interface Load {
  /** Answers so far. */
  readonly answers: number;
  /** Resolves when that many further answers have come. */
  further(count: number): Promise<void>;
  /** Ends after the answers under way; fails with what went wrong first. */
  stop(): Promise<readonly Answer[]>;
}

/** `ask` says what each client asks; whatever it throws, and every connection that ends, is a failure. */
export function putUnderLoad(connections: readonly Connection[], ask: (client: number) => Ask): Load {
  const answers: Answer[] = [];
  const failures: unknown[] = [];
  let waiting: { readonly until: number; readonly wake: () => void }[] = [];
  let stopping = false;
  const wake = (): void => {
    const due = waiting.filter(({ until }) => answers.length >= until || failures.length > 0);
    waiting = waiting.filter(one => !due.includes(one));
    for (const one of due) one.wake();
  };
  const run = async (connection: Connection, client: number): Promise<void> => {
    try {
      while (!stopping) {
        answers.push(await connection.ask(ask(client)));
        wake();
      }
    } catch (error) {
      failures.push(error);
      wake();
    }
  };
  const running = connections.map(run);
  return {
    get answers() {
      return answers.length;
    },
    further: count =>
      new Promise(resolve => {
        waiting.push({ until: answers.length + count, wake: resolve });
        wake();
      }),
    stop: async () => {
      stopping = true;
      await Promise.all(running);
      if (failures.length > 0) throw new AggregateError(failures, `${failures.length} clients failed`);
      return answers;
    },
  };
}
