/** Credentials of the header sorts over generations: one that did not change keeps its tokens and its key. */
import { createHash } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { Fetcher, FetchOptions } from '../outbound/fetcher.ts';
import { hostOfUrl, isAllowedHost } from '../policy/allowed-hosts.ts';
import { listCredentialTexts, listPresentedSecrets, secretOf, type TextRef } from '../policy/credential-texts.ts';
import type { CredentialPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { createClientCredentials } from './client-credentials.ts';
import { createBasicCredential, createHeaderCredential, unusable } from './fixed-header.ts';
import type { HeaderCredential } from './header-credential.ts';
import { createSasCredential } from './sas-credential.ts';
import { createTextReader, type TextReader } from './secret-text.ts';
import { createSignedContext } from './signed-context.ts';
import { generateSigningKey, readSigningKey, type PublicKey, type SigningKey } from './signing-key.ts';

export interface HeaderCredentialsOptions {
  readonly fetcher: Fetcher;
  readonly clock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
}

export interface PreparedHeader {
  readonly credential: HeaderCredential;
  /** Secrets whose content, or what is made of it, the back end sees. */
  readonly secrets: readonly ObjectKey[];
}

export interface HeaderCredentials {
  prepare(plans: ReadonlyMap<ObjectKey, CredentialPlan>, material: Material): ReadonlyMap<ObjectKey, PreparedHeader>;
  /** Keys by which contexts of this and earlier generations are verified, as long as one of them may be about. */
  publicKeys(): readonly PublicKey[];
  /** Resolves when every token endpoint in force was asked once. */
  ready(): Promise<void>;
  close(): void;
}

interface Held extends PreparedHeader {
  /** Of everything it was made from. */
  readonly digest: string;
  readonly key?: SigningKey;
}

interface Retired {
  readonly published: PublicKey;
  readonly until: number;
}

/** Longer than any context lives, and than it takes an app to look for keys that it does not know. */
const RETIRED_FOR_MS = 60 * 60_000;

export function createHeaderCredentials(options: HeaderCredentialsOptions): HeaderCredentials {
  const { clock } = options;
  let held: ReadonlyMap<ObjectKey, Held> = new Map();
  let retired: readonly Retired[] = [];
  let own: SigningKey | undefined;
  const ownKey = (): SigningKey => (own ??= generateSigningKey());

  const replace = (next: ReadonlyMap<ObjectKey, Held>): void => {
    const kept = new Set([...next.values()].map(({ credential }) => credential));
    const published = new Set([...next.values()].map(({ key }) => key?.keyId));
    const until = clock() + RETIRED_FOR_MS;
    for (const { credential, key } of held.values()) {
      if (kept.has(credential)) continue;
      credential.close?.();
      if (key !== undefined && !published.has(key.keyId)) retired = [...retired, { published: key.published, until }];
    }
    held = next;
  };

  return {
    prepare(plans, material) {
      const next = new Map<ObjectKey, Held>();
      for (const [key, plan] of plans) {
        if (plan.spec.meshCertificate !== undefined) continue;
        const made = createMaker(plan, material, options, ownKey);
        const old = held.get(key);
        next.set(key, old?.digest === made.digest ? old : made.make());
      }
      replace(next);
      return next;
    },
    publicKeys() {
      retired = retired.filter(({ until }) => clock() < until);
      const keys = new Map<string, PublicKey>();
      const current = [...held.values()].flatMap(({ key }) => (key === undefined ? [] : [key.published]));
      for (const key of [...current, ...retired.map(({ published }) => published)]) keys.set(key['kid'] ?? '', key);
      return [...keys.values()];
    },
    async ready() {
      const now = clock();
      const asking = [...held.values()].filter(({ credential }) => credential.sort === 'oauth2ClientCredentials');
      for (const { credential } of asking) void credential.present({ now });
      // Those that are under way by now.
      for (const { credential } of asking) await credential.present({ now });
    },
    close() {
      for (const { credential } of held.values()) credential.close?.();
    },
  };
}

function createMaker(
  plan: CredentialPlan,
  material: Material,
  options: HeaderCredentialsOptions,
  ownKey: () => SigningKey,
): { readonly digest: string; readonly make: () => Held } {
  const { spec, namespace } = plan;
  const texts = createTextReader(material, namespace);
  const hash = createHash('sha256').update(JSON.stringify([spec, namespace]));
  for (const [, ref] of listCredentialTexts(spec)) hash.update(JSON.stringify([texts.read(ref) ?? null]));
  const { oauth2ClientCredentials: oauth } = spec;
  const tokenHosts = oauth && material.secretHosts?.(secretOf(oauth.clientSecret, namespace) ?? '');
  const digest = hash.update(JSON.stringify(tokenHosts ?? null)).digest('hex');
  const secrets = listPresentedSecrets(plan);
  const make = (): Held => {
    const { signedContext } = spec;
    if (signedContext === undefined)
      return { digest, secrets, credential: createPlain(plan, texts, material, options) };
    const key = findSigningKey(signedContext.key, texts, ownKey);
    if (typeof key === 'string') return { digest, secrets, credential: unusable('signedContext', key) };
    return { digest, secrets, key, credential: createSignedContext(signedContext, plan.key, key) };
  };
  return { digest, make: () => warnOf(make(), plan, options.log) };
}

/** Once for each content. */
function warnOf(made: Held, plan: CredentialPlan, log: Log): Held {
  const { problem } = made.credential.state(0);
  if (problem !== undefined) {
    log.warn({ credential: plan.key, sort: made.credential.sort, code: problem }, 'a credential cannot be presented');
  }
  return made;
}

function findSigningKey(
  ref: TextRef | undefined,
  texts: TextReader,
  ownKey: () => SigningKey,
): SigningKey | 'MISSING' | 'BAD_KEY' {
  if (ref === undefined) return ownKey();
  const text = texts.read(ref);
  return text === undefined ? 'MISSING' : (readSigningKey(text) ?? 'BAD_KEY');
}

function createPlain(
  plan: CredentialPlan,
  texts: TextReader,
  material: Material,
  options: HeaderCredentialsOptions,
): HeaderCredential {
  const { sharedAccessSignature, basic, header, oauth2ClientCredentials } = plan.spec;
  if (sharedAccessSignature !== undefined) return createSasCredential(sharedAccessSignature, texts);
  if (basic !== undefined) return createBasicCredential(basic, texts);
  if (header !== undefined) return createHeaderCredential(header, texts);
  if (oauth2ClientCredentials === undefined) return unusable('header', 'MISSING');
  const sort = 'oauth2ClientCredentials';
  const clientId = texts.read(oauth2ClientCredentials.clientId);
  const clientSecret = texts.read(oauth2ClientCredentials.clientSecret);
  const trust = findTrust(oauth2ClientCredentials.trust, texts);
  if (clientId === undefined || clientSecret === undefined) return unusable(sort, 'MISSING');
  if (!clientId.isWellFormed() || !clientSecret.isWellFormed()) return unusable(sort, 'BAD_VALUE');
  if (trust === undefined) return unusable(sort, 'TRUST_MISSING');
  const { clientSecret: ref, tokenUrl } = oauth2ClientCredentials;
  const allowed = material.secretHosts?.(secretOf(ref, plan.namespace) ?? '');
  if (allowed !== undefined && !isAllowedHost(allowed, hostOfUrl(tokenUrl))) return unusable(sort, 'HOST_NOT_ALLOWED');
  return createClientCredentials({
    ...options,
    name: plan.key,
    spec: oauth2ClientCredentials,
    clientId,
    clientSecret,
    trust,
  });
}

/** One that is named and missing is never replaced by the system's roots. */
function findTrust(
  trust: (TextRef & { readonly systemRoots?: true }) | undefined,
  texts: TextReader,
): FetchOptions['trust'] | undefined {
  if (trust === undefined || trust.systemRoots === true) return 'systemRoots';
  const ca = texts.read(trust);
  return ca === undefined ? undefined : { ca };
}
