/** Clients in the node's network, driven from the test: one request, a load without end, or waiting for an answer. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ClusterNode } from './node.ts';

export interface Ask {
  readonly address: string;
  readonly port: number;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Absent: plain HTTP. */
  readonly tls?: {
    readonly serverName: string;
    /** PEM; absent: the server is not judged. */
    readonly ca?: string;
    readonly certificate?: string;
    readonly key?: string;
  };
  readonly timeoutMs?: number;
}

export interface Answer {
  /** 0: no answer, and `error` says why. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly error?: string;
  readonly ms: number;
}

export interface LoadReport {
  readonly answers: number;
  readonly failed: number;
  /** The first of them. */
  readonly failures: readonly (Answer & { readonly at: number })[];
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

export interface Observation {
  readonly seen: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export type ToClient = { readonly id: number } & (
  | { readonly do: 'ask'; readonly ask: Ask }
  | {
      readonly do: 'observe';
      readonly ask: Ask;
      readonly status: number;
      readonly reason: string;
      readonly withinMs: number;
    }
  | {
      readonly do: 'load';
      readonly ask: Ask;
      readonly clients: number;
      readonly pauseMs: number;
      readonly expected: readonly number[];
    }
  | { readonly do: 'stop'; readonly load: number }
);

export interface FromClient {
  readonly id: number;
  readonly result?: unknown;
  readonly problem?: string;
}

export interface LoadOptions {
  /** Default 4. */
  readonly clients?: number;
  /** Default 20. */
  readonly pauseMs?: number;
  /** What is no failure; default 200. */
  readonly expected?: readonly number[];
}

export interface RunningLoad {
  /** Ends after the answers under way. */
  stop(): Promise<LoadReport>;
}

export interface Clients {
  ask(ask: Ask): Promise<Answer>;
  /** Until an answer has this status and this text in its body. */
  observe(ask: Ask, status: number, reason?: string, withinMs?: number): Promise<Observation>;
  load(ask: Ask, options?: LoadOptions): Promise<RunningLoad>;
  close(): void;
}

export function openClients(node: Pick<ClusterNode, 'spawnInNetns'>): Clients {
  const program = join(import.meta.dirname, 'installation-client.ts');
  const child = node.spawnInNetns([process.execPath, program]);
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error('the client has no pipes');
  stderr.pipe(process.stderr);
  const waiting = new Map<number, (answer: FromClient) => void>();
  let last = 0;
  createInterface({ input: stdout }).on('line', line => {
    const answer = JSON.parse(line) as FromClient;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const tell = async <T>(order: (id: number) => ToClient): Promise<{ id: number; result: T }> => {
    const id = ++last;
    const answered = new Promise<FromClient>(resolve => waiting.set(id, resolve));
    stdin.write(`${JSON.stringify(order(id))}\n`);
    const { result, problem } = await answered;
    if (problem !== undefined) throw new Error(problem);
    return { id, result: result as T };
  };
  return {
    ask: async ask => (await tell<Answer>(id => ({ id, do: 'ask', ask }))).result,
    observe: async (ask, status, reason = '', withinMs = 15_000) =>
      (await tell<Observation>(id => ({ id, do: 'observe', ...{ ask, status, reason, withinMs } }))).result,
    load: async (ask, { clients = 4, pauseMs = 20, expected = [200] } = {}) => {
      const { id: load } = await tell(id => ({ id, do: 'load', ...{ ask, clients, pauseMs, expected } }));
      return { stop: async () => (await tell<LoadReport>(id => ({ id, do: 'stop', load }))).result };
    },
    close: () => void stdin.end(),
  };
}
