/**
 * tokens: floor 2. Verification by `jose`, key sets with a stale time and a cooldown, the cache of verified tokens. May
 * import api/, http/, policy/, decision/, telemetry/, material/ and outbound/.
 *
 * What is verified here: form, algorithm, issuer, key, signature. Times, audience and claims are the evaluator's, for each
 * step anew, so a cached token is worth no more at another route than there.
 */
import type { ObjectKey } from '../api/object.ts';
import type { TokenEvidence, TokenRequest } from '../decision/evidence.ts';
import type { Material } from '../material/material.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { IssuerPlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createIssuerRegistry } from './issuer-registry.ts';
import type { Issuer } from './issuers.ts';
import type { KeySetStatus } from './key-set.ts';
import type { KeyStore } from './saved-keys.ts';
import type { Later } from './remote-key-set.ts';
import { createVerifiedCache, type VerifiedCacheLimits } from './verified-cache.ts';
import { verifyToken, type Verification } from './verify.ts';

export interface TokensOptions {
  readonly fetcher: Fetcher;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Default: timers that do not keep the process alive. */
  readonly later?: Later;
  /** From 0 to 1, for jitter; default 0.5. */
  readonly random?: () => number;
  /** Public keys over a restart; absent: an issuer that is away at the start is 503 until it answers. */
  readonly keyStore?: KeyStore;
  /** Of the cache of verified tokens; default 20,000 entries and 64 MiB. */
  readonly cache?: VerifiedCacheLimits;
}

export type { KeyStore } from './saved-keys.ts';

export interface IssuerStatus extends KeySetStatus {
  readonly key: ObjectKey;
}

export interface TokenView {
  /** At once when the token is in the cache; else when it has been verified. */
  verify(request: TokenRequest, now: number): TokenEvidence | Promise<TokenEvidence>;
  /** Resolves when every issuer's keys were asked for once, or at the latest after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  /** For `sallyport status`; also sets the metrics of key ages. */
  status(): readonly IssuerStatus[];
}

export interface Tokens {
  /**
   * The view of one snapshot. An issuer whose spec and material did not change keeps its keys; issuers that are gone stop
   * fetching. Bad or missing material is a warning and an undecided answer, never an exception.
   */
  prepare(issuers: ReadonlyMap<ObjectKey, IssuerPlan>, material: Material): TokenView;
  close(): void;
}

const MAX_CACHED_MS = 5 * 60 * 1000;
const DEFAULT_LIMITS: VerifiedCacheLimits = { entries: 20_000, bytes: 64 * 1024 * 1024 };

export function createTokens(options: TokensOptions): Tokens {
  const { metrics, clock } = options;
  const later: Later = options.later ?? laterUnreferenced;
  const registry = createIssuerRegistry({ ...options, later, random: options.random ?? ((): number => 0.5) });
  const cache = createVerifiedCache<Issuer>(options.cache ?? DEFAULT_LIMITS);

  const remember = (text: string, verified: Verification, evidence: TokenEvidence): void => {
    const now = clock();
    const until = Math.min(verified.token.expiresAt ?? Infinity, now + MAX_CACHED_MS);
    if (until <= now) return;
    const { issuer, keysGeneration } = verified;
    cache.keep(text, { issuerKey: issuer.key, issuer, keysGeneration, until, evidence });
    metrics.gauge('sallyport_token_cache_entries', cache.size());
  };
  const verifyAnew = async (issuers: ReadonlyMap<ObjectKey, Issuer>, request: TokenRequest): Promise<TokenEvidence> => {
    metrics.count('sallyport_token_cache_misses');
    const verified = await verifyToken(issuers, request, clock);
    if ('state' in verified) return verified;
    const evidence: TokenEvidence = { state: 'verified', token: verified.token };
    remember(request.token, verified, evidence);
    return evidence;
  };

  return {
    prepare(plans, material) {
      const issuers = registry.prepare(plans, material);
      return {
        verify(request, now) {
          const cached = cache.find(request.token);
          if (cached === undefined || now >= cached.until || !request.step.issuers.includes(cached.issuerKey)) {
            return verifyAnew(issuers, request);
          }
          const { issuer } = cached;
          const inForce =
            issuers.get(cached.issuerKey) === issuer &&
            issuer.keys.generation() === cached.keysGeneration &&
            issuer.keys.current(now) !== undefined;
          if (!inForce) return verifyAnew(issuers, request);
          metrics.count('sallyport_token_cache_hits');
          return cached.evidence;
        },
        ready: timeoutMs => awaitFirstAttempts([...issuers.values()], timeoutMs, later),
        status: () => describeIssuers([...issuers.values()], clock(), metrics),
      };
    },
    close: () => registry.close(),
  };
}

function laterUnreferenced(milliseconds: number, run: () => void): () => void {
  const timer = setTimeout(run, milliseconds).unref();
  return () => clearTimeout(timer);
}

async function awaitFirstAttempts(issuers: readonly Issuer[], timeoutMs: number, later: Later): Promise<void> {
  const timeout = Promise.withResolvers<undefined>();
  const cancel = later(timeoutMs, () => timeout.resolve(undefined));
  await Promise.race([timeout.promise, Promise.all(issuers.map(async issuer => issuer.keys.firstAttempt()))]);
  cancel();
}

function describeIssuers(issuers: readonly Issuer[], now: number, metrics: Metrics): readonly IssuerStatus[] {
  return issuers.map(({ key, keys }) => {
    const status = keys.status(now);
    if (status.fetchedAt !== undefined) {
      metrics.gauge('sallyport_issuer_keys_age_seconds', (now - status.fetchedAt) / 1000, { issuer: key });
    }
    return { key, ...status };
  });
}
