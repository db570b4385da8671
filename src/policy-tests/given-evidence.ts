/** Evidence of a test's case: what it gives, and nothing else. Nothing is fetched, no time is read. */
import { createHash } from 'node:crypto';
import { objectKey, type ObjectKey } from '../api/object.ts';
import type {
  CertificateEvidence,
  CertificateRequest,
  DeviceEvidence,
  DeviceRequest,
  EvidenceSource,
  RateEvidence,
  SignatureEvidence,
  SubscriptionEvidence,
  SubscriptionRequest,
  TokenEvidence,
  TokenRequest,
} from '../decision/evidence.ts';
import type { Snapshot } from '../policy/model.ts';
import type { CertificateFacts } from '../x509/facts.ts';
import { GIVEN_KEY, type Given } from './given-request.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface GivenContext {
  /** Of the test: names without a namespace are of it. */
  readonly namespace: string;
  readonly snapshot: Snapshot;
  /** Milliseconds since the epoch: when the request comes. */
  readonly now: number;
}

export const resolveName = (namespace: string, name: string): ObjectKey =>
  name.includes('/') ? name : objectKey(namespace, name);

export function createGivenEvidence(given: Given, context: GivenContext): EvidenceSource {
  const certificate = given.certificate === undefined ? undefined : describeGiven(given.certificate, context.now);
  return {
    token: request => answerToken(given, request, context),
    certificate: request => answerCertificate(given, certificate, request, context),
    binding: () =>
      certificate === undefined ? undefined : Buffer.from(certificate.sha256, 'hex').toString('base64url'),
    revocation: () => ({ state: 'clear' }),
    device: request => answerDevice(given, request),
    subscription: request => answerSubscription(given, request, context),
    signature: ({ step }) => answerSignature(given, step.maxBody),
    rate: ({ step }) => admitFirst(step),
    quota: ({ step }) => admitFirst(step),
    concurrency: () => ({ leased: true }),
  };
}

/** Each case is the first call. */
const admitFirst = ({ calls }: { readonly calls: number }): RateEvidence => ({
  admitted: true,
  limit: calls,
  remaining: calls - 1,
  retryAfter: 0,
  reset: 0,
});

function answerToken(
  { token }: Given,
  { step }: TokenRequest,
  { namespace, snapshot, now }: GivenContext,
): TokenEvidence {
  // A credential that the case wrote into a header by itself: nobody signed it.
  if (token === undefined) return { state: 'refused', reason: 'TokenSignatureInvalid' };
  const key = resolveName(namespace, token.issuer);
  const plan = snapshot.issuers.get(key);
  if (plan === undefined || !step.issuers.includes(key)) return { state: 'refused', reason: 'TokenIssuerNotAllowed' };
  const { clockSkew, requireExpiration, maxTokenAge, issuer = `https://${token.issuer}.example` } = plan.spec;
  const claims = { ...token.claims };
  const seconds = (name: string, fallback: number): number => {
    const value = claims[name];
    return typeof value === 'number' ? value * 1000 : fallback;
  };
  const expiresAt = token.expired ? now - HOUR_MS : seconds('exp', now + HOUR_MS);
  const issuedAt = seconds('iat', Math.min(now, expiresAt) - 60_000);
  const dates = { exp: Math.floor(expiresAt / 1000), iat: Math.floor(issuedAt / 1000) };
  return {
    state: 'verified',
    token: {
      issuerKey: key,
      issuer,
      claims: Object.assign(Object.create(null) as Record<string, unknown>, { iss: issuer }, claims, dates),
      clockSkewMs: clockSkew,
      requireExpiration,
      expiresAt,
      issuedAt,
      memo: new WeakMap(),
      ...(typeof claims['nbf'] === 'number' ? { notBefore: claims['nbf'] * 1000 } : {}),
      ...(maxTokenAge === undefined ? {} : { maxTokenAgeMs: maxTokenAge }),
    },
  };
}

function answerCertificate(
  given: Given,
  certificate: CertificateFacts | undefined,
  { step }: CertificateRequest,
  { namespace }: GivenContext,
): CertificateEvidence {
  if (given.certificate === undefined || certificate === undefined) return { state: 'absent' };
  const { trust, revoked } = given.certificate;
  if (trust !== undefined && resolveName(namespace, trust) !== step.trust) {
    return { state: 'refused', reason: 'ClientCertificateUntrusted' };
  }
  return revoked ? { state: 'refused', reason: 'ClientCertificateRevoked' } : { state: 'verified', certificate };
}

/** Thumbprints that no certificate has: they are made from the subject, so that two subjects differ. */
function describeGiven(certificate: NonNullable<Given['certificate']>, now: number): CertificateFacts {
  const { subject = {}, subjectAltName = {}, sha1 } = certificate;
  const seed = JSON.stringify([subject, subjectAltName]);
  const digest = (algorithm: string): string => createHash(algorithm).update(seed).digest('hex').toUpperCase();
  const sha256 = digest('sha256');
  return {
    sha1: sha1 === undefined ? digest('sha1') : sha1.replace(/[: ]/g, '').toUpperCase(),
    sha256,
    publicKeyPin: Buffer.from(sha256, 'hex').toString('base64'),
    serialNumber: '1',
    subject,
    issuer: { CN: 'given' },
    subjectText: Object.entries(subject)
      .map(pair => pair.join('='))
      .join(','),
    issuerText: 'CN=given',
    subjectAltName: { uri: [], dns: [], email: [], ip: [], ...subjectAltName },
    notBefore: now - DAY_MS,
    notAfter: now + 365 * DAY_MS,
  };
}

function answerSubscription(
  { subscription }: Given,
  { key }: SubscriptionRequest,
  { namespace, snapshot }: GivenContext,
): SubscriptionEvidence {
  // A key that the case wrote into a header by itself is nobody's.
  if (subscription === undefined || key !== GIVEN_KEY) return { state: 'found', plans: [] };
  const plan = snapshot.subscriptions.plans.get(resolveName(namespace, subscription));
  return { state: 'found', plans: plan === undefined ? [] : [plan] };
}

function answerSignature({ signature, request }: Given, maxBody: number): SignatureEvidence {
  if (Buffer.byteLength(request.body ?? '') > maxBody) return { state: 'refused', reason: 'BodyTooLarge' };
  return signature === 'Valid' ? { state: 'valid', seen: false } : { state: 'refused', reason: 'SignatureInvalid' };
}

function answerDevice({ deviceAuth }: Given, { deviceId }: DeviceRequest): DeviceEvidence {
  if (deviceAuth?.status === undefined) return { state: 'undecided', reason: 'DeviceAuthUnavailable' };
  const body = Object.assign(Object.create(null) as Record<string, unknown>, deviceAuth.body ?? { deviceId });
  return { state: 'answered', status: deviceAuth.status, body };
}
