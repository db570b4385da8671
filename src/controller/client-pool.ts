/** Connections for watches: the API server takes about a hundred streams on one, and each namespace costs one. */
import type { KubeClient } from '../kube/client.ts';

export interface ClientPool {
  /** The client for one more watch; give it back when the watch has ended. */
  take(): { readonly client: KubeClient; readonly giveBack: () => void };
  close(): Promise<void>;
}

const MOST_WATCHES = 60;

export function createClientPool(open: () => KubeClient, perClient = MOST_WATCHES): ClientPool {
  const members: { readonly client: KubeClient; watches: number }[] = [];
  return {
    take() {
      let member = members.find(({ watches }) => watches < perClient);
      if (member === undefined) members.push((member = { client: open(), watches: 0 }));
      const taken = member;
      taken.watches += 1;
      return { client: taken.client, giveBack: () => void (taken.watches -= 1) };
    },
    async close() {
      await Promise.all(members.map(({ client }) => client.close()));
    },
  };
}
