/** The leader's work on conditions: what changed is looked at soon, and together. */
import type { Model } from './model.ts';
import { describeCluster } from './cluster-status.ts';
import type { Evaluation } from './evaluation.ts';
import {
  describeNamespace,
  shareOfClusterPolicies,
  type ClusterShare,
  type StatusContext,
  type WantedStatus,
} from './namespace-status.ts';
import type { KnownObject } from './objects.ts';

export interface Workbench {
  /** These namespaces changed; undefined: all. */
  mark(namespaces?: ReadonlySet<string>): void;
  start(): void;
  stop(): void;
}

export interface WorkbenchOptions {
  readonly model: Model;
  readonly evaluation: Evaluation;
  /** Of one round. */
  readonly context: () => Pick<StatusContext, 'states' | 'mesh'>;
  readonly tested: (namespace: string) => Pick<StatusContext, 'heldBy' | 'tests' | 'describeGate'>;
  readonly want: (object: KnownObject, status: WantedStatus) => void;
  /** A namespace could not be judged: a fault of ours, which must not stop the others. */
  readonly onFault: (namespace: string, error: unknown) => void;
  /** After each round. */
  readonly onRound: (states: StatusContext['states']) => void;
  /** Between the first mark and the look; default 300 ms. */
  readonly settleMs?: number;
}

/** Pauses between namespaces, so that streams and webhooks are answered meanwhile. */
const BREATH_MS = 1;

export function createWorkbench(options: WorkbenchOptions): Workbench {
  const { model, evaluation, want, settleMs = 300 } = options;
  let marked = new Set<string>();
  let markedAll = true;
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let started = false;
  const shares = new Map<string, ReadonlyMap<string, ClusterShare>>();

  function schedule(): void {
    if (!started || running) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      running = true;
      void round().finally(() => {
        running = false;
        if (markedAll || marked.size > 0) schedule();
      });
    }, settleMs);
  }

  async function round(): Promise<void> {
    const watched = model.watched();
    const namespaces = markedAll ? watched : [...marked].filter(namespace => watched.has(namespace));
    [marked, markedAll] = [new Set(), false];
    evaluation.keep(watched);
    for (const namespace of shares.keys()) if (!watched.has(namespace)) shares.delete(namespace);
    const context = options.context();
    for (const namespace of namespaces) {
      if (!isStarted()) return;
      attempt(namespace, () => judge(namespace, context));
      await new Promise(resolve => setTimeout(resolve, BREATH_MS));
    }
    if (isStarted()) attempt('', judgeCluster);
    options.onRound(context.states);
  }

  const isStarted = (): boolean => started;

  function attempt(namespace: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      options.onFault(namespace, error);
    }
  }

  function judge(namespace: string, context: Pick<StatusContext, 'states' | 'mesh'>): void {
    const facts = evaluation.factsOf(namespace);
    const told = { ...context, ...options.tested(namespace) };
    shares.set(namespace, shareOfClusterPolicies(facts, told));
    wantAll(describeNamespace(facts, told));
  }

  function judgeCluster(): void {
    const { input, analysis } = evaluation.cluster();
    wantAll(describeCluster(input, analysis, { shares }));
  }

  /** Objects are taken as they are known now: a status that was written meanwhile stands there. */
  function wantAll(statuses: ReadonlyMap<string, WantedStatus>): void {
    for (const [id, status] of statuses) {
      const object = model.objects.find(id);
      if (object !== undefined) want(object, status);
    }
  }

  return {
    mark(namespaces) {
      if (namespaces === undefined) markedAll = true;
      else for (const namespace of namespaces) marked.add(namespace);
      schedule();
    },
    start() {
      started = true;
      markedAll = true;
      schedule();
    },
    stop() {
      started = false;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
