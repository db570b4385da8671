/**
 * credentials: floor 2. What the sidecar presents to the app and to services: the mesh certificate. May import api/, http/,
 * x509/, policy/, telemetry/, material/ and outbound/.
 */
import { readFileSync } from 'node:fs';
import type { ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { CredentialPlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { readPair, type ClientCertificate, type PairProblem } from './key-pair.ts';
import {
  createPairFiles,
  type FilePair,
  type HeldPair,
  type PairFiles,
  type ReadFile,
  type WatchFiles,
} from './pair-files.ts';
import { createWatchFiles } from './watch-files.ts';

export type { ClientCertificate } from './key-pair.ts';

export interface CredentialsOptions {
  /** Default: the file system. */
  readonly readFile?: ReadFile;
  /** Default: by notifications and by looking every 30 s. */
  readonly watch?: WatchFiles;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Stands in for `meshCertificate.managed` in standalone mode; absent: managed credentials are missing. */
  readonly meshCertificate?: FilePair;
  /** A certificate in a file has changed: prepare a new view and publish a new generation. */
  readonly onChange?: () => void;
}

export interface CredentialStatus {
  readonly key: ObjectKey;
  readonly from: 'managed' | 'secret' | 'files' | 'none';
  /** Of the certificate in force, so that app owners can pin it; absent when there is none. */
  readonly certificate?: { readonly sha1: string; readonly sha256: string; readonly notAfter: number };
  /** Of the newest content; the last good certificate may still be in force. */
  readonly problem?: PairProblem;
}

export interface CredentialView {
  /** The certificate to present; undefined when there is none (503 CredentialUnavailable) or the credential is of another sort. */
  clientCertificate(key: ObjectKey): ClientCertificate | undefined;
  /** For `sallyport status`. Never holds a key. */
  status(): readonly CredentialStatus[];
}

export interface Credentials {
  /** The view of one snapshot: what it hands out does not change while requests hold it. */
  prepare(credentials: ReadonlyMap<ObjectKey, CredentialPlan>, material: Material): CredentialView;
  close(): void;
}

interface Prepared {
  readonly from: CredentialStatus['from'];
  readonly held: HeldPair;
}

const NONE: HeldPair = { pair: undefined, problem: 'MISSING' };

export function createCredentials(options: CredentialsOptions): Credentials {
  const { readFile = readFileSync, watch = createWatchFiles(), log, onChange = (): void => undefined } = options;
  const files = createPairFiles({ readFile, watch, log, onChange });
  let secrets = new Map<ObjectKey, ClientCertificate>();
  return {
    prepare(plans, material) {
      const prepared = new Map<ObjectKey, Prepared>();
      const good = new Map<ObjectKey, ClientCertificate>();
      for (const [key, plan] of plans) {
        const source = findSource(plan, options.meshCertificate);
        const held =
          source.from === 'secret'
            ? holdSecret(plan, source.secret, material, secrets.get(source.secret), log)
            : holdFiles(files, source.files);
        prepared.set(key, { from: source.from, held });
        if (source.from === 'secret' && held.pair !== undefined) good.set(source.secret, held.pair);
      }
      secrets = good;
      files.retain([...plans.values()].flatMap(plan => findSource(plan, options.meshCertificate).files ?? []));
      return createView(prepared, options.metrics);
    },
    close: () => files.close(),
  };
}

type PairSource =
  | { readonly from: 'managed' | 'files' | 'none'; readonly files: FilePair | undefined }
  | { readonly from: 'secret'; readonly secret: ObjectKey; readonly files: undefined };

function findSource({ spec, namespace }: CredentialPlan, mesh: FilePair | undefined): PairSource {
  const certificate = spec.meshCertificate;
  if (certificate?.secretName !== undefined) {
    return { from: 'secret', secret: objectKey(namespace, certificate.secretName), files: undefined };
  }
  if (certificate?.files !== undefined) {
    const { certificate: certificateFile, key: keyFile } = certificate.files;
    return { from: 'files', files: { certificateFile, keyFile } };
  }
  return certificate?.managed === undefined ? { from: 'none', files: undefined } : { from: 'managed', files: mesh };
}

const holdFiles = (files: PairFiles, pair: FilePair | undefined): HeldPair =>
  pair === undefined ? NONE : files.hold(pair);

/** A Secret that is gone is gone (S6); one whose content cannot be used keeps its last good pair. */
function holdSecret(
  plan: CredentialPlan,
  secret: ObjectKey,
  material: Material,
  last: ClientCertificate | undefined,
  log: Log,
): HeldPair {
  const data = material.secret(secret);
  const [certificate, key] = [data?.get('tls.crt'), data?.get('tls.key')];
  if (data === undefined || certificate === undefined || key === undefined) {
    log.warn({ credential: plan.key, secret, code: 'MISSING' }, 'the Secret of a credential is missing');
    return NONE;
  }
  const reading = readPair(Buffer.from(certificate).toString('utf8'), Buffer.from(key).toString('utf8'));
  if ('pair' in reading) return { pair: reading.pair, problem: undefined };
  const fields = { credential: plan.key, secret, code: reading.problem, lastGoodKept: last !== undefined };
  log.warn(fields, 'the Secret of a credential cannot be used');
  return { pair: last, problem: reading.problem };
}

function createView(prepared: ReadonlyMap<ObjectKey, Prepared>, metrics: Metrics | undefined): CredentialView {
  for (const [key, { held }] of prepared) {
    if (held.pair === undefined) continue;
    const use = `credential ${key}`;
    metrics?.gauge('sallyport_certificate_expiry_timestamp_seconds', held.pair.notAfter / 1000, { use });
  }
  return {
    clientCertificate: key => prepared.get(key)?.held.pair,
    status: () => [...prepared].map(([key, { from, held }]) => describe(key, from, held)),
  };
}

function describe(key: ObjectKey, from: CredentialStatus['from'], { pair, problem }: HeldPair): CredentialStatus {
  return {
    key,
    from,
    ...(pair === undefined ? {} : { certificate: { sha1: pair.sha1, sha256: pair.sha256, notAfter: pair.notAfter } }),
    ...(problem === undefined ? {} : { problem }),
  };
}
