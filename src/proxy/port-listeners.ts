/** Listeners by the port that clients dial: they come and go with the Apis of a pod. */
import type { Generation } from './generation.ts';
import { createListener, type Listener } from './listener.ts';
import type { Refusals } from './refusals.ts';
import type { Shared } from './shared.ts';

export interface PortListeners {
  readonly all: ReadonlyMap<number, Listener>;
  /** Undefined: nobody serves the port. Before the first generation every port is served, and answers 503. */
  find(port: number): Listener | undefined;
  /** Answers which ports are served from now on, and which no longer. */
  publish(generation: Generation): { readonly opened: readonly number[]; readonly closed: readonly number[] };
}

/** Before a policy is loaded nobody knows which ports there will be, and a scan of all must not fill memory. */
const MOST_WITHOUT_POLICY = 256;

export function createPortListeners(shared: Shared, refusals: Refusals): PortListeners {
  const all = new Map<number, Listener>();
  let generation: Generation | undefined;

  const add = (port: number): Listener => {
    const listener = createListener({
      name: () => `port ${port}`,
      findPlan: ({ listeners }) => listeners.get(port),
      shared,
      refusals,
    });
    all.set(port, listener);
    if (generation !== undefined) listener.publish(generation);
    return listener;
  };
  /** What was served and has connections left stays until they have ended. */
  const forgetUnused = (): void => {
    for (const [port, listener] of all) if (listener.active === undefined && listener.sockets === 0) all.delete(port);
  };

  return {
    all,
    find: port => {
      const listener = all.get(port);
      if (generation !== undefined) return listener?.active === undefined ? undefined : listener;
      return listener ?? (all.size < MOST_WITHOUT_POLICY ? add(port) : undefined);
    },
    publish: next => {
      const before = new Set([...all].filter(([, { active }]) => active !== undefined).map(([port]) => port));
      generation = next;
      for (const listener of all.values()) listener.publish(next);
      const served = [...next.snapshot.listeners.keys()];
      for (const port of served) if (!all.has(port)) add(port);
      forgetUnused();
      return {
        opened: served.filter(port => !before.has(port)),
        closed: [...before].filter(port => !next.snapshot.listeners.has(port)),
      };
    },
  };
}
