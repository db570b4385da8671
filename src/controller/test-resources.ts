/** What a namespace's policy tests run against: the objects that the API server has, and what they name. Pure. */
import { createMaterial } from '../sources/manifest-material.ts';
import type { Resources } from '../sources/source.ts';
import type { ObjectKey } from '../api/object.ts';
import { listReferences } from '../material/references.ts';
import type { Labels } from '../policy/inventory.ts';
import type { NamedData } from './named-data.ts';
import type { KnownObject } from './objects.ts';

export interface TestResourcesInput {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  /** Of the namespace, cluster policies, and what those name elsewhere. */
  readonly objects: readonly KnownObject[];
  readonly data: NamedData;
}

/** A Secret or ConfigMap that is missing counts as there, and empty: what it holds is no matter of a test (S6). */
export function makeTestResources({ namespace, namespaceLabels, objects, data }: TestResourcesInput): Resources {
  const usable = objects.flatMap(({ parsed, lastGood }) => parsed ?? lastGood ?? []);
  return {
    complete: true,
    objects: usable,
    invalid: objects.flatMap(({ parsed, lastGood, invalid }) => ((parsed ?? lastGood) ? [] : (invalid ?? []))),
    kept: [],
    material: makeMaterial(usable.flatMap(listReferences), data),
    namespaces: new Map([[namespace, namespaceLabels]]),
    hash: '',
    violations: [],
  };
}

function makeMaterial(references: ReturnType<typeof listReferences>, data: NamedData): Resources['material'] {
  const found = {
    Secret: new Map<ObjectKey, Map<string, Uint8Array>>(),
    ConfigMap: new Map<ObjectKey, Map<string, Uint8Array>>(),
  };
  const hosts = new Map<ObjectKey, readonly string[]>();
  for (const { kind, key, dataKeys } of references) {
    if (kind !== 'Secret' && kind !== 'ConfigMap') continue;
    const entry = data.find(kind, key);
    const values = found[kind].get(key) ?? new Map<string, Uint8Array>();
    for (const dataKey of dataKeys) {
      values.set(dataKey, new Uint8Array(Buffer.from(entry?.data.get(dataKey) ?? '', 'base64')));
    }
    found[kind].set(key, values);
    if (kind === 'Secret' && entry?.allowedHosts !== undefined) hosts.set(key, entry.allowedHosts);
  }
  return createMaterial(found.Secret, found.ConfigMap, hosts);
}
