/** Pods in manifests: themselves, and as templates of what makes them. Pure. */
import { itemPath } from '../api/field-path.ts';
import { isRawObject } from '../api/value.ts';

export interface Template {
  /** Where the pod stands in the document: empty, `spec.template`, `items[2].spec.jobTemplate.spec.template`. */
  readonly field: string;
  /** `Deployment fleet`, of what makes the pods. */
  readonly owner: string;
  /** As written; undefined: none is. */
  readonly namespace: string | undefined;
  /** Metadata and spec, of unknown shape. */
  readonly pod: unknown;
}

const APPS = 'spec.template';
/** Where the template stands, by apiVersion and kind. */
const PLACES: ReadonlyMap<string, string> = new Map([
  ['v1 Pod', ''],
  ['v1 ReplicationController', APPS],
  ['apps/v1 Deployment', APPS],
  ['apps/v1 ReplicaSet', APPS],
  ['apps/v1 StatefulSet', APPS],
  ['apps/v1 DaemonSet', APPS],
  ['batch/v1 Job', APPS],
  ['batch/v1 CronJob', 'spec.jobTemplate.spec.template'],
]);

/** All of a document; lists (`kind: List`, `PodList`, …) are looked into. */
export function findTemplates(document: unknown, field = ''): readonly Template[] {
  if (!isRawObject(document)) return [];
  const { apiVersion, kind, items } = document;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') return [];
  if (kind.endsWith('List') && Array.isArray(items)) {
    const itemKind = kind === 'List' ? undefined : kind.slice(0, -'List'.length);
    return items.flatMap((item: unknown, index) =>
      // Items of a typed list need not say again what they are.
      findTemplates(completeItem(item, apiVersion, itemKind), join(field, itemPath('items', index))),
    );
  }
  const place = PLACES.get(`${apiVersion} ${kind}`);
  if (place === undefined) return [];
  const metadata = isRawObject(document['metadata']) ? document['metadata'] : {};
  const { name, namespace } = metadata;
  return [
    {
      field: join(field, place),
      owner: `${kind} ${typeof name === 'string' ? name : '?'}`,
      namespace: typeof namespace === 'string' ? namespace : undefined,
      pod: findMember(document, place),
    },
  ];
}

const completeItem = (item: unknown, apiVersion: string, kind: string | undefined): unknown =>
  isRawObject(item) && kind !== undefined ? { apiVersion, kind, ...item } : item;

/** The document with other pods in the places of its templates. */
export function replacePods(document: unknown, pods: ReadonlyMap<string, unknown>): unknown {
  let result = document;
  for (const [field, pod] of pods) result = replaceMember(result, split(field), pod);
  return result;
}

function replaceMember(value: unknown, [segment, ...rest]: readonly (string | number)[], pod: unknown): unknown {
  if (segment === undefined) return isRawObject(value) && isRawObject(pod) ? { ...value, ...pod } : pod;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => (index === segment ? replaceMember(item, rest, pod) : item));
  }
  if (!isRawObject(value)) return value;
  return { ...value, [segment]: replaceMember(value[segment], rest, pod) };
}

const findMember = (value: unknown, field: string): unknown =>
  split(field).reduce<unknown>((at, segment) => (isRawObject(at) ? at[segment] : undefined), value);

const split = (field: string): readonly (string | number)[] =>
  field === ''
    ? []
    : field.split('.').flatMap(part => {
        const [, name = part, index] = /^(\w+)\[(\d+)\]$/.exec(part) ?? [];
        return index === undefined ? [name] : [name, Number(index)];
      });

const join = (parent: string, field: string): string =>
  parent === '' || field === '' ? parent + field : `${parent}.${field}`;

/** Without members that are null, which the API server drops too. */
export function removeNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(removeNulls);
  if (!isRawObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([key, member]) => [key, removeNulls(member)]),
  );
}
