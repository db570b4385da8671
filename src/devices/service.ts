/** One DeviceAuthService in force: its cache, its breaker, what is in flight. */
import { frozenRecord, celObject } from '../decision/cel-value.ts';
import { certificateBinding } from '../decision/certificate-binding.ts';
import type { DeviceEvidence, DeviceRequest, Refusal, Undecided } from '../decision/evidence.ts';
import type { PresentedHeader } from '../credentials/credentials.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { FetchAnswer, Fetcher, FetchOptions } from '../outbound/fetcher.ts';
import { ExpressionError } from '../policy/expression.ts';
import type { DeviceServicePlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createAnswerCache } from './answer-cache.ts';
import { MAX_BODY_BYTES, readAnswer, shortenLifetime, type Answered } from './answer.ts';
import { createBreaker, type BreakerState } from '../outbound/breaker.ts';
import { createServiceBindings, renderRequest, type ServiceRequest } from './service-request.ts';

export interface ServiceOptions {
  readonly fetcher: Fetcher;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

/** How the service is reached in one snapshot; undefined: its trust or the certificate to present is missing. */
export type Reach =
  | (Pick<FetchOptions, 'trust' | 'clientCertificate' | 'serverName'> & {
      /** The header to send, if one is to be sent; what it gives is undefined when it cannot be had. */
      readonly present?: (now: number) => PresentedHeader | undefined | Promise<PresentedHeader | undefined>;
    })
  | undefined;

export interface ServiceState {
  readonly breaker: BreakerState;
  readonly cached: number;
  readonly inFlight: number;
  /** A stable code, empty when the last call was answered. */
  readonly lastError: string;
}

export interface Service {
  readonly plan: DeviceServicePlan;
  look(request: DeviceRequest, reach: Reach, now: number): DeviceEvidence | Promise<DeviceEvidence>;
  state(now: number): ServiceState;
}

const UNRENDERABLE: Refusal = { state: 'refused', reason: 'ExpressionFailed' };
export const UNAVAILABLE: Undecided = { state: 'undecided', reason: 'DeviceAuthUnavailable' };

const BREAKER_VALUE: Record<BreakerState, number> = { closed: 0, halfOpen: 1, open: 2 };

export function createService(options: ServiceOptions, plan: DeviceServicePlan): Service {
  const { log, metrics, clock } = options;
  const { spec } = plan;
  const labels = { service: plan.key };
  const cache = createAnswerCache(spec.cache.maxEntries);
  const breaker = createBreaker(spec.breaker);
  const pending = new Map<string, Promise<DeviceEvidence>>();
  let active = 0;
  let lastError = '';

  const note = (outcome: string): void => {
    metrics.count('sallyport_device_auth_requests_total', { ...labels, outcome });
    metrics.gauge('sallyport_device_auth_breaker_state', BREAKER_VALUE[breaker.state(clock())], labels);
  };
  const fail = (code: string, detail?: string): undefined => {
    breaker.fail(clock());
    return tell(code, detail);
  };
  const tell = (code: string, detail?: string): undefined => {
    lastError = code;
    note('error');
    log.warn(
      { service: plan.key, code, detail, breaker: breaker.state(clock()) },
      'device-auth gave no answer that decides',
    );
    return undefined;
  };
  /** An answer that decides, kept in the cache if it may; undefined when there is none. */
  const ask = async (
    key: string,
    request: DeviceRequest,
    asked: ServiceRequest,
    reach: Reach,
  ): Promise<Answered | undefined> => {
    if (reach === undefined) return fail('TRUST_OR_CREDENTIAL_MISSING');
    const started = clock();
    const presented = reach.present === undefined ? NO_HEADER : await reach.present(started);
    if (presented === undefined) return fail('CREDENTIAL_UNAVAILABLE');
    try {
      const answer = await callService(options, plan, addHeader(asked, presented), reach);
      metrics.observe('sallyport_device_auth_duration_seconds', (clock() - started) / 1000, labels);
      const evidence = readAnswer(plan, answer);
      if (evidence === undefined && isAboutRequest(spec, answer.status)) {
        breaker.succeed();
        return tell(`HTTP_${answer.status}`);
      }
      if (evidence === undefined)
        return fail(spec.allow.status.includes(answer.status) ? 'BAD_BODY' : `HTTP_${answer.status}`);
      breaker.succeed();
      lastError = '';
      const lifetimes = findLifetimes(plan, request, evidence, answer.headers['cache-control']);
      if (lifetimes === undefined) cache.drop(key);
      else cache.keep(key, { evidence, freshUntil: clock() + lifetimes.fresh, staleUntil: clock() + lifetimes.stale });
      note(spec.deny.status.includes(answer.status) ? 'denied' : 'answered');
      return evidence;
    } catch (error) {
      metrics.observe('sallyport_device_auth_duration_seconds', (clock() - started) / 1000, labels);
      return error instanceof FetchError ? fail(error.code, error.detail) : fail('FAILED');
    }
  };
  const findStale = (key: string, now: number): DeviceEvidence => {
    const cached = cache.find(key);
    return cached !== undefined && now < cached.staleUntil ? cached.evidence : UNAVAILABLE;
  };
  const call = (
    key: string,
    request: DeviceRequest,
    reach: Reach,
    now: number,
  ): DeviceEvidence | Promise<DeviceEvidence> => {
    const asked = render(plan, request);
    if ('state' in asked) return asked;
    if (active >= spec.concurrency || !breaker.admit(now)) {
      note('refused');
      return findStale(key, now);
    }
    active++;
    const answer = ask(key, request, asked, reach)
      .then(evidence => evidence ?? findStale(key, clock()))
      .finally(() => {
        active--;
        pending.delete(key);
      });
    pending.set(key, answer);
    return answer;
  };

  return {
    plan,
    look(request, reach, now) {
      // The service and its generation are this object, so the pair is enough.
      const { key } = request;
      const cached = cache.find(key);
      if (cached !== undefined && now < cached.freshUntil) {
        metrics.count('sallyport_device_auth_cache_hits_total', labels);
        return cached.evidence;
      }
      return pending.get(key) ?? call(key, request, reach, now);
    },
    state: now => ({ breaker: breaker.state(now), cached: cache.size(), inFlight: active, lastError }),
  };
}

/** What says: try again later, or elsewhere. */
const OUTAGES: ReadonlySet<number> = new Set([407, 408, 421, 425, 429]);

/**
 * The service lives and does not like what it was asked. A client chose part of that: whoever can have it called wrong must
 * not open the breaker for all devices.
 */
const isAboutRequest = ({ allow }: DeviceServicePlan['spec'], status: number): boolean =>
  status >= 400 && status < 500 && !OUTAGES.has(status) && !allow.status.includes(status);

const NO_HEADER: PresentedHeader = { name: '', value: '' };

const addHeader = (asked: ServiceRequest, { name, value }: PresentedHeader): ServiceRequest =>
  name === '' ? asked : { ...asked, headers: { ...asked.headers, [name.toLowerCase()]: value } };

/**
 * E8: a template that fails denies. What the client sent is at fault, so it counts for no breaker and is no outage: whoever
 * has a certificate could else make one.
 */
function render(plan: DeviceServicePlan, request: DeviceRequest): ServiceRequest | Refusal | Undecided {
  try {
    return renderRequest(plan, createServiceBindings(request));
  } catch (error) {
    return error instanceof ExpressionError ? UNRENDERABLE : UNAVAILABLE;
  }
}

/** Calls the service, again after a failure to connect as often as the plan says, all within its timeout. */
async function callService(
  { fetcher, clock }: ServiceOptions,
  { spec }: DeviceServicePlan,
  asked: ServiceRequest,
  reach: NonNullable<Reach>,
): Promise<FetchAnswer> {
  const deadline = clock() + spec.timeout;
  for (let attempt = 0; ; attempt++) {
    try {
      const { trust, clientCertificate, serverName } = reach;
      return await fetcher.fetch(asked.url, {
        trust,
        ...(clientCertificate === undefined ? {} : { clientCertificate }),
        ...(serverName === undefined ? {} : { serverName }),
        method: spec.request.method,
        headers: asked.headers,
        ...(asked.body === '' ? {} : { body: asked.body }),
        timeoutMs: Math.max(1, deadline - clock()),
        maxBytes: MAX_BODY_BYTES,
        redirects: 'refuse',
      });
    } catch (error) {
      const again = error instanceof FetchError && error.code === 'CONNECT' && attempt < spec.retry.attempts;
      if (!again || clock() >= deadline) throw error;
    }
  }
}

/** How long an answer counts, in milliseconds from now; undefined when it may not be kept. */
function findLifetimes(
  plan: DeviceServicePlan,
  request: DeviceRequest,
  evidence: Answered,
  cacheControl: string | undefined,
): { readonly fresh: number; readonly stale: number } | undefined {
  const { ttl, negativeTtl, staleIfError } = plan.spec.cache;
  const allowed = isAllowed(plan, request, evidence);
  if (allowed === undefined) return undefined;
  const fresh = shortenLifetime(allowed ? ttl : negativeTtl, cacheControl);
  const mayStale = allowed && (fresh > 0 || cacheControl === undefined);
  const stale = mayStale ? fresh + staleIfError : fresh;
  return stale > 0 ? { fresh, stale } : undefined;
}

/** The evaluator's judgement, made here only to choose the time to live; undefined when the expression fails (503, not kept). */
function isAllowed(
  { spec, allow }: DeviceServicePlan,
  request: DeviceRequest,
  evidence: Answered,
): boolean | undefined {
  if (spec.deny.status.includes(evidence.status)) return false;
  try {
    const verdict = allow.evaluate(
      frozenRecord({
        body: celObject(evidence.body),
        status: BigInt(evidence.status),
        deviceId: request.deviceId,
        cert: certificateBinding(request.certificate),
      }),
    );
    return typeof verdict === 'boolean' ? verdict : undefined;
  } catch {
    return undefined;
  }
}
