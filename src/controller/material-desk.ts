/** What each pod is handed, built once for its class and again when something changes. */
import type { Gate, MaterialMessage } from '../material/protocol.ts';
import type { Evaluation } from './evaluation.ts';
import { buildMaterial } from './material-message.ts';
import type { ClassMaterial } from './material-hub.ts';
import type { Model } from './model.ts';
import type { NamedData } from './named-data.ts';
import type { PodFacts } from './pods.ts';

export interface MaterialDesk {
  describe(pod: PodFacts): ClassMaterial;
  /** Something that these namespaces depend on changed; undefined: all. */
  forget(namespaces?: ReadonlySet<string>): void;
}

export interface MaterialDeskOptions {
  readonly model: Model;
  readonly data: NamedData;
  readonly evaluation: Evaluation;
  /** Of a namespace; undefined: none of its PolicyTests is one. */
  readonly gate: (namespace: string) => Gate | undefined;
  readonly requireLabel: boolean;
}

interface Desk {
  /** By uid. */
  readonly classOf: ReadonlyMap<string, string>;
  readonly materials: Map<string, MaterialMessage | undefined>;
  readonly readyPods: ReadonlyMap<string, number>;
}

export function createMaterialDesk(options: MaterialDeskOptions): MaterialDesk {
  const { model, data, evaluation, gate, requireLabel } = options;
  const desks = new Map<string, Desk>();

  function open(namespace: string): Desk {
    const known = desks.get(namespace);
    if (known !== undefined) return known;
    const { classes } = evaluation.classesOf(namespace);
    const desk = {
      classOf: new Map(classes.flatMap(({ key, pods }) => pods.map(({ uid }) => [uid, key]))),
      materials: new Map<string, MaterialMessage | undefined>(),
      readyPods: new Map(classes.map(({ key, pods }) => [key, pods.filter(({ ready }) => ready).length])),
    };
    desks.set(namespace, desk);
    return desk;
  }

  function build(namespace: string, key: string): MaterialMessage | undefined {
    const named = evaluation.classesOf(namespace).named.get(key);
    if (named === undefined) return undefined;
    return buildMaterial({
      ...{ named, data, requireLabel, gate: gate(namespace) },
      namespaceLabels: model.population.labelsOf(namespace),
      find: id => model.objects.find(id),
    });
  }

  return {
    describe({ namespace, uid }) {
      const desk = open(namespace);
      const key = desk.classOf.get(uid);
      if (key === undefined) return { material: undefined, readyPods: 1 };
      if (!desk.materials.has(key)) desk.materials.set(key, build(namespace, key));
      return { material: desk.materials.get(key), readyPods: Math.max(1, desk.readyPods.get(key) ?? 0) };
    },
    forget(namespaces) {
      if (namespaces === undefined) desks.clear();
      else for (const namespace of namespaces) desks.delete(namespace);
    },
  };
}
