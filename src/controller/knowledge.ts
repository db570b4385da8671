/** What every replica knows and hands out: the cluster as it was read, its tests and gates, and the material of its pods. */
import type { KubeClient } from '../kube/client.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';
import { createClusterWatches, type WatchDependencies } from './cluster-watches.ts';
import type { ControllerOptions } from './controller-options.ts';
import { createEvaluation, type Evaluation } from './evaluation.ts';
import { createGateKeeper } from './gate-keeper.ts';
import { createGates, type Gates } from './gates.ts';
import { createMaterialDesk } from './material-desk.ts';
import { createMaterialHub, type MaterialHub } from './material-hub.ts';
import { createModel, type Model } from './model.ts';
import type { NamedData } from './named-data.ts';
import { createNamedDataCache } from './named-data-cache.ts';
import { readPod, type PodFacts } from './pods.ts';
import { createTestBench, type TestBench } from './test-bench.ts';

export interface Knowledge {
  readonly model: Model;
  readonly data: NamedData;
  readonly evaluation: Evaluation;
  readonly bench: Pick<TestBench, 'verdictOf'>;
  readonly gates: Pick<Gates, 'stateOf'>;
  readonly hub: MaterialHub;
  /** Everything was read once. */
  isSynced(): boolean;
  /** The pod as it is known, or read now; undefined: there is no such pod. */
  findPod(namespace: string, name: string, uid: string): Promise<PodFacts | undefined>;
  /** Resolves when everything was read once. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface KnowledgeOptions extends WatchDependencies {
  readonly controller: ControllerOptions;
  readonly client: KubeClient;
  readonly leads: () => boolean;
  /** After everything was read once: these namespaces changed; undefined: all. */
  readonly onChange: (namespaces?: ReadonlySet<string>) => void;
  readonly complain: (error: unknown, namespace: string, what: string) => void;
}

const MATERIAL_SETTLE_MS = 30;
const SETTLE_MS = 10_000;

export function createKnowledge(options: KnowledgeOptions): Knowledge {
  const { controller, client, clients, leads, complain, clock } = options;
  const { requireLabel, verify } = controller;
  let synced = false;
  let pending: ReadonlySet<string> | undefined | 'nothing' = 'nothing';
  let settling: NodeJS.Timeout | undefined;

  const model = createModel({ excluded: controller.excluded, clock, onChange: changed => gather(changed) });
  const data = createNamedDataCache({
    ...options,
    client: clients.take().client,
    onChange: (kind, key) => model.touchData(kind, key),
  });
  const checkData: Parameters<typeof createEvaluation>[0]['checkData'] = objects => controller.checkData(objects, data);
  const evaluation = createEvaluation({ model, data, requireLabel, checkData });
  const bench = createTestBench({
    ...{ model, data, clock },
    onVerdict: at => refreshGate(at),
    onFault: (at, error) => complain(error, at, 'cannot run policy tests'),
  });
  const keeper = createGateKeeper({
    ...options,
    namespace: controller.namespace,
    onChange: at => refreshGate(at),
  });
  const gates = createGates({ bench, kept: at => keeper.kept(at), isGated: at => isGated(model, at) });
  const desk = createMaterialDesk({ model, data, evaluation, requireLabel, gate: at => gates.stateOf(at) });
  const hub = createMaterialHub({
    describe: pod => desk.describe(pod),
    onFault: (pod, error) => complain(error, pod.namespace, 'cannot make material'),
  });
  const watches = createClusterWatches({ ...options, model, verify });

  /** Changes of a moment go together. */
  function gather(changed?: ReadonlySet<string>): void {
    if (changed === undefined || pending === undefined) pending = undefined;
    else pending = new Set([...(pending === 'nothing' ? [] : pending), ...changed]);
    settling ??= setTimeout(settle, MATERIAL_SETTLE_MS);
  }

  function settle(): void {
    settling = undefined;
    const changed = pending === 'nothing' ? new Set<string>() : pending;
    pending = 'nothing';
    data.want(model.objects.wantedData());
    watches.followPods(model.watched());
    desk.forget(changed);
    bench.refresh(changed);
    tell(changed);
  }

  function refreshGate(namespace: string): void {
    gates.refresh(namespace);
    const changed = new Set([namespace]);
    desk.forget(changed);
    if (leads()) keeper.keep(namespace, gates.stateOf(namespace)?.passed ?? new Map());
    tell(changed);
  }

  /** Streams first, conditions later. */
  function tell(changed?: ReadonlySet<string>): void {
    if (!synced) return;
    hub.refresh(changed);
    options.onChange(changed);
  }

  return {
    ...{ model, data, evaluation, bench, gates, hub },
    isSynced: () => synced,
    async findPod(namespace, name, uid) {
      const known = model.population.findPod(namespace, uid);
      if (known !== undefined) return known;
      // A pod that was made a moment ago may ask before the watch has told of it.
      const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace, name });
      const raw = await readObject<KubeObject>(client, path);
      if (raw?.metadata.uid !== uid) return undefined;
      const pod = readPod(raw, verify);
      if (isEntitled(pod)) model.admitPod(pod);
      return pod;
    },
    async start() {
      for (const part of [data, watches, keeper]) part.start();
      await Promise.all([data.synced, watches.synced, keeper.synced]);
      settle();
      await watches.podsSynced();
      await data.settled(SETTLE_MS);
      synced = true;
      desk.forget();
      tell();
    },
    async stop() {
      clearTimeout(settling);
      bench.stop();
      await Promise.all([keeper.stop(), data.stop(), watches.stop()]);
    },
  };
}

/** It lives, and carries our sidecar. */
export const isEntitled = (pod: PodFacts | undefined): boolean =>
  pod?.live === true && pod.sidecar.state === 'Protected';

const isGated = (model: Model, namespace: string): boolean =>
  model
    .objectsFor(namespace)
    .some(object => object.namespace === namespace && object.parsed?.kind === 'PolicyTest' && object.parsed.spec.gate);
