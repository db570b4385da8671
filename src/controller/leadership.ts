/** What the replica does that leads: conditions, grants, Events, what admission policies allow. */
import type { KubeClient } from '../kube/client.ts';
import type { AcknowledgementRegistry } from './acknowledgement-registry.ts';
import { FORGET_MS } from './acknowledgement-registry.ts';
import { createAllowanceKeeper } from './allowance-keeper.ts';
import type { WatchDependencies } from './cluster-watches.ts';
import type { ControllerOptions } from './controller-options.ts';
import { createEvents } from './events.ts';
import { createGrantKeeper } from './grant-keeper.ts';
import type { Knowledge } from './knowledge.ts';
import { bundleOf, type MeshCa } from './mesh-ca.ts';
import { readCertificate } from './named-data.ts';
import { createReplicaFinder } from './replica-finder.ts';
import { createReporter } from './reporter.ts';
import { createReplicas, mergeStates } from './replicas.ts';
import { createStatusWriter } from './status-writer.ts';
import type { MeshFacts } from './supporting-status.ts';
import { createWorkbench } from './workbench.ts';

export interface Leadership {
  start(): void;
  /** This replica leads from now on. */
  lead(): void;
  lose(): void;
  /** These namespaces changed; undefined: all. */
  mark(namespaces?: ReadonlySet<string>): void;
  /** The mesh CA changed. */
  refreshMesh(): void;
  /** A pod of this replica’s streams said something else. */
  markPod(uid: string): void;
  /** Forgets pods that are silent for too long, and allowances that ended. */
  sweep(): void;
  refreshMetrics(streams: number): void;
  stop(): Promise<void>;
}

export interface LeadershipOptions extends WatchDependencies {
  readonly controller: ControllerOptions;
  readonly client: KubeClient;
  readonly knowledge: Knowledge;
  readonly registry: AcknowledgementRegistry;
  readonly meshCa: () => MeshCa | undefined;
  readonly leads: () => boolean;
  readonly complain: (error: unknown, namespace: string, what: string) => void;
}

export function createLeadership(options: LeadershipOptions): Leadership {
  const { controller, client, knowledge, registry, leads, log, metrics, clock, random, complain } = options;
  const { model, evaluation, tests, gate, data } = knowledge;
  const { namespace, podName, parameters, timings = {} } = controller;
  const replicas = createReplicas({
    serverName: `${controller.service}.${namespace}.svc`,
    ca: () => Promise.resolve(controller.rootCa()),
    token: controller.token,
    onChange: markPod,
    ...{ log, clock, random },
  });
  const finder = createReplicaFinder({
    ...options,
    onChange: addresses => {
      if (leads()) replicas.follow(addresses);
    },
  });
  const grants = createGrantKeeper({
    ...options,
    wanted: () => {
      if (!leads() || !knowledge.isSynced()) return undefined;
      const ca = options.meshCa();
      return { namespaces: model.population.optedIn(), meshBundle: ca === undefined ? undefined : bundleOf(ca) };
    },
  });
  const events = createEvents({ client, instance: podName, log, clock });
  const reporter = createReporter({ model, events, metrics, image: controller.image, clock });
  const writer = createStatusWriter({
    ...{ client, log, metrics, clock, random },
    find: id => model.objects.find(id),
    ...(timings.statusIntervalMs === undefined ? {} : { minIntervalMs: timings.statusIntervalMs }),
  });
  const workbench = createWorkbench({
    ...{ model, evaluation },
    context: () => ({ states: mergeStates(registry.states(), replicas.states()), mesh: describeMesh() }),
    tested: at => ({
      heldBy: gate.heldBy(at),
      tests: tests.resultOf(at),
      describeGate: test => gate.describe(test),
    }),
    want: (object, status) => {
      reporter.judged(object, status);
      writer.want(object, status);
    },
    onFault: (at, error) => complain(error, at, 'cannot judge'),
    onRound: states => reporter.round(states),
    ...(timings.settleMs === undefined ? {} : { settleMs: timings.settleMs }),
  });
  const allowances =
    parameters === undefined ? undefined : createAllowanceKeeper({ model, parameters, leads, clock, log });

  function markPod(uid: string): void {
    if (!leads()) return;
    const pod = model.population.findByUid(uid);
    if (pod !== undefined) workbench.mark(new Set([pod.namespace]));
  }

  function describeMesh(): MeshFacts {
    const { trustDomain } = controller;
    const pem = options.meshCa()?.signing.certificate;
    const ca = pem === undefined ? undefined : readCertificate(Buffer.from(pem));
    return { trustDomain, ...(ca === undefined ? {} : { ca }) };
  }

  return {
    start() {
      finder.start();
      grants.start();
    },
    lead() {
      writer.holdUntil(clock() + (timings.graceMs ?? FORGET_MS));
      replicas.follow(finder.addresses());
      writer.resume();
      workbench.start();
      tests.start();
      gate.settleAll();
      grants.refresh();
      allowances?.refresh();
    },
    lose() {
      replicas.follow([]);
      tests.stop();
      workbench.stop();
      writer.pause();
    },
    mark(namespaces) {
      workbench.mark(namespaces);
      grants.refresh();
      allowances?.refresh();
    },
    refreshMesh() {
      grants.refresh();
      workbench.mark();
    },
    markPod,
    sweep() {
      replicas.sweep();
      allowances?.refresh();
      if (leads() && knowledge.isSynced()) reporter.lookAtAllowances();
      grants.refresh();
      gate.settleAll();
    },
    refreshMetrics: streams => reporter.refresh({ streams, data, meshCa: options.meshCa() }),
    async stop() {
      workbench.stop();
      await writer.stop();
      await Promise.all([replicas.stop(), finder.stop(), grants.stop()]);
    },
  };
}
