/** For tests: objects as the API server holds them, pods, and what sidecars say. */
import { parseAllDocuments } from 'yaml';
import { API_VERSION } from '../../api/object.ts';
import { isKind } from '../../api/parse.ts';
import type { AcknowledgedObject } from '../../material/protocol.ts';
import type { NamedData, NamedEntry } from '../named-data.ts';
import { readKnownObject, type KnownObject, type RawObject } from '../objects.ts';
import { indexAcknowledged, type PodState } from '../pod-states.ts';
import { readPod, type PodFacts, type SidecarFact } from '../pods.ts';

/** Namespaced documents without a namespace live in shop. */
export function readObjects(text: string): readonly KnownObject[] {
  return parseAllDocuments(text).flatMap(document => {
    const value = document.toJS() as (RawObject & { readonly kind: string }) | null;
    if (value === null || !isKind(value.kind)) return [];
    const { metadata } = value;
    const isCluster = value.kind === 'ClusterAuthPolicy';
    const raw = {
      ...value,
      apiVersion: API_VERSION,
      metadata: {
        ...(isCluster ? {} : { namespace: 'shop' }),
        uid: `uid-${metadata.name}`,
        generation: 1,
        ...metadata,
      },
    };
    return [readKnownObject(value.kind, raw)];
  });
}

export interface PodOptions {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly sidecar?: SidecarFact;
  readonly serviceAccount?: string;
  readonly ports?: Readonly<Record<string, number>>;
}

export function makePod(name: string, options: PodOptions = {}): PodFacts {
  const { namespace = 'shop', labels = { app: 'fleet' }, sidecar = { state: 'Protected' } } = options;
  const ports = Object.entries(options.ports ?? {}).map(([port, containerPort]) => ({ name: port, containerPort }));
  const pod = {
    metadata: { name, namespace, uid: `uid-${name}`, labels },
    spec: { serviceAccountName: options.serviceAccount ?? 'fleet', containers: [{ name: 'app', ports }] },
    status: { phase: 'Running' },
  };
  return readPod(pod, () => sidecar);
}

export const say = (
  object: KnownObject,
  state: AcknowledgedObject['state'] = 'InForce',
  generation = object.generation,
): AcknowledgedObject => ({
  kind: object.kind,
  namespace: object.namespace,
  name: object.metadata.name,
  uid: object.uid,
  generation,
  state,
});

export const makeState = (
  pod: PodFacts,
  objects: readonly AcknowledgedObject[],
  more: Partial<PodState> = {},
): readonly [string, PodState] => [
  pod.uid,
  {
    uid: pod.uid,
    version: '0.1.0',
    heardAt: 0,
    objects: indexAcknowledged(objects),
    issuers: [],
    certificates: [],
    appExposed: [],
    closedPorts: [],
    wouldDeny: [],
    ...more,
  },
];

/** Entries by `Secret shop/key`; what is not named does not exist. */
export function makeData(entries: Readonly<Record<string, Readonly<Record<string, string>>>> = {}): NamedData {
  const known = new Map<string, NamedEntry>(
    Object.entries(entries).map(([id, data]) => [
      id,
      {
        type: 'Opaque',
        data: new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
        released: id.endsWith('-released'),
      },
    ]),
  );
  return { find: (kind, key) => known.get(`${kind} ${key}`) ?? null };
}
