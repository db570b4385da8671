/**
 * Evidence without a network: what can be judged from the manifests is judged by the same adapters as in the sidecar; what
 * cannot is taken as told, and a note says so.
 */
import { hash } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { MaterialRef } from '../api/kinds/shared.ts';
import type {
  CertificateEvidence,
  CertificateRequest,
  DeviceEvidence,
  DeviceRequest,
  EvidenceSource,
  RateEvidence,
  RevocationEvidence,
  RevocationRequest,
  SubscriptionEvidence,
  SubscriptionRequest,
  TokenEvidence,
  TokenRequest,
} from '../decision/evidence.ts';
import { createReplays } from '../callers/replays.ts';
import { createSignatures } from '../callers/signatures.ts';
import { createKeyHash } from '../limits/key-hash.ts';
import { createSubscriptionKeys } from '../callers/subscription-keys.ts';
import { createDevices } from '../devices/devices.ts';
import { createServiceBindings, renderRequest } from '../devices/service-request.ts';
import type { HeaderFields } from '../http/head.ts';
import type { Material } from '../material/material.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { IssuerPlan, Plan, Snapshot } from '../policy/model.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createTokens } from '../tokens/tokens.ts';
import { hashing } from '../trust/hashing.ts';
import { createTrust, type Peer } from '../trust/trust.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { describeCertificate } from '../x509/facts.ts';

export interface Given {
  readonly snapshot: Snapshot;
  readonly material: Material;
  readonly headers: HeaderFields;
  /** DER, leaf first; empty: none. */
  readonly chain: readonly Uint8Array[];
  readonly fromTrustedPeer: boolean;
  readonly body: Uint8Array;
  readonly deviceAuth?: { readonly status: number; readonly body: Readonly<Record<string, unknown>> } | 'unreachable';
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Gets a sentence for everything that was not checked. */
  readonly note: (sentence: string) => void;
}

const OFFLINE: Fetcher = {
  fetch: () => Promise.reject(new FetchError('CLOSED', '')),
  close: () => Promise.resolve(),
};
const NO_CREDENTIALS = { clientCertificate: () => undefined, present: () => undefined };

/** Whether the manifests hold the Secret or ConfigMap that a reference names. */
function isAtHand({ material }: Given, plan: Plan<unknown>, reference: MaterialRef): boolean {
  const { secretKeyRef, configMapKeyRef } = reference;
  const ref = secretKeyRef ?? configMapKeyRef;
  if (ref === undefined) return true;
  const key = objectKey(ref.namespace ?? plan.namespace, ref.name);
  return (secretKeyRef === undefined ? material.configMap(key) : material.secret(key)) !== undefined;
}

/** The claims of a signed token as it states them; undefined when it is no such token. */
function decodeClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
    return Object.assign(Object.create(null) as Record<string, unknown>, claims);
  } catch {
    return undefined;
  }
}

/** OpenID Connect Discovery section 4: the document lies under the issuer. */
function states({ spec }: IssuerPlan, iss: unknown): boolean {
  if (typeof iss !== 'string') return false;
  if (spec.issuer !== undefined) return spec.issuer === iss;
  return spec.discovery?.url === `${iss.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

const moment = (claim: unknown): number | undefined => (typeof claim === 'number' ? claim * 1000 : undefined);

function takeAsVerified(plan: IssuerPlan, claims: Readonly<Record<string, unknown>>): TokenEvidence {
  const { clockSkew, requireExpiration, maxTokenAge } = plan.spec;
  const [expiresAt, notBefore, issuedAt] = [moment(claims['exp']), moment(claims['nbf']), moment(claims['iat'])];
  return {
    state: 'verified',
    token: {
      issuerKey: plan.key,
      issuer: String(claims['iss']),
      claims,
      clockSkewMs: clockSkew,
      requireExpiration,
      memo: new WeakMap(),
      ...(maxTokenAge === undefined ? {} : { maxTokenAgeMs: maxTokenAge }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(notBefore === undefined ? {} : { notBefore }),
      ...(issuedAt === undefined ? {} : { issuedAt }),
    },
  };
}

function createTokenAnswer(given: Given): (request: TokenRequest) => TokenEvidence | Promise<TokenEvidence> {
  const { snapshot, material, now, note } = given;
  const inline = new Map<ObjectKey, IssuerPlan>();
  for (const [key, plan] of snapshot.issuers) {
    if (plan.spec.keys?.every(reference => isAtHand(given, plan, reference)) === true) inline.set(key, plan);
  }
  const adapters = { fetcher: OFFLINE, log: SILENT.log, metrics: SILENT.metrics, clock: () => now };
  const view = createTokens(adapters).prepare(inline, material);
  return request => {
    const plans = request.step.issuers.flatMap(key => snapshot.issuers.get(key) ?? []);
    const claims = decodeClaims(request.token);
    const plan = claims && plans.find(one => states(one, claims['iss']));
    if (claims !== undefined && plan === undefined) return { state: 'refused', reason: 'TokenIssuerNotAllowed' };
    if (plan !== undefined && !inline.has(plan.key)) {
      note(`token of ${plan.key}: signature not checked: the issuer's keys are not in the manifests`);
      return takeAsVerified(plan, claims ?? {});
    }
    return view.verify(request, now);
  };
}

function createCertificateAnswer(given: Given): (request: CertificateRequest) => CertificateEvidence {
  const { snapshot, material, chain, headers, fromTrustedPeer, now, note } = given;
  const own = chain.length === 0 ? undefined : ({ chain, from: 'tls', memo: {} } as const);
  const peer: Peer = { own, byAddress: fromTrustedPeer, provedBy: [] };
  const adapters = { log: SILENT.log, metrics: SILENT.metrics, clock: () => now };
  const view = createTrust(adapters).prepare(snapshot.trusts, material);
  return ({ step }) => {
    const evidence = view.judgeRequest(step.trust, headers, peer, now);
    const plan = snapshot.trusts.get(step.trust);
    if (evidence.state === 'undecided' && evidence.reason === 'RevocationUnavailable') {
      note(
        `certificate by ${step.trust}: a revocation list is not in the manifests, is past its nextUpdate, or is fetched from a URL`,
      );
    }
    if (evidence.state !== 'undecided' || evidence.reason !== 'KeysUnavailable' || plan === undefined) return evidence;
    if (plan.spec.anchors.every(anchor => isAtHand(given, plan, anchor))) return evidence;
    const [leaf] = view.findPresented(step.trust, headers, peer).chain;
    if (leaf === undefined) return { state: 'absent' };
    note(`certificate by ${step.trust}: chain and revocation not checked: the anchors are not in the manifests`);
    return { state: 'verified', certificate: describeCertificate(parseCertificate(leaf), hashing) };
  };
}

function createRevocationAnswer(given: Given): (request: RevocationRequest) => RevocationEvidence {
  const { snapshot, material, now, note } = given;
  const adapters = { fetcher: OFFLINE, log: SILENT.log, metrics: SILENT.metrics, clock: () => now };
  const view = createDevices(adapters).prepare(snapshot.deviceServices, material, NO_CREDENTIALS);
  return request => {
    const { plan, service } = request.step;
    const { revoke } = plan.spec;
    if (revoke === undefined || isAtHand(given, plan, revoke)) return view.revocation(request);
    note(`device of ${service}: revocation not checked: the list is not in the manifests`);
    return { state: 'clear' };
  };
}

/** A key whose hash is not in the manifests is taken for the first subscription that lacks one and opens the Api. */
function createSubscriptionAnswer(given: Given): (request: SubscriptionRequest) => SubscriptionEvidence {
  const { snapshot, material, note } = given;
  const keys = createSubscriptionKeys(snapshot.subscriptions, material);
  const absent = keys.unread.filter(({ secret }) => material.secret(secret) === undefined);
  return request => {
    const found = keys.find(request);
    const taken = absent.find(({ plan }) => plan.covers.has(request.api))?.plan;
    if (found.state !== 'undecided' || taken === undefined) return found;
    note(`the key of Subscription ${taken.name} is not checked: its Secret is not in the manifests`);
    return { state: 'found', plans: [taken] };
  };
}

/** Replays are not remembered from one run to the next. */
function createSignatureAnswer(given: Given): EvidenceSource['signature'] {
  const { material, note, body } = given;
  const signatures = createSignatures(material, createReplays(createKeyHash(new Uint8Array(8))));
  return (request, now) => {
    const { step } = request;
    if (body.length > step.maxBody) return { state: 'refused', reason: 'BodyTooLarge' };
    const answer = signatures.verify(request, body, now, new Set());
    const isAbsent = step.keys.some(({ secret }) => material.secret(secret) === undefined);
    if (answer.state !== 'undecided' || !isAbsent) return answer;
    note(`the signature of ${step.id} is not checked: a key of it is not in the manifests`);
    return { state: 'valid', seen: false };
  };
}

function answerDevice({ deviceAuth, note }: Given, request: DeviceRequest): DeviceEvidence {
  try {
    renderRequest(request.step.plan, createServiceBindings(request));
  } catch {
    return { state: 'refused', reason: 'ExpressionFailed' };
  }
  if (deviceAuth === undefined) note('the device-auth service is not asked; say what it answers with --device-auth');
  if (deviceAuth === undefined || deviceAuth === 'unreachable') {
    return { state: 'undecided', reason: 'DeviceAuthUnavailable' };
  }
  return { state: 'answered', ...deviceAuth };
}

/** What others have called is not known here. */
function admit(what: string, { calls }: { readonly calls: number }, given: Given): RateEvidence {
  given.note(`${what}: not counted, taken as admitted`);
  return { admitted: true, limit: calls, remaining: calls - 1, retryAfter: 0, reset: 0 };
}

export function createOfflineEvidence(given: Given): EvidenceSource {
  const [leaf] = given.chain;
  return {
    token: createTokenAnswer(given),
    certificate: createCertificateAnswer(given),
    binding: () => (leaf === undefined ? undefined : hash('sha256', leaf, 'base64url')),
    revocation: createRevocationAnswer(given),
    device: request => answerDevice(given, request),
    subscription: createSubscriptionAnswer(given),
    signature: createSignatureAnswer(given),
    rate: ({ step }) => admit(`rate limit ${step.counter}`, step, given),
    quota: ({ step }) => admit(`quota ${step.counter}`, step, given),
    concurrency: ({ step }) => {
      given.note(`concurrency ${step.counter}: not counted, taken as admitted`);
      return { leased: true };
    },
  };
}
