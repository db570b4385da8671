/**
 * The source `kubernetes`: objects that the sidecar watches itself, and the controller’s material. They are published only
 * when both fit, with one hash. With the API server or the controller away, what is in force stays in force without end.
 */
import type { KubeClient } from '../kube/client.ts';
import type { Timings } from '../kube/follower.ts';
import type { AcknowledgedObject, MaterialMessage } from '../material/protocol.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { acknowledgeObjects } from './acknowledge.ts';
import { mergeData, readMaterial, withoutGate, type MaterialData } from './controller-material.ts';
import { createDrafter, type Draft } from './draft.ts';
import { createKindWatches, KIND_NAMES, type KindStatus } from './kind-watches.ts';
import { createObjectCollection } from './object-collection.ts';
import type { PodLabels } from './pod-labels.ts';
import { listSaved, type SavedState, type StateStore } from './saved-state.ts';
import { createDraftLog, describeMissing, toResources } from './publication.ts';
import type { Outcome, Resources, Source } from './source.ts';
import { createStateKeeper } from './state-keeper.ts';

export interface KubernetesSourceOptions {
  readonly client: KubeClient;
  /** Of the pod. */
  readonly namespace: string;
  readonly labels: PodLabels;
  /** Absent: nothing is kept over a restart. */
  readonly store?: StateStore;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Milliseconds. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Changes that come within this are one; default 20 ms. */
  readonly settleMs?: number;
  /** How long a start waits for the newest before it takes what was saved; default 2 s. */
  readonly graceMs?: number;
  /**
   * How long a first start waits, with material at hand, for entries that the controller does not send; then the steps
   * that need them are 503; default 30 s.
   */
  readonly patienceMs?: number;
  readonly watch?: Partial<Timings>;
}

export interface KubernetesStatus {
  /** `live`: as the API server and the controller have it; `saved`: from before a restart; `none`: nothing is in force. */
  readonly from: 'live' | 'saved' | 'none';
  readonly watches: readonly KindStatus[];
  /** The longest time since which a kind is not watched; 0: all are. */
  readonly staleMs: number;
  /** What is named and was not sent by the controller. */
  readonly missing: readonly string[];
  readonly materialHash: string;
  readonly readyPods: number;
}

export interface KubernetesSource extends Source {
  /** From the controller’s stream. */
  takeMaterial(message: MaterialMessage): void;
  takeReadyPods(count: number): void;
  /** As the controller said last; 1 before it did. */
  readyPods(): number;
  /** Why nothing is in force: sentences that begin with a word to search for. Empty: something is. */
  problems(controllerProblem: string | undefined): readonly string[];
  status(): KubernetesStatus;
  /** Of the resources in force. */
  acknowledgement(): { readonly hash: string; readonly objects: readonly AcknowledgedObject[] };
}

interface InForce {
  readonly draft: Draft;
  readonly outcome: Outcome;
  readonly data: MaterialData;
  readonly materialHash: string;
  readonly from: 'live' | 'saved';
}

export function createKubernetesSource(options: KubernetesSourceOptions): KubernetesSource {
  const { namespace, labels, log, clock } = options;
  const { settleMs = 20, graceMs = 2000, patienceMs = 30_000 } = options;
  const collection = createObjectCollection();
  const drafter = createDrafter();
  const report = createDraftLog(log);
  const keeper = createStateKeeper(options.store, clock);
  const watches = createKindWatches({
    ...options,
    ...(options.watch === undefined ? {} : { timings: options.watch }),
    onChange(kind, objects) {
      collection.set(kind, objects);
      wake();
    },
  });
  const nothing = readMaterial(undefined, namespace);
  let saved: SavedState | undefined;
  let received: ReturnType<typeof readMaterial> | undefined;
  let receivedAt = Infinity;
  let readyPods = 1;
  let graceOver = false;
  let onChange: ((resources: Resources) => Outcome | undefined) | undefined;
  let inForce: InForce | undefined;
  /** What an earlier process had in force. */
  let recalled: Draft | undefined;
  let missing: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let grace: NodeJS.Timeout | undefined;
  let idleUntil = 0;

  /** A storm of changes must not keep the process busy: at most a fifth of the time is spent compiling. */
  function wake(): void {
    if (onChange === undefined) return;
    timer ??= setTimeout(flushSafely, Math.max(settleMs, idleUntil - clock()));
  }

  function isComplete(): boolean {
    return KIND_NAMES.every(kind => watches.isSynced(kind) || (graceOver && saved !== undefined));
  }

  /** A fault of ours in one set of objects must not end the process, which would meet it again after each restart. */
  function flushSafely(): void {
    timer = undefined;
    try {
      flush();
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'a value that is no Error was thrown';
      log.error({ problem }, 'the configuration could not be put into force; the last good one stays');
    }
  }

  function flush(): void {
    const podLabels = labels.current() ?? (graceOver ? saved?.labels : undefined);
    if (!isComplete() || podLabels === undefined) return;
    const startedAt = clock();
    const material = received ?? (graceOver ? savedMaterial() : undefined) ?? nothing;
    const before = inForce?.draft ?? recalled;
    const draft = drafter.draft({ own: collection.list(), material, namespace, labels: podLabels, inForce: before });
    ({ missing } = draft);
    if (missing.length === 0 || isPatienceOver()) publish(draft, material);
    idleUntil = clock() + Math.min(5000, (clock() - startedAt) * 4);
  }

  const savedMaterial = () => (saved?.material === undefined ? undefined : readMaterial(saved.material, namespace));
  const isPatienceOver = (): boolean => inForce === undefined && clock() - receivedAt >= patienceMs;

  function publish(draft: Draft, material: typeof nothing): void {
    const from = KIND_NAMES.every(kind => watches.isSynced(kind)) ? 'live' : 'saved';
    const materialHash = material.message?.hash ?? '';
    report(draft, inForce?.draft.hash);
    const data = mergeData(material, inForce?.data);
    const outcome = onChange?.(toResources(draft, data, namespace));
    if (outcome === undefined) return;
    const needsCarried = outcome.kept.length > 0 || draft.kept.length > 0;
    inForce = { draft, outcome, data: needsCarried ? data : material, materialHash, from };
    if (from === 'live') keeper.keep(draft, outcome, material.message);
  }

  async function recall(): Promise<void> {
    saved = await options.store?.load();
    if (saved === undefined) return;
    keeper.recall(saved);
    for (const kind of KIND_NAMES) collection.seed(kind, listSaved(saved, kind, 'good'));
    // An object whose newest generation cannot be compiled has an older one in force: the compiler must know it again.
    const own = createObjectCollection();
    for (const kind of KIND_NAMES) own.set(kind, listSaved(saved, kind, 'good'));
    // What was saved as good was in force: no gate is asked again.
    const material = withoutGate(savedMaterial() ?? nothing);
    recalled = createDrafter().draft({ own: own.list(), material, namespace, labels: saved.labels });
    onChange?.({ ...toResources(recalled, material, namespace), rehearsal: true });
  }

  function endGrace(): void {
    graceOver = true;
    if (inForce !== undefined) return;
    if (saved !== undefined) {
      const missed = KIND_NAMES.filter(kind => !watches.isSynced(kind));
      for (const kind of missed) collection.set(kind, listSaved(saved, kind, 'newest'));
      if (missed.length > 0) log.warn({ hash: saved.hash }, 'the API server is away: what was saved comes into force');
    } else if (missing.length > 0) log.warn({ missing }, 'ControllerUnavailable: waiting for what policies name');
    flushSafely();
  }

  return {
    async start(change) {
      onChange = change;
      await recall();
      labels.start(wake);
      watches.start();
      grace = setTimeout(endGrace, graceMs);
      grace.unref();
      wake();
    },
    async stop() {
      clearTimeout(timer);
      clearTimeout(grace);
      onChange = undefined;
      await Promise.all([watches.stop(), labels.stop(), keeper.settle()]);
    },
    takeMaterial(message) {
      if (received === undefined) {
        receivedAt = clock();
        setTimeout(wake, patienceMs).unref();
      }
      received = readMaterial(message, namespace);
      wake();
    },
    takeReadyPods: count => void (readyPods = count),
    readyPods: () => readyPods,
    problems(controllerProblem) {
      if (inForce !== undefined) return [];
      const podProblem = labels.problem();
      const away = watches.status().filter(({ kind }) => !watches.isSynced(kind));
      const problems = [
        ...(podProblem === undefined || labels.current() !== undefined ? [] : [`PodLabelsMissing: ${podProblem}`]),
        ...away.map(({ kind, problem }) => `ApiServerUnavailable: ${kind}: ${problem ?? 'not listed yet'}`),
        ...(missing.length === 0 ? [] : [describeMissing(missing, controllerProblem)]),
      ];
      return problems.length > 0 ? problems : ['the configuration is being read'];
    },
    status: () => ({
      from: inForce?.from ?? 'none',
      watches: watches.status(),
      staleMs: Math.max(...watches.status().map(({ staleMs }) => staleMs)),
      missing,
      materialHash: inForce?.materialHash ?? '',
      readyPods,
    }),
    acknowledgement: () =>
      inForce === undefined
        ? { hash: '', objects: [] }
        : { hash: inForce.materialHash, objects: acknowledgeObjects(inForce.draft, inForce.outcome) },
  };
}
