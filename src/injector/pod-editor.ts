/** Changes to a pod and the JSON patch (RFC 6902) that makes them: both come from the same calls, so they agree. */
import type { Pod } from './pod.ts';

export type Operation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

export type Path = readonly (string | number)[];

export interface PodEditor {
  /** With every change so far. The pod that was given is never changed. */
  readonly pod: Pod;
  readonly operations: readonly Operation[];
  /** Adds a member, or inserts an item before the index. An object or list that is missing on the way is added first. */
  add(path: Path, value: unknown): void;
  replace(path: Path, value: unknown): void;
  remove(path: Path): void;
}

type Parent = Record<string, unknown> | unknown[];

export function createPodEditor(original: Pod): PodEditor {
  const pod = structuredClone(original);
  const operations: Operation[] = [];

  const findParent = (path: Path): Parent => {
    let at: unknown = pod;
    for (const segment of path.slice(0, -1)) at = (at as Record<string | number, unknown>)[segment];
    return at as Parent;
  };
  const addMissing = (path: Path): void => {
    for (let length = 1; length < path.length; length += 1) {
      const parent = path.slice(0, length);
      const holder = findParent(parent) as Record<string, unknown>;
      const name = String(parent.at(-1));
      if (holder[name] !== undefined) continue;
      const value = typeof path[length] === 'number' ? [] : {};
      holder[name] = value;
      operations.push({ op: 'add', path: writePointer(parent), value: structuredClone(value) });
    }
  };

  return {
    pod,
    operations,
    add: (path, value) => {
      addMissing(path);
      const parent = findParent(path);
      const last = path.at(-1) ?? '';
      if (Array.isArray(parent)) parent.splice(Number(last), 0, structuredClone(value));
      else parent[last] = structuredClone(value);
      operations.push({ op: 'add', path: writePointer(path), value });
    },
    replace: (path, value) => {
      const parent = findParent(path) as Record<string | number, unknown>;
      parent[path.at(-1) ?? ''] = structuredClone(value);
      operations.push({ op: 'replace', path: writePointer(path), value });
    },
    remove: path => {
      const parent = findParent(path);
      const last = path.at(-1) ?? '';
      if (Array.isArray(parent)) parent.splice(Number(last), 1);
      else Reflect.deleteProperty(parent, last);
      operations.push({ op: 'remove', path: writePointer(path) });
    },
  };
}

/** RFC 6901. */
const writePointer = (path: Path): string =>
  path.map(segment => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
