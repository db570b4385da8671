/** Everything that was read of the cluster, and which namespaces a change concerns. */
import type { KindName } from '../api/kinds/index.ts';
import { objectKey, type ObjectKey } from '../api/object.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { DataKind } from './named-data-cache.ts';
import { createObjectIndex, type ObjectIndex } from './object-index.ts';
import type { KnownObject, RawObject } from './objects.ts';
import type { PodFacts } from './pods.ts';
import { createPopulation, type Population, type PopulationOptions } from './population.ts';

export interface Model {
  readonly objects: Pick<ObjectIndex, 'find' | 'all' | 'wantedData'>;
  readonly population: Pick<
    Population,
    'labelsOf' | 'names' | 'podsOf' | 'findPod' | 'findByUid' | 'labelled' | 'optedIn'
  >;
  /** `changed`: one of them, as it is or was; absent: all are to be looked at. */
  takeObjects(kind: KindName, listed: ReadonlyMap<ObjectKey, RawObject>, changed?: RawObject): void;
  takeNamespaces(listed: ReadonlyMap<string, KubeObject>): void;
  takePods(namespace: string, listed: Iterable<PodFacts>): void;
  takeLabelled(listed: Iterable<PodFacts>): void;
  admitPod(pod: PodFacts): void;
  /** A Secret or ConfigMap that objects name. */
  touchData(kind: DataKind, key: ObjectKey): void;
  /** Of the namespace, cluster policies, and what those reach elsewhere. */
  objectsFor(namespace: string): readonly KnownObject[];
  /** Cluster policies and what they reach. */
  objectsOfCluster(): readonly KnownObject[];
  /** Namespaces whose pods matter: opted in, or with objects. */
  watched(): ReadonlySet<string>;
  /** Changes with everything but pods that the namespace’s material and conditions depend on. */
  version(namespace: string): string;
  /** The same for cluster policies by themselves. */
  clusterVersion(): string;
}

/** Told which namespaces a change concerns; undefined: all. */
export type OnModelChange = (namespaces?: ReadonlySet<string>) => void;

export interface ModelOptions extends PopulationOptions {
  readonly onChange: OnModelChange;
}

export function createModel({ excluded, clock, onChange }: ModelOptions): Model {
  const objects = createObjectIndex();
  const population = createPopulation({ excluded, clock });
  const versions = new Map<string, number>();
  let cluster = 0;

  function touch(namespaces: Iterable<string>): void {
    const touched = new Set(namespaces);
    for (const namespace of touched) versions.set(namespace, (versions.get(namespace) ?? 0) + 1);
    if (touched.size > 0) onChange(touched);
  }

  function touchAll(): void {
    cluster += 1;
    onChange();
  }

  /** `reach`: as it was before; what a cluster policy named until now concerns all as well. */
  function touchObjects(changed: readonly KnownObject[], reach: ReadonlySet<string>): void {
    const concernsAll = changed.some(
      ({ id, namespace }) => namespace === '' || reach.has(id) || objects.reach().has(id),
    );
    if (concernsAll) touchAll();
    else touch(changed.map(({ namespace }) => namespace));
  }

  const find = (ids: Iterable<string>): readonly KnownObject[] => [...ids].flatMap(id => objects.find(id) ?? []);

  return {
    objects,
    population,
    takeObjects(kind, listed, changed) {
      const reach = objects.reach();
      if (changed === undefined) return touchObjects(objects.replace(kind, listed), reach);
      const { name, namespace = '' } = changed.metadata;
      const key = objectKey(namespace, name);
      const object = objects.change(kind, key, listed.get(key));
      if (object !== undefined) touchObjects([object], reach);
    },
    takeNamespaces: listed => touch(population.takeNamespaces(listed)),
    takePods(namespace, listed) {
      population.takePods(namespace, listed);
      onChange(new Set([namespace]));
    },
    takeLabelled(listed) {
      const touched = population.takeLabelled(listed);
      if (touched.size > 0) onChange(touched);
    },
    admitPod(pod) {
      if (population.admit(pod)) onChange(new Set([pod.namespace]));
    },
    touchData(kind, key) {
      if (objects.reach().has(`${kind} ${key}`)) touchAll();
      else touch([key.slice(0, key.indexOf('/'))]);
    },
    objectsFor(namespace) {
      const elsewhere = find(objects.reach()).filter(object => object.namespace !== namespace);
      return [...objects.of(namespace), ...objects.of(''), ...elsewhere];
    },
    objectsOfCluster: () => [...objects.of(''), ...find(objects.reach())],
    watched: () => new Set([...population.optedIn(), ...objects.namespaces()]),
    version: namespace => `${cluster}.${versions.get(namespace) ?? 0}`,
    clusterVersion: () => String(cluster),
  };
}
