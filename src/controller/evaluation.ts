/** Looks at the model, and again only at what changed: classes of pods for material, compilations for conditions. */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { examineCluster, type ClusterInput } from './cluster-status.ts';
import type { Analysis } from './analysis.ts';
import type { NamedData } from './named-data.ts';
import {
  classifyNamespace,
  examineNamespace,
  withClasses,
  type NamespaceClasses,
  type NamespaceFacts,
} from './namespace-status.ts';
import type { KnownObject } from './objects.ts';
import type { Model } from './model.ts';

export interface Evaluation {
  /** With the pods of now. */
  classesOf(namespace: string): NamespaceClasses;
  /** Compiles when something else than pods changed, or pods of a new class came. */
  factsOf(namespace: string): NamespaceFacts;
  cluster(): { readonly input: ClusterInput; readonly analysis: Analysis };
  /** Forgets namespaces that are not among these. */
  keep(namespaces: ReadonlySet<string>): void;
}

export interface EvaluationOptions {
  readonly model: Model;
  readonly data: NamedData;
  readonly requireLabel: boolean;
  /** What a gate keeps in force in a namespace; `version` changes with it. */
  readonly passed: (namespace: string) => { readonly version: string; readonly objects: readonly SallyportObject[] };
  readonly checkData: (objects: readonly KnownObject[]) => readonly Violation[];
}

export function createEvaluation({ model, data, requireLabel, passed, checkData }: EvaluationOptions): Evaluation {
  const classified = new Map<string, { readonly version: string; readonly value: NamespaceClasses }>();
  const examined = new Map<string, { readonly version: string; readonly value: NamespaceFacts }>();
  let clusterExamined:
    { readonly version: string; readonly input: ClusterInput; readonly analysis: Analysis } | undefined;

  const describe = (namespace: string) => ({
    namespace,
    namespaceLabels: model.population.labelsOf(namespace),
    objects: model.objectsFor(namespace),
    pods: model.population.podsOf(namespace),
    passed: passed(namespace).objects,
  });

  const versionOf = (namespace: string): string => `${model.version(namespace)} ${passed(namespace).version}`;

  function classesOf(namespace: string): NamespaceClasses {
    const version = versionOf(namespace);
    const known = classified.get(namespace);
    const value = classifyNamespace(describe(namespace), known?.version === version ? known.value : undefined);
    classified.set(namespace, { version, value });
    return value;
  }

  return {
    classesOf,
    factsOf(namespace) {
      const classes = classesOf(namespace);
      const version = JSON.stringify([versionOf(namespace), ...classes.classes.map(({ key }) => key).sort()]);
      const known = examined.get(namespace);
      if (known?.version === version) return withClasses(known.value, classes);
      const value = examineNamespace({ ...describe(namespace), data, requireLabel, checkData }, classes);
      examined.set(namespace, { version, value });
      return value;
    },
    cluster() {
      const version = model.clusterVersion();
      if (clusterExamined?.version === version) return clusterExamined;
      const input = { objects: model.objectsOfCluster(), data, requireLabel };
      clusterExamined = { version, input, analysis: examineCluster(input) };
      return clusterExamined;
    },
    keep(namespaces) {
      for (const cache of [classified, examined]) {
        for (const namespace of cache.keys()) if (!namespaces.has(namespace)) cache.delete(namespace);
      }
    },
  };
}
