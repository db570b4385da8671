/** What every replica knows and hands out: the cluster as it was read, its tests and gates, and the material of its pods. */
import type { KubeClient } from '../kube/client.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';
import { createClusterWatches, type WatchDependencies } from './cluster-watches.ts';
import type { ControllerOptions } from './controller-options.ts';
import { createEvaluation, type Evaluation } from './evaluation.ts';
import { createMaterialDesk } from './material-desk.ts';
import { createMaterialHub, type MaterialHub } from './material-hub.ts';
import { createModel, type Model } from './model.ts';
import type { NamedData } from './named-data.ts';
import { createNamedDataCache } from './named-data-cache.ts';
import { createPassedPolicies } from './passed-policies.ts';
import { readPod, type PodFacts } from './pods.ts';
import { createPolicyGate, type PolicyGate } from './policy-gate.ts';
import { createPolicyTestRuns, type PolicyTestRuns } from './policy-test-runs.ts';

export interface Knowledge {
  readonly model: Model;
  readonly data: NamedData;
  readonly evaluation: Evaluation;
  /** Run by the leader. */
  readonly tests: Pick<PolicyTestRuns, 'start' | 'stop' | 'resultOf'>;
  readonly gate: PolicyGate;
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
  const passed = createPassedPolicies({
    ...options,
    namespace: controller.namespace,
    onChange: changed => gather(changed),
  });
  const { settleMs } = controller.timings ?? {};
  const tests = createPolicyTestRuns({
    ...{ model, data, clock },
    onResult(at) {
      gate.settle(at);
      tell(new Set([at]));
    },
    onFault: (at, error) => complain(error, at, 'cannot run policy tests'),
    ...(settleMs === undefined ? {} : { settleMs }),
  });
  const gate = createPolicyGate({ model, passed, runs: tests, leads, log: options.log });
  const evaluation = createEvaluation({
    ...{ model, data, requireLabel, checkData },
    passed: at => {
      const set = gate.gateOf(at) === undefined ? undefined : passed.find(at);
      return set === undefined ? { version: '', objects: [] } : { version: passed.version(at), objects: set.objects };
    },
  });
  const desk = createMaterialDesk({ model, data, evaluation, requireLabel, gate: at => gate.gateOf(at) });
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
    // What gates keep in force names Secrets and ConfigMaps too.
    data.want(model.objects.wantedData([...passed.namespaces()].flatMap(at => passed.find(at)?.objects ?? [])));
    watches.followPods(model.watched());
    desk.forget(changed);
    tests.mark(changed);
    for (const at of changed ?? []) gate.settle(at);
    tell(changed);
  }

  /** Streams first, conditions later. */
  function tell(changed?: ReadonlySet<string>): void {
    if (!synced) return;
    hub.refresh(changed);
    options.onChange(changed);
  }

  return {
    ...{ model, data, evaluation, tests, gate, hub },
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
      for (const part of [data, watches, passed]) part.start();
      await Promise.all([data.synced, watches.synced, passed.synced]);
      settle();
      await watches.podsSynced();
      await data.settled(SETTLE_MS);
      synced = true;
      desk.forget();
      tell();
    },
    async stop() {
      clearTimeout(settling);
      tests.stop();
      await Promise.all([passed.stop(), data.stop(), watches.stop()]);
    },
  };
}

/** It lives, and carries our sidecar. */
export const isEntitled = (pod: PodFacts | undefined): boolean =>
  pod?.live === true && pod.sidecar.state === 'Protected';
