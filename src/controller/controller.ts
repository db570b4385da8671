/**
 * controller: floor 3. What a cluster has once: conditions, material for sidecars, mesh certificates, grants. Every replica
 * serves material; the one that leads writes.
 *
 * This file puts the parts together: what is known (knowledge.ts), what is served (material-service.ts), what the leader
 * does (leadership.ts).
 */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { createAcknowledgementRegistry } from './acknowledgement-registry.ts';
import { createAuthenticator } from './bearer.ts';
import { checkAmongOthers } from './check-among-others.ts';
import { createClientPool } from './client-pool.ts';
import type { WatchDependencies } from './cluster-watches.ts';
import type { ControllerOptions } from './controller-options.ts';
import { createKnowledge, isEntitled } from './knowledge.ts';
import { createLeadership } from './leadership.ts';
import { createElection } from './lease.ts';
import { createMaterialService } from './material-service.ts';
import { MESH_CA_TIMINGS } from './mesh-ca.ts';
import { createMeshCaKeeper } from './mesh-ca-keeper.ts';
import { issueForPod } from './mesh-issue.ts';
import type { Model } from './model.ts';

export type { ControllerOptions, ControllerTimings } from './controller-options.ts';

export interface Controller {
  /** Watches, serves, and then takes part in the election; resolves when everything was read once. */
  start(): Promise<{ readonly port: number }>;
  isReady(): boolean;
  leads(): boolean;
  readonly model: Model;
  /** What is wrong with an object in view of those that exist; for large namespaces nothing is said. */
  checkAmongOthers(object: SallyportObject): readonly Violation[];
  /** Gauges that only a moment can tell. */
  refreshMetrics(): void;
  /** Gives the lease back and ends the streams with a hint when to come back. */
  stop(): Promise<void>;
}

const LEASE = 'sallyport-controller';
const SWEEP_MS = 5000;

export function createController(options: ControllerOptions): Controller {
  const { namespace, log, metrics, clock, random, randomBytes, timings = {} } = options;
  const client = options.openClient();
  // The lease must not wait behind anything else.
  const leaseClient = options.openClient();
  const clients = createClientPool(options.openClient);
  const deps: WatchDependencies = { clients, log, metrics, clock, random };
  const leads = (): boolean => election.leads();
  const complain = (error: unknown, at: string, what: string): void =>
    log.error({ namespace: at, problem: error instanceof Error ? error.message : 'failed' }, what);
  const common = { ...deps, controller: options, client, leads, complain };
  let sweeping: NodeJS.Timeout | undefined;

  const knowledge = createKnowledge({ ...common, onChange: changed => leadership.mark(changed) });
  const { model, data, hub } = knowledge;
  const registry = createAcknowledgementRegistry({ clock });
  const { given, timings: caTimings = MESH_CA_TIMINGS } = options.meshCa ?? {};
  const meshCa = createMeshCaKeeper({
    ...{ ...deps, client, namespace, leads, randomBytes, timings: caTimings },
    ...(given === undefined ? {} : { given }),
    onChange: () => leadership.refreshMesh(),
  });
  const leadership = createLeadership({ ...common, knowledge, registry, meshCa: () => meshCa.current() });
  const election = createElection({
    ...{ client: leaseClient, namespace, name: LEASE, log, clock, random },
    identity: `${options.podName}_${Buffer.from(randomBytes(4)).toString('hex')}`,
    onLead: () => {
      metrics.gauge('sallyport_controller_leader', 1);
      leadership.lead();
      meshCa.tend();
    },
    onLose: () => {
      metrics.gauge('sallyport_controller_leader', 0);
      leadership.lose();
    },
    ...(timings.lease === undefined ? {} : { timings: timings.lease }),
  });
  const service = createMaterialService({
    ...options.listen,
    ...{ tls: options.tls, hub, registry, log, metrics, random },
    authenticator: createAuthenticator({ client, log, metrics, clock }),
    own: { namespace, serviceAccount: options.serviceAccount },
    findPod: (...about) => knowledge.findPod(...about),
    isEntitled: pod => isEntitled(model.population.findPod(pod.namespace, pod.uid)),
    issue: (csr, pod, credential) =>
      issueForPod(csr, pod, credential, {
        ...{ ca: meshCa.current(), trustDomain: options.trustDomain, now: clock(), random: randomBytes },
        find: id => model.objects.find(id),
      }),
    isReady: () => knowledge.isSynced(),
    ...(timings.stream === undefined ? {} : { timings: timings.stream }),
  });
  registry.subscribe(uid => leadership.markPod(uid));

  return {
    model,
    leads,
    isReady: () => knowledge.isSynced(),
    checkAmongOthers: object => (knowledge.isSynced() ? checkAmongOthers(object, model, data) : []),
    refreshMetrics: () => leadership.refreshMetrics(service.streams()),
    async start() {
      metrics.gauge('sallyport_controller_leader', 0);
      const { port } = await service.start();
      meshCa.start();
      leadership.start();
      await Promise.all([knowledge.start(), meshCa.synced]);
      log.info({ objects: [...model.objects.all()].length }, 'everything was read');
      // One that cannot read everything must not keep others from leading.
      election.start();
      sweeping = setInterval(() => {
        registry.sweep();
        leadership.sweep();
      }, SWEEP_MS);
      return { port };
    },
    async stop() {
      clearInterval(sweeping);
      // First what is written, then the lease: two that write would undo each other's work.
      await leadership.stop();
      await election.stop();
      await service.stop();
      await Promise.all([knowledge.stop(), meshCa.stop()]);
      await Promise.all([client.close(), leaseClient.close(), clients.close()]);
    },
  };
}
