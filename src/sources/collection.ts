/**
 * All entries of a source as one set of resources: duplicates refused, last good content in the place of bad (S6),
 * generations counted. Holds what it saw before; nothing is read here.
 */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { InvalidObject, ObjectKey } from '../api/object.ts';
import type { Violation } from '../api/violation.ts';
import { canonicalize, digest } from './canonical.ts';
import { createMaterial, type Data } from './manifest-material.ts';
import type { Entry } from './manifests.ts';
import type { Resources } from './source.ts';

/** Last content of one file that could be read; `violations` are of its newest content. */
export interface CollectedFile {
  readonly entries: readonly Entry[];
  readonly violations: readonly Violation[];
  /** The newest content cannot be read: `entries` are older. */
  readonly outdated?: boolean;
}

export interface Collection {
  /** Files in order of their names. An object that is in none of them is forgotten, its last good content too. */
  collect(files: readonly CollectedFile[], complete: boolean): Resources;
}

type GoodEntry = Exclude<Entry, { sort: 'invalid' | 'broken' }>;

interface Counted {
  readonly generation: number;
  readonly specDigest: string;
}

export function createCollection(): Collection {
  let lastGood: ReadonlyMap<string, GoodEntry> = new Map();
  // Never pruned: an object that comes back must not be taken for its former self by a cache keyed by generation.
  const counted = new Map<string, Counted>();

  return {
    collect(files, complete) {
      const { entries, violations, outdated } = chooseFirst(files);
      const good = new Map<string, GoodEntry>();
      const invalid: InvalidObject[] = [];
      const kept: string[] = [];
      for (const entry of entries) {
        const chosen = isGood(entry) ? countGeneration(entry, counted) : lastGood.get(entry.id);
        if (chosen !== undefined && (!isGood(entry) || outdated.has(entry))) kept.push(entry.id);
        if (chosen !== undefined) good.set(entry.id, chosen);
        else if (entry.sort === 'invalid') invalid.push(entry.invalid);
      }
      lastGood = good;
      return createResources([...good.values()], { invalid, kept: kept.sort(), violations, complete });
    },
  };
}

const isGood = (entry: Entry): entry is GoodEntry => entry.sort !== 'invalid' && entry.sort !== 'broken';

/** Of entries with the same id the first stays. */
function chooseFirst(files: readonly CollectedFile[]) {
  const entries = new Map<string, Entry>();
  const violations: Violation[] = [];
  const outdated = new Set<Entry>();
  for (const file of files) {
    for (const violation of file.violations) violations.push(violation);
    for (const entry of file.entries) {
      const first = entries.get(entry.id);
      if (first === undefined) {
        entries.set(entry.id, entry);
        if (file.outdated === true) outdated.add(entry);
      } else violations.push(createDuplicate(entry, first));
    }
  }
  return { entries: [...entries.values()], violations, outdated };
}

function createDuplicate({ id, locate }: Entry, first: Entry): Violation {
  const [position, earlier] = [locate('metadata.name'), first.locate('metadata.name')];
  const where = earlier === undefined ? '' : ` in ${earlier.file}:${earlier.line}`;
  return {
    severity: 'error',
    object: id,
    field: 'metadata.name',
    problem: `the same object is already declared${where}, and that one counts`,
    fix: 'remove one of them, or rename it',
    ...(position === undefined ? {} : { position }),
  };
}

/** A changed spec gets a higher generation, as the API server would give it, whatever the manifest states. */
function countGeneration(entry: GoodEntry, counted: Map<string, Counted>): GoodEntry {
  if (entry.sort !== 'object') return entry;
  const { object } = entry;
  const specDigest = digest(canonicalize(object.spec));
  const before = counted.get(entry.id);
  const next = before === undefined ? 1 : before.generation + (before.specDigest === specDigest ? 0 : 1);
  const generation = Math.max(object.meta.generation, next);
  counted.set(entry.id, { generation, specDigest });
  return { ...entry, object: { ...object, meta: { ...object.meta, generation } } };
}

function createResources(
  entries: readonly GoodEntry[],
  { invalid, kept, violations, complete }: Pick<Resources, 'invalid' | 'kept' | 'violations' | 'complete'>,
): Resources {
  const objects: SallyportObject[] = [];
  const secrets = new Map<ObjectKey, Data>();
  const configMaps = new Map<ObjectKey, Data>();
  const secretHosts = new Map<ObjectKey, readonly string[]>();
  const namespaces = new Map<string, Readonly<Record<string, string>>>();
  for (const entry of entries) {
    if (entry.sort === 'object') objects.push(entry.object);
    else if (entry.sort === 'namespace') namespaces.set(entry.name, entry.labels);
    else {
      (entry.kind === 'Secret' ? secrets : configMaps).set(entry.key, entry.data);
      if (entry.hosts !== undefined) secretHosts.set(entry.key, entry.hosts);
    }
  }
  const hash = digest(
    canonicalize({
      complete,
      objects: describeObjects(objects),
      invalid,
      secrets,
      configMaps,
      secretHosts,
      namespaces,
    }),
  );
  const material = createMaterial(secrets, configMaps, secretHosts);
  return { complete, objects, invalid, kept, material, namespaces, hash, violations };
}

/** In an order of their own, so that moving an object to another file changes nothing. */
function describeObjects(objects: readonly SallyportObject[]): Readonly<Record<string, unknown>> {
  const described = Object.create(null) as Record<string, unknown>;
  for (const { kind, key, meta, spec } of objects) described[`${kind} ${key}`] = { meta, spec };
  return described;
}
