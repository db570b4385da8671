/**
 * Leader election by a Lease, as other controllers of Kubernetes do it (client-go tools/leaderelection): whoever renewed it
 * last leads; it may be taken when nobody renewed it for as long as it says, by the taker's own clock since it saw the last
 * change, so that clocks of different machines need not agree.
 */
import { pause } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { createObject, readObject, replaceObject } from '../kube/writes.ts';
import type { Log } from '../telemetry/telemetry.ts';

export interface LeaseTimings {
  /** Others wait so long after the last renewal. */
  readonly durationMs: number;
  /** A leader that could not renew for so long stops leading; shorter than durationMs. */
  readonly deadlineMs: number;
  readonly retryMs: number;
}

export const LEASE_TIMINGS: LeaseTimings = { durationMs: 15_000, deadlineMs: 10_000, retryMs: 2000 };

export interface ElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates: the pod's name and something random. */
  readonly identity: string;
  readonly onLead: () => void;
  /** It no longer leads: what it does as leader must end now. */
  readonly onLose: () => void;
  readonly log: Log;
  /** Milliseconds. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly timings?: LeaseTimings;
}

export interface Election {
  start(): void;
  leads(): boolean;
  /** Gives the lease back, so that another replica leads at once. */
  stop(): Promise<void>;
}

interface Lease extends KubeObject {
  readonly spec?: LeaseSpec;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export function createElection(options: ElectionOptions): Election {
  const { client, namespace, name, identity, log, clock, random, timings = LEASE_TIMINGS } = options;
  const address = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', namespace };
  const path = resourcePath({ ...address, name });
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let isLeader = false;
  let renewedAt = 0;
  let seen = '';
  let seenAt = 0;
  let problem = '';
  let deadline: NodeJS.Timeout | undefined;

  function lead(startedAt: number): void {
    const left = timings.deadlineMs - (clock() - startedAt);
    // The answer took so long that others may count it as ended soon.
    if (left <= 0) return lose();
    renewedAt = startedAt;
    clearTimeout(deadline);
    deadline = setTimeout(lose, left);
    if (isLeader) return;
    isLeader = true;
    log.info({ identity }, 'leading');
    options.onLead();
  }

  function lose(): void {
    clearTimeout(deadline);
    if (!isLeader) return;
    isLeader = false;
    log.warn({ identity }, 'no longer leading');
    options.onLose();
  }

  /** Whether the lease as it stands may be taken. */
  function isFree({ metadata, spec = {} }: Lease): boolean {
    const version = metadata.resourceVersion ?? '';
    if (version !== seen) [seen, seenAt] = [version, clock()];
    const { holderIdentity = '', leaseDurationSeconds = 0 } = spec;
    if (holderIdentity === '' || holderIdentity === identity) return true;
    return clock() - seenAt > leaseDurationSeconds * 1000;
  }

  function describe(before: LeaseSpec | undefined): LeaseSpec {
    const now = formatMicroTime(clock());
    const isOwn = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timings.durationMs / 1000),
      renewTime: now,
      acquireTime: isOwn ? (before.acquireTime ?? now) : now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (isOwn || before === undefined ? 0 : 1),
    };
  }

  async function tryOnce(): Promise<void> {
    const startedAt = clock();
    const lease = await readObject<Lease>(client, path);
    const kind = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    if (lease === undefined) {
      await createObject(client, resourcePath(address), {
        ...kind,
        metadata: { name, namespace },
        spec: describe(undefined),
      });
    } else {
      if (!isFree(lease)) return lose();
      await replaceObject(client, path, { ...kind, metadata: lease.metadata, spec: describe(lease.spec) });
    }
    // Renewed at the latest when the request began: the others count from when they see it.
    if (!stopping.signal.aborted) lead(startedAt);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await tryOnce();
        problem = '';
      } catch (error) {
        // Somebody else was faster: it leads, or will be asked again.
        if (!(error instanceof KubeError && error.status === 409)) complain(error);
      }
      await pause(timings.retryMs * (0.75 + random() / 2), stopping.signal);
    }
  }

  function complain(error: unknown): void {
    const text = error instanceof Error ? error.message : 'the lease cannot be read';
    if (text !== problem) log.warn({ problem: text, lease: name }, 'cannot renew the lease');
    problem = text;
  }

  async function release(): Promise<void> {
    const lease = await readObject<Lease>(client, path);
    if (lease?.spec?.holderIdentity !== identity) return;
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: formatMicroTime(clock()) };
    await replaceObject(client, path, { ...lease, spec });
  }

  return {
    start() {
      running ??= run();
    },
    leads: () => isLeader && clock() - renewedAt < timings.deadlineMs,
    async stop() {
      stopping.abort();
      await running;
      const wasLeader = isLeader;
      lose();
      if (!wasLeader) return;
      try {
        await release();
      } catch (error) {
        complain(error);
      }
    },
  };
}

/** metav1.MicroTime. */
export const formatMicroTime = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, '000Z');
