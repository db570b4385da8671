/**
 * Parses one object of the group, by the same rules for files, the cluster and the webhook. Pure: bad input of any shape
 * is a list of violations, all of them at once, never an exception.
 */
import { memberPath } from './field-path.ts';
import { KINDS, type KindName, type SallyportObject } from './kinds/index.ts';
import { parseMetadata, readIdentity, readLabels, reportIdentity, type Identity } from './metadata.ts';
import { API_VERSION, GROUP, objectKey, type InvalidObject, type Locate } from './object.ts';
import { narrow } from './schema.ts';
import { BAD, refuse, refuseUnknown, type Scene } from './scene.ts';
import { isRawObject, parseValue } from './value.ts';
import type { Violation } from './violation.ts';
import { describeValue, listWords, nearestName, quote } from './words.ts';

export type ParseResult =
  /** `violations` are warnings. */
  | { readonly object: SallyportObject; readonly violations: readonly Violation[]; readonly invalid?: never }
  /**
   * `invalid` is what is known of an object of a known kind with a usable name (S6 keeps its last good generation).
   * Without it nobody can tell which object this was meant to be.
   */
  | { readonly object?: never; readonly violations: readonly Violation[]; readonly invalid?: InvalidObject };

export interface ParseOptions {
  /** Of namespaced objects that name none; default `default`. */
  readonly defaultNamespace?: string;
}

const TOP_LEVEL = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
const KIND_NAMES = Object.keys(KINDS);

/** True when the value says that it belongs to this group, whatever its version and kind. */
export function isSallyportObject(raw: unknown): boolean {
  const apiVersion = isRawObject(raw) && Object.hasOwn(raw, 'apiVersion') ? raw['apiVersion'] : undefined;
  return typeof apiVersion === 'string' && (apiVersion === GROUP || apiVersion.startsWith(`${GROUP}/`));
}

export const isKind = (kind: unknown): kind is KindName => typeof kind === 'string' && Object.hasOwn(KINDS, kind);

/** One raw object of the group to a parsed one. `locate` gives positions to violations and stays on the object. */
export function parseObject(raw: unknown, locate?: Locate, options: ParseOptions = {}): ParseResult {
  if (!isRawObject(raw)) {
    const scene = createScene('', false, locate);
    refuse(
      scene,
      '',
      `the document ${describeValue(raw)}, but an object is wanted`,
      `write apiVersion: ${API_VERSION} and kind`,
    );
    return { violations: scene.violations };
  }
  const own = (key: string): unknown => (Object.hasOwn(raw, key) ? raw[key] : undefined);
  const kind = own('kind');
  if (!isKind(kind)) return refuseKind(kind, own('apiVersion'), locate);
  const clusterScoped = KINDS[kind].scope === 'Cluster';
  const identity = readIdentity(own('metadata'), clusterScoped, options.defaultNamespace ?? 'default');
  const scene = createScene(nameObject(kind, identity), clusterScoped, locate);
  checkVersion(own('apiVersion'), scene);
  if (identity === undefined) reportIdentity(own('metadata'), scene);
  checkTopLevel(raw, scene);
  const meta = parseMetadata(own('metadata'), identity ?? { name: '', namespace: '' }, scene);
  const spec = parseSpec(kind, own('spec'), scene);
  if (identity !== undefined && spec !== BAD && scene.violations.every(violation => violation.severity === 'warning')) {
    const key = objectKey(identity.namespace, identity.name);
    // The schema of this kind made the spec, so kind and spec belong together; the compiler cannot follow that.
    const object = { kind, meta, key, spec, ...(locate === undefined ? {} : { locate }) } as SallyportObject;
    return { object, violations: scene.violations };
  }
  if (identity === undefined) return { violations: scene.violations };
  const invalid = { kind, ...identity, labels: readLabels(own('metadata')), manifest: raw };
  return { violations: scene.violations, invalid };
}

const createScene = (object: string, clusterScoped: boolean, locate: Locate | undefined): Scene => ({
  object,
  clusterScoped,
  violations: [],
  locate,
});

const nameObject = (kind: string, identity: Identity | undefined): string =>
  identity === undefined ? kind : `${kind} ${objectKey(identity.namespace, identity.name)}`;

function checkVersion(apiVersion: unknown, scene: Scene): void {
  if (apiVersion === API_VERSION) return;
  const problem = typeof apiVersion === 'string' ? `${quote(apiVersion)} is not known` : describeValue(apiVersion);
  refuse(scene, 'apiVersion', problem, `write ${API_VERSION}`);
}

function refuseKind(kind: unknown, apiVersion: unknown, locate: Locate | undefined): ParseResult {
  const scene = createScene(typeof kind === 'string' && kind.length <= 63 ? kind : '', false, locate);
  checkVersion(apiVersion, scene);
  if (typeof kind === 'string') {
    const near = nearestName(kind, KIND_NAMES);
    const fix = near === undefined ? `write ${listWords(KIND_NAMES, 'or')}` : `did you mean "${near}"?`;
    refuse(scene, 'kind', `${quote(kind)} is not a kind of ${GROUP}`, fix);
  } else refuse(scene, 'kind', describeValue(kind), `write ${listWords(KIND_NAMES, 'or')}`);
  return { violations: scene.violations };
}

function checkTopLevel(raw: Readonly<Record<string, unknown>>, scene: Scene): void {
  for (const key of Object.keys(raw)) {
    if (TOP_LEVEL.includes(key)) continue;
    const near = nearestName(key, TOP_LEVEL);
    const fix = near === undefined ? 'remove it, or move it below spec' : `did you mean "${near}"?`;
    refuseUnknown(scene, memberPath('', key), 'is not a known field', fix);
  }
}

function parseSpec(kind: KindName, raw: unknown, scene: Scene): unknown {
  if (raw === undefined) return refuse(scene, 'spec', 'is missing', 'add spec: {…}');
  return parseValue(narrow(KINDS[kind].spec), raw, 'spec', scene);
}
