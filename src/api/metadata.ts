/** Metadata of any object: name, namespace, labels, annotations by the rules of the API server. */
import { memberPath } from './field-path.ts';
import type { ObjectMeta } from './object.ts';
import { DNS_LABEL, DNS_SUBDOMAIN } from './kinds/shared.ts';
import { refuse, type Scene } from './scene.ts';
import { isRawObject } from './value.ts';
import { describeValue, nearestName, quote } from './words.ts';

const LABEL_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const SUBDOMAIN = new RegExp(DNS_SUBDOMAIN);
const LABEL = new RegExp(DNS_LABEL);
const ANNOTATIONS_LENGTH = 262_144;
const MOST_LABELS = 256;

/** Written by the API server or of no meaning here; accepted so that `kubectl get -o yaml` can be read back. */
const IGNORED = [
  'generateName',
  'uid',
  'resourceVersion',
  'managedFields',
  'ownerReferences',
  'finalizers',
  'selfLink',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];
const KNOWN = ['name', 'namespace', 'labels', 'annotations', 'generation', 'creationTimestamp', ...IGNORED];

export interface Identity {
  readonly name: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
}

/** The label key syntax of Kubernetes: an optional DNS subdomain and `/`, then a name. */
export function isLabelKey(key: string): boolean {
  const [prefix, name, more] = key.split('/');
  if (name === undefined) return LABEL_NAME.test(key);
  return more === undefined && prefix !== undefined && isObjectName(prefix) && LABEL_NAME.test(name);
}

export const isLabelValue = (value: string): boolean => value === '' || LABEL_NAME.test(value);
const isObjectName = (text: string): boolean => text.length <= 253 && SUBDOMAIN.test(text);
const isNamespaceName = (text: string): boolean => text.length <= 63 && LABEL.test(text);

/** Name and namespace as far as they can be read, without reporting; undefined when there is no usable name. */
export function readIdentity(
  metadata: unknown,
  clusterScoped: boolean,
  defaultNamespace: string,
): Identity | undefined {
  if (!isRawObject(metadata)) return undefined;
  const name = Object.hasOwn(metadata, 'name') ? metadata['name'] : undefined;
  if (typeof name !== 'string' || !isObjectName(name)) return undefined;
  if (clusterScoped) return { name, namespace: '' };
  const namespace = Object.hasOwn(metadata, 'namespace') ? metadata['namespace'] : defaultNamespace;
  return typeof namespace === 'string' && isNamespaceName(namespace) ? { name, namespace } : undefined;
}

/** Labels whose key and value can be read, others left out: what is known of an object that is otherwise bad. */
export function readLabels(metadata: unknown): Readonly<Record<string, string>> {
  const labels = isRawObject(metadata) && Object.hasOwn(metadata, 'labels') ? metadata['labels'] : undefined;
  const read = Object.create(null) as Record<string, string>;
  if (!isRawObject(labels)) return read;
  for (const key of Object.keys(labels).slice(0, MOST_LABELS)) {
    const value = labels[key];
    if (typeof value === 'string' && isLabelKey(key) && isLabelValue(value)) read[key] = value;
  }
  return read;
}

/** Reports what is wrong with `metadata`; the caller knows from the scene's violations whether the result may be used. */
export function parseMetadata(metadata: unknown, identity: Identity, scene: Scene): ObjectMeta {
  const raw = isRawObject(metadata) ? metadata : {};
  for (const key of Object.keys(raw)) {
    if (KNOWN.includes(key)) continue;
    const near = nearestName(key, KNOWN);
    refuse(
      scene,
      memberPath('metadata', key),
      'is not a known field',
      near === undefined ? 'remove it' : `did you mean "${near}"?`,
    );
  }
  if (scene.clusterScoped && Object.hasOwn(raw, 'namespace')) {
    refuse(scene, 'metadata.namespace', 'the kind is cluster-scoped and has no namespace', 'remove it');
  }
  const own = (key: string): unknown => (Object.hasOwn(raw, key) ? raw[key] : undefined);
  return {
    ...identity,
    labels: parseLabels(own('labels'), 'metadata.labels', scene),
    annotations: parseAnnotations(own('annotations'), scene),
    generation: parseGeneration(own('generation'), scene),
    createdAt: parseTime(own('creationTimestamp'), scene),
  };
}

/** Says why `readIdentity` found nothing. */
export function reportIdentity(metadata: unknown, scene: Scene): void {
  if (!isRawObject(metadata)) {
    refuse(scene, 'metadata', `${describeValue(metadata)}, but an object is wanted`, 'write metadata: {name: …}');
    return;
  }
  const name = Object.hasOwn(metadata, 'name') ? metadata['name'] : undefined;
  const wanted = 'lower-case letters, digits, - and ., at most 253 characters';
  if (typeof name !== 'string') {
    const problem = name === undefined ? 'is missing' : `${describeValue(name)}, but text is wanted`;
    refuse(scene, 'metadata.name', problem, `write a name: ${wanted}`);
  } else if (!isObjectName(name)) {
    refuse(scene, 'metadata.name', `${quote(name)} is not an object name`, `write ${wanted}`);
  }
  const namespace = Object.hasOwn(metadata, 'namespace') ? metadata['namespace'] : undefined;
  if (scene.clusterScoped || namespace === undefined) return;
  if (typeof namespace === 'string' && isNamespaceName(namespace)) return;
  const problem =
    typeof namespace === 'string' ? `${quote(namespace)} is not a namespace’s name` : describeValue(namespace);
  refuse(scene, 'metadata.namespace', problem, 'write lower-case letters, digits and -, at most 63 characters');
}

/** Labels, checked as the API server does; null-prototype, since keys come from users. */
export function parseLabels(raw: unknown, field: string, scene: Scene): Readonly<Record<string, string>> {
  const labels = Object.create(null) as Record<string, string>;
  if (raw === undefined) return labels;
  if (!isRawObject(raw)) {
    refuse(
      scene,
      field,
      `${describeValue(raw)}, but names and values are wanted`,
      'write lines of the form name: value',
    );
    return labels;
  }
  if (Object.keys(raw).length > MOST_LABELS)
    refuse(scene, field, 'has too many entries', `write at most ${MOST_LABELS}`);
  for (const [key, value] of Object.entries(raw).slice(0, MOST_LABELS)) {
    const at = memberPath(field, key);
    if (!isLabelKey(key)) {
      refuse(
        scene,
        at,
        `${quote(key)} is not a label’s name`,
        'write at most 63 letters, digits, -, _ and ., optionally after prefix/',
      );
    } else if (typeof value !== 'string') {
      refuse(scene, at, `${describeValue(value)}, but text is wanted`, 'write the value in quotes');
    } else if (!isLabelValue(value)) {
      refuse(scene, at, `${quote(value)} is not a label’s value`, 'write at most 63 letters, digits, -, _ and .');
    } else labels[key] = value;
  }
  return labels;
}

function parseAnnotations(raw: unknown, scene: Scene): Readonly<Record<string, string>> {
  const annotations = Object.create(null) as Record<string, string>;
  if (raw === undefined) return annotations;
  if (!isRawObject(raw)) {
    const problem = `${describeValue(raw)}, but names and values are wanted`;
    refuse(scene, 'metadata.annotations', problem, 'write lines of the form name: value');
    return annotations;
  }
  let length = 0;
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value !== 'string') {
      const at = memberPath('metadata.annotations', key);
      refuse(scene, at, `${describeValue(value)}, but text is wanted`, 'write the value in quotes');
      continue;
    }
    length += key.length + value.length;
    annotations[key] = value;
  }
  if (length > ANNOTATIONS_LENGTH) refuse(scene, 'metadata.annotations', 'is longer than 256Ki', 'shorten it');
  return annotations;
}

function parseGeneration(raw: unknown, scene: Scene): number {
  if (raw === undefined) return 1;
  if (typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 1) return raw;
  refuse(scene, 'metadata.generation', `${describeValue(raw)}, but a whole number from 1 on is wanted`, 'remove it');
  return 1;
}

function parseTime(raw: unknown, scene: Scene): number {
  // The API server and its tools print null for an object that was not created yet.
  if (raw === undefined || raw === null) return 0;
  const ms = typeof raw === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(raw) ? Date.parse(raw) : NaN;
  if (!Number.isNaN(ms)) return ms;
  refuse(scene, 'metadata.creationTimestamp', `${describeValue(raw)}, but a time is wanted`, 'remove it');
  return 0;
}
