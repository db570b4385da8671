/** Objects of the group as the controller knows them: what the API server holds, parsed once, and the last good content. */
import type { KindName, SallyportObject } from '../api/kinds/index.ts';
import { API_VERSION, objectKey, type InvalidObject, type ObjectKey } from '../api/object.ts';
import { isKind, parseObject } from '../api/parse.ts';
import type { Violation } from '../api/violation.ts';
import { isRecord, type KubeMetadata, type KubeObject } from '../kube/objects.ts';
import { identify } from '../policy/inventory.ts';
import type { Condition } from './conditions.ts';

/** As the API server sends it. */
export interface RawObject extends KubeObject {
  readonly spec?: unknown;
  readonly status?: { readonly conditions?: readonly Condition[] } & Readonly<Record<string, unknown>>;
}

export interface KnownObject {
  readonly kind: KindName;
  readonly key: ObjectKey;
  /** `AuthPolicy shop/fleet`. */
  readonly id: string;
  /** Empty for the cluster kind. */
  readonly namespace: string;
  readonly metadata: KubeMetadata;
  readonly uid: string;
  readonly generation: number;
  /** The manifest without status, as it is handed to sidecars of other namespaces. */
  readonly manifest: Readonly<Record<string, unknown>>;
  /** Absent: it cannot be parsed. */
  readonly parsed?: SallyportObject;
  /** Set when it cannot be parsed. */
  readonly invalid?: InvalidObject;
  /** The newest content that could be parsed; itself, when it can. Forgotten when the controller restarts. */
  readonly lastGood?: SallyportObject;
  /** The parser’s. */
  readonly violations: readonly Violation[];
  /** What status holds, as it was last read. */
  readonly status: Readonly<Record<string, unknown>>;
  readonly conditions: readonly Condition[];
}

/** `before`: what was known of the object of this name. Changes of status alone are not parsed again. */
export function readKnownObject(kind: KindName, raw: RawObject, before?: KnownObject): KnownObject {
  const { metadata, spec, status = {} } = raw;
  const { name, namespace = '', uid = '', generation = 0 } = metadata;
  const key = objectKey(namespace, name);
  const conditions = Array.isArray(status.conditions) ? status.conditions : [];
  const isSame = before?.uid === uid && before.generation === generation && isSameMetadata(before.metadata, metadata);
  if (isSame) return { ...before, metadata, status, conditions };
  const manifest = { apiVersion: API_VERSION, kind, metadata: pickMetadata(metadata), spec };
  const { object, invalid, violations } = parseObject(manifest);
  const sameObject = before?.uid === uid ? before : undefined;
  const lastGood = object ?? sameObject?.lastGood;
  const common = { kind, key, id: identify({ kind, key }), namespace, metadata, uid, generation, manifest };
  return {
    ...common,
    violations,
    status,
    conditions,
    ...(object === undefined ? {} : { parsed: object }),
    ...(invalid === undefined ? {} : { invalid }),
    ...(lastGood === undefined ? {} : { lastGood }),
  };
}

/** Labels count in selectors; a change of them is no new generation. */
function isSameMetadata(left: KubeMetadata, right: KubeMetadata): boolean {
  return JSON.stringify(left.labels ?? {}) === JSON.stringify(right.labels ?? {});
}

function pickMetadata(metadata: KubeMetadata): Readonly<Record<string, unknown>> {
  const { name, namespace, uid, generation, creationTimestamp, labels } = metadata;
  const picked = { name, namespace, uid, generation, creationTimestamp, labels };
  return Object.fromEntries(Object.entries(picked).filter(([, value]) => value !== undefined));
}

/** `AuthPolicy shop/fleet`; empty when it has no kind or name. */
export function identifyManifest(manifest: unknown): string {
  const { kind, metadata } = isRecord(manifest) ? manifest : {};
  const { name, namespace } = isRecord(metadata) ? metadata : {};
  if (!isKind(kind) || typeof name !== 'string') return '';
  return identify({ kind, key: objectKey(typeof namespace === 'string' ? namespace : '', name) });
}
