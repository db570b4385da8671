/** What is wrong with an object that is about to be applied, in view of those that exist. Warnings: they arrive in any order. */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { compileSnapshot } from '../policy/compile.ts';
import { identify } from '../policy/inventory.ts';
import type { Model } from './model.ts';
import { createExistenceLookup, type NamedData } from './named-data.ts';

/** The API server waits for the answer: what takes long is told in status instead. */
const MOST_OBJECTS = 300;

export function checkAmongOthers(object: SallyportObject, model: Model, data: NamedData): readonly Violation[] {
  const id = identify(object);
  const { namespace } = object.meta;
  const known = namespace === '' ? model.objectsOfCluster() : model.objectsFor(namespace);
  if (known.length > MOST_OBJECTS) return [];
  const others = known.flatMap(({ id: other, parsed }) => (parsed === undefined || other === id ? [] : [parsed]));
  const { snapshot } = compileSnapshot({
    objects: [...others, object],
    invalid: known.flatMap(({ id: other, invalid }) => (invalid === undefined || other === id ? [] : [invalid])),
    // What the object itself names may not have been read before.
    lookup: createExistenceLookup(data),
    workload: { namespace, namespaceLabels: model.population.labelsOf(namespace), labels: {}, ports: {} },
    ...{ generation: 0, hash: '', source: 'kubernetes' },
  });
  return snapshot.violations.filter(violation => violation.object === id);
}
