/**
 * A process with many simulated sidecars: each has the product’s list-watches over a connection of its own to the API
 * server and the product’s material stream to the controller, with tokens of its own. What is left out is the compiler:
 * everything is taken to be in force.
 */
import { fixedToken, type Order, type Report, type SidecarPlace } from './messages.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createControllerStream } from '../../../src/material/controller-stream.ts';
import { createKubernetesSource } from '../../../src/sources/kubernetes.ts';
import { createFixedLabels } from '../../../src/sources/pod-labels.ts';
import { SILENT } from '../../../src/telemetry/telemetry.ts';

/** As in src/cli/cluster.ts. */
const LOOK_MS = 10_000;
const deps = { log: SILENT.log, clock: Date.now, random: Math.random };

interface Simulated {
  isWatching(): boolean;
  isConnected(): boolean;
  /** Kinds whose list differs now from what a watch told, and lists after the first. */
  relists(): number;
  /** When a generation of the cluster policy came into force: milliseconds since the epoch. */
  readonly seen: ReadonlyMap<number, number>;
  stop(): Promise<void>;
}

const sidecars: Simulated[] = [];

function startSidecar({ namespace, labels, api, controller }: SidecarPlace): Simulated {
  const client = createKubeClient({ server: api.server, ca: api.ca, token: fixedToken(api.token) }, deps);
  const seen = new Map<number, number>();
  const source = createKubernetesSource({ client, namespace, labels: createFixedLabels(labels), ...deps });
  const stream = createControllerStream({
    connection: { ...controller, token: fixedToken(controller.token) },
    hello: { version: '0.1.0' },
    onMaterial: message => source.takeMaterial(message),
    onReadyPods: count => source.takeReadyPods(count),
    ...deps,
  });
  const acknowledge = (): void =>
    stream.acknowledge({
      ...source.acknowledgement(),
      ...{ issuers: [], certificates: [], appExposed: [], wouldDeny: [] },
    });
  const looking = setInterval(acknowledge, LOOK_MS);
  stream.start();
  void source.start(() => {
    setImmediate(() => {
      acknowledge();
      for (const { kind, generation } of source.acknowledgement().objects) {
        if (kind === 'ClusterAuthPolicy' && !seen.has(generation)) seen.set(generation, Date.now());
      }
    });
    return { kept: [], violations: [] };
  });
  return {
    seen,
    isWatching: () => source.status().watches.every(({ connected }) => connected) && source.status().from === 'live',
    isConnected: () => stream.status().connected,
    relists: () => source.status().watches.reduce((sum, { relists }) => sum + relists, 0),
    async stop() {
      clearInterval(looking);
      await Promise.all([source.stop(), stream.stop()]);
      await client.close();
    },
  };
}

function describe(): Report {
  const times = new Map<number, number[]>();
  for (const { seen } of sidecars) {
    for (const [generation, at] of seen) times.set(generation, [...(times.get(generation) ?? []), at]);
  }
  return {
    watching: sidecars.filter(one => one.isWatching()).length,
    connected: sidecars.filter(one => one.isConnected()).length,
    relists: sidecars.reduce((sum, one) => sum + one.relists(), 0),
    seen: [...times],
  };
}

process.on('message', (order: Order) => {
  if (order.type === 'start') for (const place of order.sidecars) sidecars.push(startSidecar(place));
  else if (order.type === 'report') process.send?.(describe());
  else void Promise.all(sidecars.map(one => one.stop())).then(() => process.exit());
});
process.on('disconnect', () => process.exit());
