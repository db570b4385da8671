/** Where a moved probe is replayed to, by what the Apis of its port say. */
import { isIPv6 } from 'node:net';
import type { Generation } from './generation.ts';
import type { MovedProbes } from './options.ts';
import type { FindProbeTarget } from './probe-replays.ts';

/** Works without a generation too: the app's life does not depend on policies. */
export function createProbeTargets(
  { podAddress, appOnLoopback }: MovedProbes,
  current: () => Generation | undefined,
): FindProbeTarget {
  const loopback = isIPv6(podAddress) ? '::1' : '127.0.0.1';
  return port => {
    const generation = current();
    const apis = generation?.snapshot.listeners.get(port)?.apis ?? [];
    const credential = apis.find(api => api.credential !== undefined)?.credential;
    const certificate = credential === undefined ? undefined : generation?.credentials.clientCertificate(credential);
    const isHidden = appOnLoopback || apis.some(({ app }) => app.address === 'Loopback');
    return {
      address: isHidden ? loopback : podAddress,
      podAddress,
      ...(certificate === undefined ? {} : { certificate }),
    };
  };
}
