/** Writes status by server-side apply, only what changed, and not more often than anybody reads. */
import { KINDS } from '../api/kinds/index.ts';
import { FIELD_MANAGER } from '../api/names.ts';
import { API_VERSION, GROUP, VERSION } from '../api/object.ts';
import { createBackoff } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/objects.ts';
import { applyObject } from '../kube/writes.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { isSameConditions, settleConditions, type Condition } from './conditions.ts';
import type { WantedStatus } from './namespace-status.ts';
import type { KnownObject } from './objects.ts';

export interface StatusWriter {
  /** The newest wish counts; what status says already is not written. */
  want(object: KnownObject, status: WantedStatus): void;
  /** Until then, counts that pods which have not spoken yet would lower are left as they are. */
  holdUntil(ms: number): void;
  /** Begins, or goes on, with what is wanted. Before, nothing is written. */
  resume(): void;
  /** Another replica leads: nothing more is written, and what was wanted is forgotten. */
  pause(): void;
  /** Resolves when what is being written is. */
  stop(): Promise<void>;
}

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** The object as it is known now. */
  readonly find: (id: string) => KnownObject | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly random: () => number;
  /** Between two writes of one object; default 1 s. */
  readonly minIntervalMs?: number;
  /** The same where only what always moves (counts of would-denials, times of key fetches) changed; default 60 s. */
  readonly slowIntervalMs?: number;
}

const MOST_WRITES = 8;

interface Job {
  status: WantedStatus;
  timer: NodeJS.Timeout | undefined;
  writing: boolean;
  /** Text of what was written last, and for which object: the watch tells it a moment later. */
  written: string;
  writtenAt: number;
  readonly backoff: ReturnType<typeof createBackoff>;
}

interface Body {
  readonly conditions: readonly Condition[];
  readonly fields: Readonly<Record<string, unknown>>;
}

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { client, find, log, metrics, clock, random, minIntervalMs = 1000, slowIntervalMs = 60_000 } = options;
  const jobs = new Map<string, Job>();
  const ready = new Set<string>();
  let active = false;
  const inFlight = new Set<Promise<void>>();
  let heldUntil = 0;

  function settle(object: KnownObject, status: WantedStatus): Body {
    const { generation, conditions: before } = object;
    const wanted = settleConditions(status.findings, before, { generation, now: clock() });
    const isHeld = status.unsettled && clock() < heldUntil;
    if (!isHeld) return { conditions: wanted, fields: status.fields };
    return { conditions: wanted.map(condition => keepCount(condition, before)), fields: keepFields(object, status) };
  }

  /** When this may be written; undefined: there is nothing to write. */
  function plan(object: KnownObject, job: Job, body: Body): number | undefined {
    const text = JSON.stringify([object.uid, describe(body)]);
    if (text === job.written || isStored(object, body)) return undefined;
    const isSlow = job.written !== '' && isStored(object, body, { ignoreMoving: true });
    return job.writtenAt + (isSlow ? slowIntervalMs : minIntervalMs);
  }

  function look(id: string): void {
    const [job, object] = [jobs.get(id), find(id)];
    if (job === undefined || !active) return;
    clearTimeout(job.timer);
    if (object === undefined) return void jobs.delete(id);
    if (job.writing) return;
    const at = plan(object, job, settle(object, job.status));
    if (at === undefined) return;
    if (at > clock()) job.timer = setTimeout(() => look(id), at - clock());
    else {
      ready.add(id);
      writeNext();
    }
  }

  function writeNext(): void {
    for (const id of ready) {
      if (inFlight.size >= MOST_WRITES) return;
      ready.delete(id);
      const written = write(id).finally(() => {
        inFlight.delete(written);
        writeNext();
      });
      inFlight.add(written);
    }
  }

  async function write(id: string): Promise<void> {
    const [job, object] = [jobs.get(id), find(id)];
    if (job === undefined || object === undefined || !active) return;
    const body = settle(object, job.status);
    if (plan(object, job, body) === undefined) return;
    job.writing = true;
    let wait = 0;
    try {
      await apply(object, body);
      job.written = JSON.stringify([object.uid, describe(body)]);
      job.writtenAt = clock();
      job.backoff.reset();
      metrics.count('sallyport_controller_status_writes_total', { outcome: 'Written' });
    } catch (error) {
      wait = fail(id, job, error);
    }
    job.writing = false;
    if (wait > 0) job.timer = setTimeout(() => look(id), wait);
    else look(id);
  }

  function fail(id: string, job: Job, error: unknown): number {
    if (!active) return 0;
    const status = error instanceof KubeError ? error.status : 0;
    // It is gone, or another one of that name: the watch tells.
    if (status === 404 || status === 409) return job.backoff.next();
    metrics.count('sallyport_controller_status_writes_total', { outcome: 'Failed' });
    log.warn({ object: id, problem: error instanceof Error ? error.message : 'failed' }, 'cannot write status');
    return job.backoff.next(error instanceof KubeError ? error.retryAfterMs : undefined);
  }

  async function apply({ kind, namespace, metadata, uid }: KnownObject, { conditions, fields }: Body): Promise<void> {
    const { plural, scope } = KINDS[kind];
    const path = resourcePath({
      group: GROUP,
      version: VERSION,
      resource: plural,
      ...(scope === 'Cluster' ? {} : { namespace }),
      name: metadata.name,
      subresource: 'status',
    });
    const identity = { name: metadata.name, uid, ...(scope === 'Cluster' ? {} : { namespace }) };
    await applyObject(
      client,
      path,
      { apiVersion: API_VERSION, kind, metadata: identity, status: { conditions, ...fields } },
      { fieldManager: FIELD_MANAGER },
    );
  }

  function pause(): void {
    active = false;
    for (const { timer } of jobs.values()) clearTimeout(timer);
    jobs.clear();
    ready.clear();
  }

  return {
    want(object, status) {
      if (!active) return;
      const known = jobs.get(object.id);
      if (known === undefined) {
        const backoff = createBackoff({ random });
        jobs.set(object.id, { status, timer: undefined, writing: false, written: '', writtenAt: 0, backoff });
      } else known.status = status;
      look(object.id);
    },
    holdUntil(ms) {
      heldUntil = ms;
    },
    resume() {
      active = true;
    },
    pause,
    async stop() {
      pause();
      await Promise.allSettled(inFlight);
    },
  };
}

const COUNTED = ['Enforced', 'KeysAvailable', 'Audit', 'AppExposed'];
/** What is there no longer is removed. */
const PASSING = [...COUNTED, 'TestsPassed'];

function keepCount(condition: Condition, before: readonly Condition[]): Condition {
  const stored = before.find(({ type }) => type === condition.type);
  const isSame = stored?.observedGeneration === condition.observedGeneration && COUNTED.includes(condition.type);
  return isSame && stored !== undefined ? stored : condition;
}

/** What the status holds stays until everybody has spoken. */
function keepFields(object: KnownObject, { fields }: WantedStatus): Body['fields'] {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, object.status[name] ?? value]));
}

function isStored(object: KnownObject, body: Body, { ignoreMoving = false } = {}): boolean {
  const pick = ignoreMoving ? stillOf : (conditions: readonly Condition[]) => conditions;
  const stored = Object.fromEntries(
    Object.entries(object.status).filter(([name]) => name !== 'conditions' && (!ignoreMoving || name !== 'keys')),
  );
  const wanted = Object.fromEntries(Object.entries(body.fields).filter(([name]) => !ignoreMoving || name !== 'keys'));
  const types = new Set(body.conditions.map(({ type }) => type));
  const ours = object.conditions.filter(({ type }) => types.has(type) || PASSING.includes(type));
  return isSameConditions(pick(ours), pick(body.conditions)) && sortedJson(stored) === sortedJson(wanted);
}

const stillOf = (conditions: readonly Condition[]): readonly Condition[] =>
  conditions.filter(({ type }) => type !== 'Audit');

const sortedJson = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );

const describe = ({ conditions, fields }: Body): unknown => [
  conditions.map(({ type, status, reason, message, observedGeneration }) => [
    type,
    status,
    reason,
    message,
    observedGeneration,
  ]),
  fields,
];
