/** Manifests of one file: each document becomes an entry, whatever is wrong with its neighbours (S6). */
import { isKind, isSallyportObject, parseObject } from '../api/parse.ts';
import { itemPath } from '../api/field-path.ts';
import type { SallyportObject } from '../api/kinds/index.ts';
import { parseMetadata, readIdentity, reportIdentity } from '../api/metadata.ts';
import { GROUP, objectKey, type InvalidObject, type Locate, type ObjectKey } from '../api/object.ts';
import { report, type Scene } from '../api/scene.ts';
import { isRawObject } from '../api/value.ts';
import type { Violation } from '../api/violation.ts';
import { nearestName, quote } from '../api/words.ts';
import { ALLOWED_HOSTS, parseAllowedHosts } from '../policy/allowed-hosts.ts';
import { parseData, type Data } from './manifest-material.ts';
import { createFileViolation, readYaml, type ReadDocument } from './yaml-documents.ts';

/** What one document says. `id` is `Kind namespace/name`. */
export type Entry = {
  readonly id: string;
  readonly locate: Locate;
} & Content;

export type Content =
  | { readonly sort: 'object'; readonly object: SallyportObject }
  | { readonly sort: 'invalid'; readonly invalid: InvalidObject }
  | {
      readonly sort: 'material';
      readonly kind: 'Secret' | 'ConfigMap';
      readonly key: ObjectKey;
      readonly data: Data;
      /** Of a Secret: to whom alone it may be presented. */
      readonly hosts?: readonly string[];
    }
  | { readonly sort: 'namespace'; readonly name: string; readonly labels: Readonly<Record<string, string>> }
  /** A Secret, ConfigMap or Namespace that could not be read. */
  | { readonly sort: 'broken' };

export interface FileContent {
  readonly entries: readonly Entry[];
  readonly violations: readonly Violation[];
  /**
   * False: something in the file cannot be told apart as an object (broken YAML, no kind, no name), so nobody knows
   * what is missing and the file's last content stays in force as a whole.
   */
  readonly readable: boolean;
}

export interface ManifestOptions {
  /** Of namespaced objects that name none. */
  readonly defaultNamespace: string;
}

/** Of one file, those of its lists included; the API server has more, but nobody writes them into one file. */
const MOST_OBJECTS = 10_000;
/** Problems told of one file. */
const MOST_VIOLATIONS = 100;

/** Reads one file's text. `file` is the name that positions carry. */
export function parseManifests(file: string, text: string, options: ManifestOptions): FileContent {
  const read = readYaml(file, text);
  if (read.documents === undefined) return { entries: [], violations: [read.violation], readable: false };
  const documents = read.documents.flatMap(unfoldList);
  if (documents.length > MOST_OBJECTS) {
    const violation = createFileViolation(file, `holds more than ${MOST_OBJECTS} objects`, 'split it');
    return { entries: [], violations: [violation], readable: false };
  }
  const parts = documents.map(document => parseDocument(document, options));
  return {
    entries: parts.flatMap(part => part.entry ?? []),
    violations: boundViolations(file, parts),
    readable: parts.every(part => part.readable),
  };
}

/** The same for objects as the API server holds them: they have no file, so problems carry no position. */
export function parseLiveObjects(values: readonly unknown[]): FileContent {
  const locate: Locate = () => undefined;
  const parts = values.map(value => parseDocument({ value, locate }, { defaultNamespace: 'default' }));
  return {
    entries: parts.flatMap(part => part.entry ?? []),
    violations: parts.flatMap(part => part.violations),
    readable: parts.every(part => part.readable),
  };
}

/** The first ones, and how many more there are: errors go before warnings, so that none is lost for a warning's sake. */
function boundViolations(file: string, parts: readonly Part[]): readonly Violation[] {
  const all = parts.flatMap(part => part.violations);
  if (all.length <= MOST_VIOLATIONS) return all;
  const errors = all.filter(({ severity }) => severity === 'error');
  const first = new Set([...errors.slice(0, MOST_VIOLATIONS), ...all].slice(0, MOST_VIOLATIONS));
  const told = all.filter(violation => first.has(violation));
  const more = createFileViolation(file, `and ${all.length - told.length} more problems`, 'mend those that are named');
  return [...told, errors.length > 0 ? more : { ...more, severity: 'warning' }];
}

interface Part {
  readonly entry?: Entry;
  readonly violations: readonly Violation[];
  readonly readable: boolean;
}

/** `kind: List`, as `kubectl get -o yaml` prints it. Lists in lists are not unfolded: nothing prints them. */
function unfoldList({ value, locate }: ReadDocument): ReadDocument[] {
  if (!isRawObject(value) || value['kind'] !== 'List' || value['apiVersion'] !== 'v1') return [{ value, locate }];
  const items: unknown = value['items'];
  if (!Array.isArray(items)) return [];
  return items.map((item: unknown, index) => {
    const base = itemPath('items', index);
    return {
      value: item,
      locate: field => locate(field === '' || field.startsWith('[') ? `${base}${field}` : `${base}.${field}`),
    };
  });
}

function parseDocument(document: ReadDocument, options: ManifestOptions): Part {
  const { value, locate } = document;
  const header = readHeader(value);
  if (header === undefined || isSallyportObject(value)) return parseOwn(value, locate, options);
  const { apiVersion, kind } = header;
  if (isRawObject(value) && apiVersion === 'v1' && isCoreKind(kind)) return parseCore(kind, value, locate, options);
  return isKind(kind) ? judgeForeignGroup(kind, apiVersion, locate) : { violations: [], readable: true };
}

function readHeader(value: unknown): { apiVersion: string; kind: string } | undefined {
  if (!isRawObject(value)) return undefined;
  const { apiVersion, kind } = value;
  return typeof apiVersion === 'string' && typeof kind === 'string' ? { apiVersion, kind } : undefined;
}

function parseOwn(value: unknown, locate: Locate, { defaultNamespace }: ManifestOptions): Part {
  const result = parseObject(value, locate, { defaultNamespace });
  const { violations } = result;
  if (result.object !== undefined) {
    const { object } = result;
    return {
      entry: { id: `${object.kind} ${object.key}`, locate, sort: 'object', object },
      violations,
      readable: true,
    };
  }
  const { invalid } = result;
  if (invalid === undefined) return { violations, readable: false };
  const id = `${invalid.kind} ${objectKey(invalid.namespace, invalid.name)}`;
  return { entry: { id, locate, sort: 'invalid', invalid }, violations, readable: true };
}

/** Other products have an AuthPolicy too; a misspelt group of ours must not pass for one of them. */
function judgeForeignGroup(kind: string, apiVersion: string, locate: Locate): Part {
  const scene = createScene(kind, false, locate);
  const group = apiVersion.split('/')[0] ?? '';
  if (nearestName(group, [GROUP]) !== undefined || group.includes('sallyport')) {
    report(scene, 'error', 'apiVersion', `${quote(apiVersion)} is not known`, `write ${GROUP}/v1alpha1`);
    return { violations: scene.violations, readable: false };
  }
  report(
    scene,
    'warning',
    'apiVersion',
    `is of another group, so this ${kind} is ignored`,
    `write ${GROUP}/v1alpha1 if it is meant for Sallyport`,
  );
  return { violations: scene.violations, readable: true };
}

type CoreKind = 'Secret' | 'ConfigMap' | 'Namespace';
const isCoreKind = (kind: string): kind is CoreKind =>
  kind === 'Secret' || kind === 'ConfigMap' || kind === 'Namespace';

const createScene = (object: string, clusterScoped: boolean, locate: Locate): Scene => ({
  object,
  clusterScoped,
  violations: [],
  locate,
});

function parseCore(
  kind: CoreKind,
  value: Readonly<Record<string, unknown>>,
  locate: Locate,
  options: ManifestOptions,
): Part {
  const clusterScoped = kind === 'Namespace';
  const metadata = Object.hasOwn(value, 'metadata') ? value['metadata'] : undefined;
  const identity = readIdentity(metadata, clusterScoped, options.defaultNamespace);
  const key = identity === undefined ? undefined : objectKey(identity.namespace, identity.name);
  const scene = createScene(key === undefined ? kind : `${kind} ${key}`, clusterScoped, locate);
  if (identity === undefined || key === undefined) {
    reportIdentity(metadata, scene);
    return { violations: scene.violations, readable: false };
  }
  const { labels, annotations } = parseMetadata(metadata, identity, scene);
  const allowed = kind === 'Secret' ? annotations[ALLOWED_HOSTS] : undefined;
  const hosts = allowed === undefined ? {} : { hosts: parseAllowedHosts(allowed) };
  const content: Content =
    kind === 'Namespace'
      ? { sort: 'namespace', name: identity.name, labels }
      : { sort: 'material', kind, key, data: parseData(kind, value, scene), ...hosts };
  const base = { id: `${kind} ${key}`, locate };
  const entry: Entry = scene.violations.length === 0 ? { ...base, ...content } : { ...base, sort: 'broken' };
  return { entry, violations: scene.violations, readable: true };
}
