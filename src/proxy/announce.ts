/** What each listener serves, said in the log: everything at start, what is missing with every generation. */
import type { ListenerPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { FindPlace } from './app-place.ts';
import { showAddress } from './binding.ts';
import type { Generation } from './generation.ts';
import type { Listener } from './listener.ts';
import { describeUnserved } from './ingress.ts';

export interface Announcer {
  /** Once, when every address is bound. */
  start(listeners: Iterable<Listener>): void;
  /** A generation came into force. Says what a generation lacks once. */
  warn(listeners: Iterable<Listener>, generation: Generation): void;
}

/** Reasons that one line tells. */
const MOST_REASONS = 3;

export interface AnnouncerOptions {
  readonly findPlace: FindPlace;
  /** Ports come and go with the Apis: one without is closed, which is no fault. */
  readonly intercepted: boolean;
  readonly log: Log;
}

export function createAnnouncer({ findPlace, intercepted, log }: AnnouncerOptions): Announcer {
  /** Names of intercepted ports that were said to be served. */
  const told = new Set<string>();
  const say = (listener: Listener, plan: ListenerPlan): void => {
    if (intercepted && told.has(listener.name)) return;
    told.add(listener.name);
    log.info(describePlan(listener, plan, findPlace), listener.ready ? 'ready' : 'not ready');
  };
  const warn = (listener: Listener, generation: Generation): void => {
    const plan = listener.active?.plan;
    if (plan !== undefined && !listener.unserved) warnOfMissingApps(plan, findPlace, log);
    else if (!intercepted || listener.active !== undefined) {
      log.warn(
        { listen: listener.name },
        `${describeUnserved(listener)}: ${findCause(generation, intercepted ? undefined : listener.name)}`,
      );
    }
  };
  const forgetClosed = (served: ReadonlySet<string>): void => {
    for (const name of told) {
      if (served.has(name)) continue;
      told.delete(name);
      log.info({ listen: name }, 'no Api has this port any more: connections to it are reset');
    }
  };
  return {
    warn: (listeners, generation) => {
      const served = new Set<string>();
      for (const listener of listeners) {
        warn(listener, generation);
        const plan = listener.active?.plan;
        if (plan === undefined || listener.unserved) continue;
        served.add(listener.name);
        if (intercepted) say(listener, plan);
      }
      if (!intercepted) return;
      forgetClosed(served);
      if (served.size === 0) log.warn({}, `no Api is served, so every port is closed: ${findCause(generation)}`);
    },
    start: listeners => {
      for (const listener of listeners) {
        const plan = listener.active?.plan;
        if (plan !== undefined && !listener.unserved) say(listener, plan);
        else if (!listener.unserved) log.warn({ listen: listener.name }, 'not ready: no policy is loaded');
      }
    },
  };
}

/** `listen` is an address of the command line that no Api is found for; absent where Apis themselves say their ports. */
function findCause({ snapshot, unserved = [] }: Generation, listen?: string): string {
  const served = [...snapshot.listeners.values()].filter(({ held }) => held !== true);
  const ports = served.map(({ port }) => port).sort((a, b) => a - b);
  if (ports.length > 0 && listen !== undefined) {
    return `the Apis of this workload have port ${ports.join(', ')}; write --listen ${String(ports[0])}=${listen}`;
  }
  if (unserved.length === 0) return 'the manifests hold no Api';
  const more = unserved.length > MOST_REASONS ? [`and ${unserved.length - MOST_REASONS} more Apis`] : [];
  return [...unserved.slice(0, MOST_REASONS), ...more].join('. ');
}

/** Stands for the address that a client dials. */
const DIALLED = 'PodIP';

function describePlan({ name }: Listener, plan: ListenerPlan, findPlace: FindPlace) {
  const known = plan.apis.flatMap(({ app }) => {
    const place = findPlace(app, plan.port, DIALLED);
    return app.url ?? (place === undefined ? [] : showAddress(place));
  });
  return {
    listen: name,
    apiPort: plan.port,
    tls: plan.tls?.mode ?? 'None',
    apis: plan.apis.map(({ key }) => key),
    app: [...new Set(known)].join(', '),
  };
}

function warnOfMissingApps(plan: ListenerPlan, findPlace: FindPlace, log: Log): void {
  for (const { key, app } of plan.apis) {
    if (app.url !== undefined || findPlace(app, plan.port, DIALLED) !== undefined) continue;
    log.warn(
      { api: key, apiPort: plan.port },
      `Api ${key} has no app: it answers 502 AppUnavailable; give --app ADDRESS:PORT, or write app.url`,
    );
  }
}
