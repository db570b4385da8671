/** Where the other replicas of the controller are: the EndpointSlices of its Service. */
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { watchCollection, type WatchDependencies } from './cluster-watches.ts';
import type { ControllerOptions } from './controller-options.ts';
import { listReplicaAddresses, type ReplicaAddress } from './replicas.ts';

export interface ReplicaFinder {
  start(): void;
  addresses(): readonly ReplicaAddress[];
  stop(): Promise<void>;
}

export interface ReplicaFinderOptions extends WatchDependencies {
  readonly controller: Pick<ControllerOptions, 'namespace' | 'service' | 'podName' | 'dialReplica'>;
  readonly onChange: (addresses: readonly ReplicaAddress[]) => void;
}

export function createReplicaFinder(options: ReplicaFinderOptions): ReplicaFinder {
  const { namespace, service, podName, dialReplica = (address: string) => address } = options.controller;
  let addresses: readonly ReplicaAddress[] = [];
  const watch = watchCollection<KubeObject>(options, {
    path: resourcePath({ group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices', namespace }),
    query: { labelSelector: `kubernetes.io/service-name=${service}` },
    onChange: listed => {
      addresses = listReplicaAddresses(listed.values(), podName).map(dialReplica);
      options.onChange(addresses);
    },
  });
  return { start: () => watch.start(), addresses: () => addresses, stop: () => watch.stop() };
}
