/** What each listener serves, said in the log: everything at start, what is missing with every generation. */
import type { ListenerPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { showAddress } from './binding.ts';
import type { Generation } from './generation.ts';
import type { Listener } from './listener.ts';
import type { AppAddress } from './options.ts';
import { describeUnserved } from './ingress.ts';
import { findAddress } from './pools.ts';

export interface Announcer {
  /** Once, when every address is bound. */
  start(listeners: Iterable<Listener>): void;
  /** A generation came into force. Says what a generation lacks once. */
  warn(listeners: Iterable<Listener>, generation: Generation): void;
}

/** Reasons that one line tells. */
const MOST_REASONS = 3;

export function createAnnouncer(apps: readonly AppAddress[], log: Log): Announcer {
  const warn: Announcer['warn'] = (listeners, generation) => {
    for (const listener of listeners) {
      const plan = listener.active?.plan;
      if (plan !== undefined && !listener.unserved) warnOfMissingApps(plan, apps, log);
      else log.warn({ listen: listener.name }, `${describeUnserved(listener)}: ${findCause(listener, generation)}`);
    }
  };
  return {
    warn,
    start: listeners => {
      for (const listener of listeners) {
        const plan = listener.active?.plan;
        if (plan !== undefined && !listener.unserved)
          log.info(describePlan(listener, plan, apps), listener.ready ? 'ready' : 'not ready');
        else if (!listener.unserved) log.warn({ listen: listener.name }, 'not ready: no policy is loaded');
      }
    },
  };
}

function findCause({ name }: Listener, { snapshot, unserved = [] }: Generation): string {
  const served = [...snapshot.listeners.values()].filter(({ held }) => held !== true);
  const ports = served.map(({ port }) => port).sort((a, b) => a - b);
  if (ports.length > 0) {
    return `the Apis of this workload have port ${ports.join(', ')}; write --listen ${String(ports[0])}=${name}`;
  }
  if (unserved.length === 0) return 'the manifests hold no Api';
  const more = unserved.length > MOST_REASONS ? [`and ${unserved.length - MOST_REASONS} more Apis`] : [];
  return [...unserved.slice(0, MOST_REASONS), ...more].join('. ');
}

function describePlan({ name }: Listener, plan: ListenerPlan, apps: readonly AppAddress[]) {
  const address = findAddress(apps, plan.port);
  const known = plan.apis.flatMap(({ app }) => app.url ?? (address === undefined ? [] : showAddress(address)));
  return {
    listen: name,
    apiPort: plan.port,
    tls: plan.tls?.mode ?? 'None',
    apis: plan.apis.map(({ key }) => key),
    app: [...new Set(known)].join(', '),
  };
}

function warnOfMissingApps(plan: ListenerPlan, apps: readonly AppAddress[], log: Log): void {
  if (findAddress(apps, plan.port) !== undefined) return;
  for (const { key, app } of plan.apis) {
    if (app.url !== undefined) continue;
    log.warn(
      { api: key, apiPort: plan.port },
      `Api ${key} has no app: it answers 502 AppUnavailable; give --app ADDRESS:PORT, or write app.url`,
    );
  }
}
