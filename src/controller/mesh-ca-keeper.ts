/** The mesh CA in its Secret: made once whoever is first, turned over by the leader, read by every replica. */
import { MESH_CA } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { ListWatch } from '../kube/list-watch.ts';
import { isRecord, resourcePath, type KubeObject } from '../kube/objects.ts';
import { createObject, replaceObject } from '../kube/writes.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { watchCollection, type WatchDependencies } from './cluster-watches.ts';
import {
  createMeshCa,
  nextRotation,
  readGivenCa,
  readMeshCa,
  rotateMeshCa,
  writeMeshCa,
  type MeshCa,
  type MeshCaTimings,
} from './mesh-ca.ts';

export interface MeshCaKeeper {
  start(): void;
  readonly synced: Promise<void>;
  /** Undefined: there is none yet, or it cannot be read. */
  current(): MeshCa | undefined;
  /** Makes or turns it over where that is due. The leader's work. */
  tend(): void;
  stop(): Promise<void>;
}

export interface MeshCaKeeperOptions extends WatchDependencies {
  readonly client: KubeClient;
  /** The controller's. */
  readonly namespace: string;
  /** Name of a kubernetes.io/tls Secret with an intermediate of the user's; absent: we make our own. */
  readonly given?: string;
  readonly timings: MeshCaTimings;
  readonly leads: () => boolean;
  readonly onChange: () => void;
  readonly randomBytes: (size: number) => Uint8Array;
}

interface Secret extends KubeObject {
  readonly type?: string;
  readonly data?: unknown;
}

/** A rotation is looked for at least so often: timers sleep badly over months. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 2000;
/** The watch may tell what was written before the write is answered, when nobody listens: look again soon. */
const WRITTEN_MS = 500;

export function createMeshCaKeeper(options: MeshCaKeeperOptions): MeshCaKeeper {
  const { client, namespace, given, timings, leads, log, clock } = options;
  const name = given ?? MESH_CA;
  const address = { group: '', version: 'v1', resource: 'secrets', namespace };
  let secret: Secret | undefined;
  let ca: MeshCa | undefined;
  let listed = false;
  let tending = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const watch: ListWatch = watchCollection<Secret>(options, {
    path: resourcePath(address),
    query: { fieldSelector: `metadata.name=${name}` },
    onChange: secrets => {
      listed = true;
      secret = secrets.get(`${namespace}/${name}`);
      ca = secret === undefined ? undefined : read(secret, given !== undefined, log);
      options.onChange();
      tend();
    },
  });

  function schedule(ms: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(tend, Math.max(100, Math.min(ms, LOOK_MS)));
  }

  function tend(): void {
    if (stopped || tending || !listed || given !== undefined || !leads()) return;
    tending = true;
    settle()
      .catch((error: unknown) => {
        log.warn({ problem: error instanceof Error ? error.message : 'failed' }, 'cannot keep the mesh CA');
        return RETRY_MS;
      })
      .then(wait => {
        tending = false;
        schedule(wait);
      }, fault);
  }

  const fault = (): void => void (tending = false);

  /** How long nothing has to be done. */
  async function settle(): Promise<number> {
    const making = { now: clock(), random: options.randomBytes, timings };
    try {
      if (secret === undefined) {
        await createObject(client, resourcePath(address), describe(createMeshCa(making)));
        return WRITTEN_MS;
      }
      // What cannot be read is somebody's: to write over it would cut off every app that trusts it.
      if (ca !== undefined) {
        const next = rotateMeshCa(ca, making);
        if (next === undefined) return nextRotation(ca, timings) - clock();
        await replaceObject(client, resourcePath({ ...address, name }), {
          ...describe(next),
          metadata: secret.metadata,
        });
        log.info(
          { secret: name },
          next.next === undefined ? 'the next mesh CA signs now' : 'the next mesh CA is published',
        );
        return WRITTEN_MS;
      }
      return LOOK_MS;
    } catch (error) {
      // Another replica was faster; the watch tells what it wrote.
      if (error instanceof KubeError && error.status === 409) return WRITTEN_MS;
      throw error;
    }
  }

  const describe = (state: MeshCa) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'sallyport.dev/mesh-ca',
    data: Object.fromEntries(
      Object.entries(writeMeshCa(state)).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  });

  return {
    start: () => watch.start(),
    synced: watch.synced,
    current: () => ca,
    tend,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await watch.stop();
    },
  };
}

function read({ metadata, data }: Secret, isGiven: boolean, log: Log): MeshCa | undefined {
  const texts = Object.fromEntries(
    Object.entries(isRecord(data) ? data : {}).map(([key, value]) => [
      key,
      Buffer.from(typeof value === 'string' ? value : '', 'base64').toString('utf8'),
    ]),
  );
  try {
    return isGiven ? readGivenCa(texts) : readMeshCa(texts);
  } catch (error) {
    const problem = error instanceof Error ? error.message : 'it cannot be read';
    log.error({ secret: metadata.name, problem }, 'the mesh CA cannot be used: no mesh certificate is issued');
    return undefined;
  }
}
