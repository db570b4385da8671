/** Events of Kubernetes: what people see in `kubectl describe` and `kubectl events`. Each is made once. */
import { createHash } from 'node:crypto';
import { FIELD_MANAGER } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/objects.ts';
import { createObject } from '../kube/writes.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { cut } from './conditions.ts';
import { formatMicroTime } from './lease.ts';

export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for objects of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface Events {
  /** Of one subject, reason and note only one is made, whichever replica makes it. */
  tell(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, note: string): void;
}

export interface EventsOptions {
  readonly client: KubeClient;
  /** Name of this pod. */
  readonly instance: string;
  readonly log: Log;
  readonly clock: () => number;
}

const MOST_IN_FLIGHT = 16;
const MOST_WAITING = 1000;
const MOST_REMEMBERED = 10_000;
const NOTE_LENGTH = 1024;

export function createEvents({ client, instance, log, clock }: EventsOptions): Events {
  const told = new Set<string>();
  const waiting: (() => Promise<void>)[] = [];
  let inFlight = 0;

  function makeNext(): void {
    while (inFlight < MOST_IN_FLIGHT) {
      const make = waiting.shift();
      if (make === undefined) return;
      inFlight += 1;
      void make().finally(() => {
        inFlight -= 1;
        makeNext();
      });
    }
  }

  async function create(name: string, subject: EventSubject, rest: Readonly<Record<string, string>>): Promise<void> {
    const { namespace, apiVersion, kind, uid } = subject;
    // Events of cluster-scoped objects stand in `default`.
    const at = namespace === '' ? 'default' : namespace;
    const regarding = { apiVersion, kind, name: subject.name, uid, ...(namespace === '' ? {} : { namespace }) };
    try {
      await createObject(
        client,
        resourcePath({ group: 'events.k8s.io', version: 'v1', resource: 'events', namespace: at }),
        {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: { name, namespace: at },
          eventTime: formatMicroTime(clock()),
          reportingController: `sallyport.dev/${FIELD_MANAGER}`,
          reportingInstance: instance.slice(0, 128),
          regarding,
          ...rest,
        },
      );
    } catch (error) {
      // Another replica made it.
      if (error instanceof KubeError && error.status === 409) return;
      told.delete(name);
      log.debug({ problem: error instanceof Error ? error.message : 'failed' }, 'cannot make an event');
    }
  }

  return {
    tell(subject, type, reason, note) {
      const digest = createHash('sha256')
        .update(JSON.stringify([subject.uid, reason, note]))
        .digest('hex')
        .slice(0, 16);
      const name = `${subject.name.slice(0, 200)}.${digest}`;
      // What does not fit is told again in a later round.
      if (told.has(name) || waiting.length >= MOST_WAITING) return;
      if (told.size >= MOST_REMEMBERED) told.clear();
      told.add(name);
      waiting.push(() => create(name, subject, { type, reason, action: reason, note: cut(note, NOTE_LENGTH) }));
      makeNext();
    },
  };
}
