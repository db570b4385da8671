/** Keeps issuers over snapshots: what did not change keeps its keys, what changed takes over what is still true. */
import type { ObjectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { IssuerPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import {
  describeMaterial,
  findAlgorithms,
  findSource,
  readDecryptionKeys,
  readStaticKeys,
  type Issuer,
} from './issuers.ts';
import { fetchKeys, type KeySource } from './key-fetch.ts';
import { createStaticKeySet, type KeySet } from './key-set.ts';
import { restoreKeys, saveKeys, type KeyStore } from './saved-keys.ts';
import { createRemoteKeySet, type Later, type RemoteKeySet } from './remote-key-set.ts';

export interface RegistryOptions {
  readonly fetcher: Fetcher;
  readonly log: Log;
  readonly clock: () => number;
  readonly later: Later;
  readonly random: () => number;
  /** Absent: nothing is kept over a restart. */
  readonly keyStore?: KeyStore | undefined;
}

interface Entry {
  readonly issuer: Issuer;
  /** Spec, generation and material: the same text, the same issuer. */
  readonly identity: string;
  readonly source: KeySource | undefined;
  readonly remote: RemoteKeySet | undefined;
}

export interface IssuerRegistry {
  prepare(plans: ReadonlyMap<ObjectKey, IssuerPlan>, material: Material): ReadonlyMap<ObjectKey, Issuer>;
  close(): void;
}

export function createIssuerRegistry(options: RegistryOptions): IssuerRegistry {
  let entries = new Map<ObjectKey, Entry>();
  return {
    prepare(plans, material) {
      const next = new Map<ObjectKey, Entry>();
      for (const [key, plan] of plans) next.set(key, prepareEntry(options, plan, material, entries.get(key)));
      for (const [key, old] of entries) {
        if (next.get(key)?.issuer.keys !== old.issuer.keys) old.issuer.keys.close();
      }
      entries = next;
      return new Map([...next].map(([key, { issuer }]) => [key, issuer]));
    },
    close() {
      for (const { issuer } of entries.values()) issuer.keys.close();
      entries.clear();
    },
  };
}

function prepareEntry(options: RegistryOptions, plan: IssuerPlan, material: Material, old: Entry | undefined): Entry {
  const identity = `${plan.generation} ${JSON.stringify(plan.spec)} ${describeMaterial(plan, material)}`;
  if (old?.identity === identity) return old;
  const source = findSource(plan, material);
  const decryption = readDecryptionKeys(plan, material);
  if (decryption.problems > 0) {
    options.log.warn({ issuer: plan.key, keys: decryption.problems }, 'decryption keys are missing or unusable');
  }
  const remote = source === undefined ? undefined : prepareRemote(options, plan, source, old);
  const keys: KeySet = remote ?? prepareStatic(options, plan, material, old);
  const issuer: Issuer = {
    key: plan.key,
    plan,
    algorithms: findAlgorithms(plan),
    decryptionKeys: decryption.keys,
    decryptionProblems: decryption.problems,
    keys,
  };
  return { issuer, identity, source, remote };
}

/** Keys fetched from the same place for the same issuer stay in force while new trust or times are tried. */
function prepareRemote(
  options: RegistryOptions,
  plan: IssuerPlan,
  source: KeySource,
  old: Entry | undefined,
): RemoteKeySet {
  const samePlace = old?.source?.url === source.url && old.source.issuer === source.issuer;
  const sameTimes = JSON.stringify(old?.issuer.plan.spec.cache) === JSON.stringify(plan.spec.cache);
  if (samePlace && sameTimes && old.remote !== undefined && isSameTrust(old.source, source)) return old.remote;
  return createRemoteKeySet({
    ...options,
    name: plan.key,
    load: () => fetchKeys(options.fetcher, source),
    issuer: source.issuer,
    cache: plan.spec.cache,
    inherited: samePlace
      ? old.remote?.inheritance()
      : restoreKeys(source, options.keyStore?.find(plan.key), options.clock()),
    keep: good => options.keyStore?.keep(plan.key, saveKeys(source, good)),
  });
}

const isSameTrust = (a: KeySource, b: KeySource): boolean => JSON.stringify(a.trust) === JSON.stringify(b.trust);

/**
 * Content that cannot be read keeps the last good keys. A key that is gone is gone: taking it away is how one revokes it,
 * and the requests that need it are 503 (S6).
 */
function prepareStatic(options: RegistryOptions, plan: IssuerPlan, material: Material, old: Entry | undefined): KeySet {
  const { list, problem } = readStaticKeys(plan, material);
  if (problem !== '')
    options.log.warn({ issuer: plan.key, code: problem }, 'a key of the issuer is missing or unusable');
  const isBroken = list.keys.length === 0 && problem !== '' && problem !== 'MISSING_KEY';
  const sameSpec = JSON.stringify(old?.issuer.plan.spec) === JSON.stringify(plan.spec);
  if (isBroken && sameSpec && old !== undefined) return old.issuer.keys;
  return createStaticKeySet(plan.spec.issuer ?? '', list, problem);
}
