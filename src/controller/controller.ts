/**
 * controller: floor 3. What a cluster has once: conditions, material for sidecars, mesh certificates, grants. Every replica
 * serves material; the one that leads writes.
 *
 * This file puts the parts together.
 */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ListWatch } from '../kube/list-watch.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createAcknowledgementRegistry, FORGET_MS } from './acknowledgement-registry.ts';
import { createAllowanceKeeper } from './allowance-keeper.ts';
import type { AdmissionParameters } from '../injector/admission-parameters.ts';
import { createAuthenticator } from './bearer.ts';
import { checkAmongOthers } from './check-among-others.ts';
import { createClientPool } from './client-pool.ts';
import { createClusterWatches, watchCollection, type WatchDependencies } from './cluster-watches.ts';
import type { Finding } from './conditions.ts';
import { createEvaluation } from './evaluation.ts';
import { createEvents } from './events.ts';
import { createGateKeeper } from './gate-keeper.ts';
import { createGates } from './gates.ts';
import { createGrantKeeper } from './grant-keeper.ts';
import { createElection, type LeaseTimings } from './lease.ts';
import { createMaterialDesk } from './material-desk.ts';
import { createMaterialHub } from './material-hub.ts';
import { createMaterialService, type ServingCertificate } from './material-service.ts';
import type { StreamTimings } from './material-stream.ts';
import { bundleOf, MESH_CA_TIMINGS, type MeshCaTimings } from './mesh-ca.ts';
import { createMeshCaKeeper } from './mesh-ca-keeper.ts';
import { createModel, type Model } from './model.ts';
import { readCertificate, type NamedData } from './named-data.ts';
import { createNamedDataCache } from './named-data-cache.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import { readPod, type PodFacts, type VerifySidecar } from './pods.ts';
import { createReporter } from './reporter.ts';
import { createReplicas, listReplicaAddresses, mergeStates } from './replicas.ts';
import { issueForPod } from './mesh-issue.ts';
import { createStatusWriter } from './status-writer.ts';
import type { MeshFacts } from './supporting-status.ts';
import { createTestBench } from './test-bench.ts';
import { judgeTests } from './test-findings.ts';
import { createWorkbench } from './workbench.ts';

export interface ControllerOptions {
  /** A connection to the API server as the controller's service account; called several times. */
  readonly openClient: () => KubeClient;
  readonly namespace: string;
  readonly podName: string;
  readonly serviceAccount: string;
  /** Name of the Service, whose EndpointSlices name the replicas and whose name stands in their certificates. */
  readonly service: string;
  readonly trustDomain: string;
  readonly requireLabel: boolean;
  /** Namespaces that are never injected nor granted anything. */
  readonly excluded: ReadonlySet<string>;
  readonly verify: VerifySidecar;
  /** Image of sidecars that are injected now. */
  readonly image: string;
  readonly meshCa?: { readonly given?: string; readonly timings?: MeshCaTimings };
  readonly checkData: (objects: readonly KnownObject[], data: NamedData) => readonly Violation[];
  /** Absent: no admission policy asks what is allowed. */
  readonly parameters?: Pick<AdmissionParameters, 'allow'>;
  readonly tls: ServingCertificate;
  /** PEM of the roots by which replicas know each other. */
  readonly rootCa: () => string;
  /** Of the controller's own service account, with the audience of sidecars. */
  readonly token: () => Promise<string>;
  readonly listen: { readonly host: string; readonly port: number };
  /** How a replica of that address is dialled, where it is not the address itself (tests without a pod network). */
  readonly dialReplica?: (address: string) => string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly timings?: ControllerTimings;
}

export interface ControllerTimings {
  readonly lease?: LeaseTimings;
  readonly stream?: StreamTimings;
  /** Of conditions after a change. */
  readonly settleMs?: number;
  readonly statusIntervalMs?: number;
  /** How long a new leader does not lower counts. */
  readonly graceMs?: number;
}

export interface Controller {
  /** Watches, serves and takes part in the election; resolves when everything was read once. */
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
const MATERIAL_SETTLE_MS = 30;
const SWEEP_MS = 5000;
const SETTLE_MS = 10_000;

export function createController(options: ControllerOptions): Controller {
  const { namespace, log, metrics, clock, random, requireLabel, timings = {} } = options;
  const client = options.openClient();
  const clients = createClientPool(options.openClient);
  const deps: WatchDependencies = { clients, log, metrics, clock, random };
  let synced = false;
  let pending: ReadonlySet<string> | undefined | 'nothing' = 'nothing';
  let settling: NodeJS.Timeout | undefined;
  let sweeping: NodeJS.Timeout | undefined;

  const model = createModel({ excluded: options.excluded, clock, onChange: changed => gather(changed) });
  const data = createNamedDataCache({
    ...{ client: clients.take().client, log, metrics, clock, random },
    onChange: (kind, key) => model.touchData(kind, key),
  });
  const evaluation = createEvaluation({
    model,
    data,
    requireLabel,
    checkData: objects => options.checkData(objects, data),
  });
  const desk = createMaterialDesk({ model, data, evaluation, requireLabel, gate: at => gates.stateOf(at) });
  const complain = (error: unknown, where: string, what: string): void =>
    log.error({ namespace: where, problem: error instanceof Error ? error.message : 'failed' }, what);
  const hub = createMaterialHub({
    describe: pod => desk.describe(pod),
    onFault: (pod, error) => complain(error, pod.namespace, 'cannot make material'),
  });
  const bench = createTestBench({
    ...{ model, data, clock },
    onVerdict: at => refreshGate(at),
    onFault: (at, error) => complain(error, at, 'cannot run policy tests'),
  });
  const gateKeeper = createGateKeeper({
    ...deps,
    ...{ client, namespace, leads: () => election.leads() },
    onChange: at => refreshGate(at),
  });
  const gates = createGates({
    bench,
    kept: at => gateKeeper.kept(at),
    isGated: at =>
      model
        .objectsFor(at)
        .some(({ parsed, namespace: of }) => of === at && parsed?.kind === 'PolicyTest' && parsed.spec.gate),
  });
  const registry = createAcknowledgementRegistry({ clock });
  const watches = createClusterWatches({ ...deps, model, verify: options.verify });
  const meshCa = createMeshCaKeeper({
    ...deps,
    client,
    namespace,
    timings: options.meshCa?.timings ?? MESH_CA_TIMINGS,
    ...(options.meshCa?.given === undefined ? {} : { given: options.meshCa.given }),
    leads: () => election.leads(),
    onChange: () => {
      grants.refresh();
      workbench.mark();
    },
    randomBytes: options.randomBytes,
  });
  const replicas = createReplicas({
    serverName: `${options.service}.${namespace}.svc`,
    ca: () => Promise.resolve(options.rootCa()),
    token: options.token,
    onChange: uid => markPod(uid),
    ...{ log, clock, random },
  });
  const slices: ListWatch = watchCollection<KubeObject>(deps, {
    path: resourcePath({ group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices', namespace }),
    query: { labelSelector: `kubernetes.io/service-name=${options.service}` },
    onChange: listed => {
      const { dialReplica = (address: string) => address } = options;
      addresses = listReplicaAddresses(listed.values(), options.podName).map(dialReplica);
      if (election.leads()) replicas.follow(addresses);
    },
  });
  let addresses: readonly string[] = [];
  const grants = createGrantKeeper({
    ...deps,
    client,
    wanted: () => {
      if (!election.leads() || !synced) return undefined;
      const ca = meshCa.current();
      return { namespaces: model.population.optedIn(), meshBundle: ca === undefined ? undefined : bundleOf(ca) };
    },
  });
  const events = createEvents({ client, instance: options.podName, log, clock });
  const reporter = createReporter({ model, events, metrics, image: options.image });
  const writer = createStatusWriter({
    ...{ client, log, metrics, clock, random },
    find: id => model.objects.find(id),
    ...(timings.statusIntervalMs === undefined ? {} : { minIntervalMs: timings.statusIntervalMs }),
  });
  const workbench = createWorkbench({
    model,
    evaluation,
    context: at => {
      const verdict = bench.verdictOf(at);
      const heldBy = gates.stateOf(at)?.heldBy ?? new Map<string, string>();
      const tests = verdict === undefined ? new Map<string, Finding>() : judgeTests(verdict);
      return { states: collectStates(), mesh: describeMesh(), heldBy, tests };
    },
    want: (object, status) => {
      reporter.judged(object, status);
      writer.want(object, status);
    },
    onFault: (where, error) => complain(error, where, 'cannot judge'),
    onRound: () => reporter.round(),
    ...(timings.settleMs === undefined ? {} : { settleMs: timings.settleMs }),
  });
  const election = createElection({
    ...{ client: options.openClient(), namespace, name: LEASE, log, clock, random },
    identity: `${options.podName}_${Buffer.from(options.randomBytes(4)).toString('hex')}`,
    onLead: lead,
    onLose: lose,
    ...(timings.lease === undefined ? {} : { timings: timings.lease }),
  });
  const service = createMaterialService({
    ...options.listen,
    ...{ tls: options.tls, hub, registry, log, metrics, random },
    authenticator: createAuthenticator({ client, log, metrics, clock }),
    own: { namespace, serviceAccount: options.serviceAccount },
    findPod,
    isEntitled: ({ namespace: at, uid }) => isEntitled(model.population.findPod(at, uid)),
    issue: (csr, pod, credential) =>
      issueForPod(csr, pod, credential, {
        ca: meshCa.current(),
        trustDomain: options.trustDomain,
        find: id => model.objects.find(id),
        now: clock(),
        random: options.randomBytes,
      }),
    isReady: () => synced,
    ...(timings.stream === undefined ? {} : { timings: timings.stream }),
  });
  registry.subscribe(uid => markPod(uid));
  const allowances =
    options.parameters === undefined
      ? undefined
      : createAllowanceKeeper({ model, parameters: options.parameters, leads: () => election.leads(), clock, log });

  /** Changes of a moment go together, to streams first. */
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
    if (!synced) return;
    hub.refresh(changed);
    workbench.mark(changed);
    grants.refresh();
    allowances?.refresh();
  }

  function refreshGate(at: string): void {
    gates.refresh(at);
    const changed = new Set([at]);
    desk.forget(changed);
    gateKeeper.keep(at, gates.stateOf(at)?.passed ?? new Map());
    if (!synced) return;
    hub.refresh(changed);
    workbench.mark(changed);
  }

  async function findPod(at: string, name: string, uid: string): Promise<PodFacts | undefined> {
    const known = model.population.findPod(at, uid);
    if (known !== undefined) return known;
    // A pod that was made a moment ago may ask before the watch has told of it.
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: at, name });
    const raw = await readObject<KubeObject>(client, path);
    if (raw?.metadata.uid !== uid) return undefined;
    const pod = readPod(raw, options.verify);
    if (isEntitled(pod)) model.admitPod(pod);
    return pod;
  }

  function markPod(uid: string): void {
    if (!election.leads()) return;
    const pod = model.population.findByUid(uid);
    if (pod !== undefined) workbench.mark(new Set([pod.namespace]));
  }

  const collectStates = (): PodStates => mergeStates(registry.states(), replicas.states());

  function describeMesh(): MeshFacts {
    const { trustDomain } = options;
    const pem = meshCa.current()?.signing.certificate;
    const ca = pem === undefined ? undefined : readCertificate(Buffer.from(pem));
    return { trustDomain, ...(ca === undefined ? {} : { ca }) };
  }

  function lead(): void {
    metrics.gauge('sallyport_controller_leader', 1);
    writer.holdUntil(clock() + (timings.graceMs ?? FORGET_MS));
    replicas.follow(addresses);
    meshCa.tend();
    if (!synced) return;
    writer.resume();
    workbench.start();
    grants.refresh();
  }

  function lose(): void {
    metrics.gauge('sallyport_controller_leader', 0);
    replicas.follow([]);
    workbench.stop();
    writer.pause();
  }

  function sweep(): void {
    registry.sweep();
    replicas.sweep();
    allowances?.refresh();
  }

  return {
    model,
    isReady: () => synced,
    leads: () => election.leads(),
    checkAmongOthers: object => (synced ? checkAmongOthers(object, model, data) : []),
    refreshMetrics: () => reporter.refresh({ streams: service.streams(), data, meshCa: meshCa.current() }),
    async start() {
      metrics.gauge('sallyport_controller_leader', 0);
      const { port } = await service.start();
      for (const part of [data, watches, meshCa, gateKeeper, slices, grants, election]) part.start();
      await Promise.all([data.synced, watches.synced, meshCa.synced, gateKeeper.synced]);
      settle();
      await watches.podsSynced();
      await data.settled(SETTLE_MS);
      synced = true;
      log.info({ objects: [...model.objects.all()].length }, 'everything was read');
      desk.forget();
      hub.refresh();
      if (election.leads()) lead();
      sweeping = setInterval(sweep, SWEEP_MS);
      return { port };
    },
    async stop() {
      clearTimeout(settling);
      clearInterval(sweeping);
      workbench.stop();
      bench.stop();
      await writer.stop();
      await election.stop();
      await service.stop();
      const parts = [replicas, slices, grants, meshCa, gateKeeper, data, watches];
      await Promise.all(parts.map(part => part.stop()));
      await Promise.all([client.close(), clients.close()]);
    },
  };
}

const isEntitled = (pod: PodFacts | undefined): boolean => pod?.live === true && pod.sidecar.state === 'Protected';
