/**
 * credentials: floor 2. What the sidecar presents to the app and to services: certificates, and headers with tokens, keys
 * or a signed context. May import api/, http/, x509/, policy/, telemetry/, material/ and outbound/.
 */
import { readFileSync } from 'node:fs';
import type { ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import { isAllowedHost, type HostPort } from '../policy/allowed-hosts.ts';
import type { CredentialPlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { CredentialProblem, HeaderSort, Occasion, PresentedHeader } from './header-credential.ts';
import { createHeaderCredentials, type PreparedHeader } from './header-credentials.ts';
import { readPair, type ClientCertificate, type PairProblem } from './key-pair.ts';
import { createManagedCertificates, type ManagedCertificates, type ManagedOptions } from './managed-certificates.ts';
import {
  createPairFiles,
  type FilePair,
  type HeldPair,
  type PairFiles,
  type ReadFile,
  type WatchFiles,
} from './pair-files.ts';
import type { PublicKey } from './signing-key.ts';
import { createWatchFiles } from './watch-files.ts';

export type { Occasion, PresentedHeader } from './header-credential.ts';
export type { ClientCertificate } from './key-pair.ts';
export type { PublicKey } from './signing-key.ts';

export interface CredentialsOptions {
  /** Default: the file system. */
  readonly readFile?: ReadFile;
  /** Default: by notifications and by looking every 30 s. */
  readonly watch?: WatchFiles;
  readonly log: Log;
  readonly metrics?: Metrics;
  /** Stands in for `meshCertificate.managed` in standalone mode; absent: managed credentials are missing. */
  readonly meshCertificate?: FilePair;
  /** `meshCertificate.managed` in a cluster: the controller signs. Not beside `meshCertificate`. */
  readonly managed?: Omit<ManagedOptions, 'log' | 'onChange'>;
  /** A certificate in a file or of the controller has changed: prepare a new view and publish a new generation. */
  readonly onChange?: () => void;
  /** For the header sorts; absent: none of them can be presented. */
  readonly outbound?: { readonly fetcher: Fetcher; readonly clock: () => number; readonly random: () => number };
}

export interface CredentialStatus {
  readonly key: ObjectKey;
  readonly from: 'managed' | 'secret' | 'files' | 'none' | HeaderSort;
  /** Of the certificate in force, so that app owners can pin it; absent when there is none. */
  readonly certificate?: { readonly sha1: string; readonly sha256: string; readonly notAfter: number };
  /** Of a header sort: until when what is held may be presented, milliseconds since the epoch. */
  readonly validUntil?: number;
  /** Of the newest content or call; the last good certificate or token may still be in force. */
  readonly problem?: PairProblem | CredentialProblem;
}

export interface CredentialView {
  /**
   * The certificate to present to `host`; undefined when there is none (503 CredentialUnavailable), its Secret may not be
   * presented there, or the credential is of another sort.
   */
  clientCertificate(key: ObjectKey, host?: HostPort): ClientCertificate | undefined;
  /** The header to send to `host`, at once or when it has come; undefined as above. A promise never rejects. */
  present(
    key: ObjectKey,
    host: HostPort,
    occasion: Occasion,
  ): PresentedHeader | undefined | Promise<PresentedHeader | undefined>;
  /** The back end answered 401 to what was presented. */
  refused(key: ObjectKey, now: number): void;
  /** For `sallyport status`. Never holds a key. */
  status(): readonly CredentialStatus[];
}

export interface Credentials {
  /** The view of one snapshot: what it hands out does not change while requests hold it. */
  prepare(credentials: ReadonlyMap<ObjectKey, CredentialPlan>, material: Material): CredentialView;
  /** By which signed contexts are verified: published at `/.well-known/jwks.json`. */
  publicKeys(): readonly PublicKey[];
  /** Resolves when every token endpoint of the first generation was asked once. */
  ready(): Promise<void>;
  close(): void;
}

interface Prepared {
  readonly from: CredentialStatus['from'];
  readonly held: HeldPair;
  /** The Secret it is from. */
  readonly secret?: ObjectKey;
}

const NONE: HeldPair = { pair: undefined, problem: 'MISSING' };

export function createCredentials(options: CredentialsOptions): Credentials {
  const { readFile = readFileSync, watch = createWatchFiles(), log, onChange = (): void => undefined } = options;
  const files = createPairFiles({ readFile, watch, log, onChange });
  const managed = options.managed && createManagedCertificates({ ...options.managed, log, onChange });
  const headers = options.outbound && createHeaderCredentials({ ...options.outbound, log });
  let secrets = new Map<ObjectKey, ClientCertificate>();
  return {
    prepare(plans, material) {
      const prepared = new Map<ObjectKey, Prepared>();
      const good = new Map<ObjectKey, ClientCertificate>();
      for (const [key, plan] of plans) {
        if (plan.spec.meshCertificate === undefined) continue;
        const source = findSource(plan, options.meshCertificate);
        const held =
          source.from === 'secret'
            ? holdSecret(plan, source.secret, material, secrets.get(source.secret), log)
            : (holdManaged(managed, plan) ?? holdFiles(files, source.files));
        prepared.set(key, { from: source.from, held, ...(source.from === 'secret' ? { secret: source.secret } : {}) });
        if (source.from === 'secret' && held.pair !== undefined) good.set(source.secret, held.pair);
      }
      secrets = good;
      managed?.retain(new Set([...prepared].filter(([, { from }]) => from === 'managed').map(([key]) => key)));
      files.retain([...plans.values()].flatMap(plan => findSource(plan, options.meshCertificate).files ?? []));
      return createView(prepared, headers?.prepare(plans, material) ?? new Map(), { ...options, material });
    },
    publicKeys: () => headers?.publicKeys() ?? [],
    ready: async () => headers?.ready(),
    close: () => {
      files.close();
      managed?.close();
      headers?.close();
    },
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

/** Undefined: the credential is of another sort, or nobody signs. */
function holdManaged(managed: ManagedCertificates | undefined, { key, spec }: CredentialPlan): HeldPair | undefined {
  const lifetime = spec.meshCertificate?.managed?.lifetime;
  return lifetime === undefined ? undefined : managed?.hold(key, lifetime);
}

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

interface ViewContext extends Pick<CredentialsOptions, 'metrics' | 'log' | 'outbound'> {
  readonly material: Material;
}

function createView(
  prepared: ReadonlyMap<ObjectKey, Prepared>,
  headers: ReadonlyMap<ObjectKey, PreparedHeader>,
  context: ViewContext,
): CredentialView {
  for (const [key, { held }] of prepared) {
    if (held.pair === undefined) continue;
    const use = `credential ${key}`;
    context.metrics?.gauge('sallyport_certificate_expiry_timestamp_seconds', held.pair.notAfter / 1000, { use });
  }
  const isAllowed = createHostGuard(context);
  return {
    clientCertificate: (key, host) => {
      const found = prepared.get(key);
      const guarded = found?.secret === undefined || host === undefined || isAllowed(key, [found.secret], host);
      return guarded ? found?.held.pair : undefined;
    },
    present: (key, host, occasion) => {
      const found = headers.get(key);
      return found !== undefined && isAllowed(key, found.secrets, host)
        ? found.credential.present(occasion)
        : undefined;
    },
    refused: (key, now) => headers.get(key)?.credential.refused?.(now),
    status: () => [
      ...[...prepared].map(([key, { from, held }]) => describe(key, from, held)),
      ...[...headers].map(([key, { credential }]) => ({
        key,
        from: credential.sort,
        ...credential.state(context.outbound?.clock() ?? 0),
      })),
    ],
  };
}

/** Whether Secrets may be presented to a host; worked out once for each, and told once where they may not. */
function createHostGuard({ material, log }: ViewContext) {
  const known = new Map<string, boolean>();
  return (credential: ObjectKey, secrets: readonly ObjectKey[], host: HostPort): boolean => {
    if (secrets.length === 0 || material.secretHosts === undefined) return true;
    const place = `${credential} ${host.name}:${host.port ?? ''}`;
    let allowed = known.get(place);
    if (allowed === undefined) {
      const forbidding = secrets.filter(secret => {
        const hosts = material.secretHosts?.(secret);
        return hosts !== undefined && !isAllowedHost(hosts, host);
      });
      allowed = forbidding.length === 0;
      known.set(place, allowed);
      if (!allowed) {
        const fields = { credential, secrets: forbidding, host: host.name, code: 'HOST_NOT_ALLOWED' };
        log.error(fields, 'a Secret may not be presented to this host (sallyport.dev/allowed-hosts)');
      }
    }
    return allowed;
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
