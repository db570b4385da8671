/** A TokenIssuer in force: its plan, its keys, and what of both was prepared. */
import type { ObjectKey } from '../api/object.ts';
import type { MaterialRef, ServerTrust } from '../api/kinds/shared.ts';
import { objectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { IssuerPlan } from '../policy/model.ts';
import { isSymmetric, PUBLIC_KEY_ALGORITHMS } from './algorithms.ts';
import { readDecryptionKey, type DecryptionKey } from './decryption.ts';
import type { KeySource } from './key-fetch.ts';
import { makeKeyList, type KeyList } from './key-list.ts';
import type { KeySet } from './key-set.ts';
import { readJwk, readPem, readSymmetric, type KeyReading } from './verification-key.ts';

export interface Issuer {
  readonly key: ObjectKey;
  readonly plan: IssuerPlan;
  readonly algorithms: ReadonlySet<string>;
  readonly decryptionKeys: readonly DecryptionKey[];
  /** Decryption keys that are named but missing or unusable. */
  readonly decryptionProblems: number;
  readonly keys: KeySet;
}

type Reference = Pick<MaterialRef, 'secretKeyRef' | 'configMapKeyRef'>;

/** The bytes that a reference of an issuer names; undefined when they do not exist. */
export function findBytes(plan: IssuerPlan, material: Material, reference: Reference): Uint8Array | undefined {
  const { secretKeyRef: secret, configMapKeyRef: configMap } = reference;
  if (secret !== undefined) {
    return material.secret(objectKey(secret.namespace ?? plan.namespace, secret.name))?.get(secret.key);
  }
  if (configMap === undefined) return undefined;
  return material.configMap(objectKey(configMap.namespace ?? plan.namespace, configMap.name))?.get(configMap.key);
}

const decode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

export function findTrust(plan: IssuerPlan, material: Material, trust: ServerTrust | undefined): KeySource['trust'] {
  if (trust === undefined || trust.systemRoots === true) return 'systemRoots';
  const bytes = findBytes(plan, material, trust);
  return bytes === undefined ? undefined : { ca: decode(bytes) };
}

/** Where the keys are fetched; undefined when they are kept in the cluster. */
export function findSource(plan: IssuerPlan, material: Material): KeySource | undefined {
  const { discovery, jwks, issuer } = plan.spec;
  const from = discovery ?? jwks;
  if (from === undefined) return undefined;
  return {
    kind: discovery === undefined ? 'jwks' : 'discovery',
    url: from.url,
    trust: findTrust(plan, material, from.trust),
    issuer,
  };
}

export const findAlgorithms = (plan: IssuerPlan): ReadonlySet<string> =>
  new Set(plan.spec.algorithms ?? PUBLIC_KEY_ALGORITHMS);

export interface StaticKeys {
  readonly list: KeyList;
  /** MISSING_KEY when a Secret or ConfigMap does not exist, else the first key's problem; empty when all is well. */
  readonly problem: string;
}

/** The keys of `spec.keys`. */
export function readStaticKeys(plan: IssuerPlan, material: Material): StaticKeys {
  const readings: KeyReading[] = [];
  let missing = false;
  for (const entry of plan.spec.keys ?? []) {
    const bytes = findBytes(plan, material, entry);
    if (bytes === undefined) missing = true;
    else readings.push(withKeyId(readKey(bytes, mayBeSymmetric(plan, entry)), entry.kid));
  }
  const list = makeKeyList(readings);
  return { list, problem: missing ? 'MISSING_KEY' : (list.problems[0] ?? '') };
}

/** HS* must be written out, and its key must be a Secret. */
const mayBeSymmetric = (plan: IssuerPlan, entry: Reference): boolean =>
  entry.secretKeyRef !== undefined && (plan.spec.algorithms ?? []).some(isSymmetric);

/** Text that looks like PEM or JSON is read as that or refused: a public key must never serve as an HMAC secret (CVE-2026-34950). */
function readKey(bytes: Uint8Array, symmetric: boolean): KeyReading {
  const text = decode(bytes);
  if (text.includes('-----BEGIN')) return readPem(text);
  if (!text.trimStart().startsWith('{')) return symmetric ? readSymmetric(bytes) : { problem: 'NOT_A_KEY' };
  try {
    return readJwk(JSON.parse(text), { symmetric });
  } catch {
    return { problem: 'NOT_A_KEY' };
  }
}

const withKeyId = (reading: KeyReading, keyId: string | undefined): KeyReading =>
  keyId === undefined || 'problem' in reading ? reading : { key: { ...reading.key, keyId } };

/** The usable keys of `spec.decryptionKeys`, and how many of them are not. */
export function readDecryptionKeys(plan: IssuerPlan, material: Material): { keys: DecryptionKey[]; problems: number } {
  const keys: DecryptionKey[] = [];
  let problems = 0;
  for (const reference of plan.spec.decryptionKeys ?? []) {
    const bytes = findBytes(plan, material, reference);
    const key = bytes === undefined ? undefined : readDecryptionKey(decode(bytes));
    if (key === undefined) problems++;
    else keys.push(key);
  }
  return { keys, problems };
}

/** Everything of the material that an issuer uses, as one text: the same text means that nothing changed. In memory only. */
export function describeMaterial(plan: IssuerPlan, material: Material): string {
  const { discovery, jwks, keys = [], decryptionKeys = [] } = plan.spec;
  const trust = (discovery ?? jwks)?.trust;
  const references: readonly Reference[] = [...keys, ...decryptionKeys, ...(trust === undefined ? [] : [trust])];
  return references
    .map(reference => Buffer.from(findBytes(plan, material, reference) ?? []).toString('base64'))
    .join(' ');
}
