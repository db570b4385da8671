/** A verified token's words: times, audience, required claims (P1). What does not depend on the time is remembered. */
import type { CompiledClaim, CompiledJwt } from '../policy/steps.ts';
import type { Attempt } from './attempt.ts';
import { celValue } from './cel-value.ts';
import { renderClaim } from './claim-headers.ts';
import type { Claims, VerifiedToken } from './evidence.ts';
import { object, objectToScope, type Objection } from './objection.ts';
import type { HeaderValues } from './edits.ts';
import type { Principal } from './verdict.ts';

const SPLIT_ON_SPACES = new Set(['scope', 'scp']);

const claimOf = (claims: Claims, name: string): unknown => (Object.hasOwn(claims, name) ? claims[name] : undefined);

/** A value as it is compared: strings as they are, numbers and booleans by their JSON text; nothing else has one. */
function textOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'number' || typeof value === 'boolean' ? [JSON.stringify(value)] : [];
}

function valuesOf(value: unknown, claim: CompiledClaim): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(textOf);
  if (typeof value !== 'string') return textOf(value);
  const separator = claim.separator ?? (SPLIT_ON_SPACES.has(claim.name) ? ' ' : undefined);
  return separator === undefined ? [value] : value.split(separator).filter(part => part !== '');
}

/** null, an empty text, an empty object and a list of nothing else say nothing. 0 and false are values. */
function isMissing(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.every(isMissing);
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function judgeClaim(claims: Claims, claim: CompiledClaim): Objection | undefined {
  const value = claimOf(claims, claim.name);
  if (isMissing(value)) return object('TokenClaimNotFound', `claim ${claim.name}`);
  const wanted = claim.values;
  if (wanted === undefined) return undefined;
  const held = new Set(valuesOf(value, claim));
  const passes = claim.match === 'Any' ? wanted.some(one => held.has(one)) : wanted.every(one => held.has(one));
  if (passes) return undefined;
  if (SPLIT_ON_SPACES.has(claim.name)) return { ...objectToScope(wanted), detail: `claim ${claim.name}` };
  return object('TokenClaimNotAllowed', `claim ${claim.name}`);
}

function audienceOf(claims: Claims): readonly string[] {
  const audience = claimOf(claims, 'aud');
  if (typeof audience === 'string') return [audience];
  return Array.isArray(audience) ? audience.filter(one => typeof one === 'string') : [];
}

function judgeWords(token: VerifiedToken, jwt: CompiledJwt): Objection | undefined {
  if (!jwt.issuers.includes(token.issuerKey)) return object('TokenIssuerNotAllowed', 'not an issuer of the step');
  const { audiences } = jwt;
  if (audiences !== undefined && !audienceOf(token.claims).some(one => audiences.has(one))) {
    return object('TokenAudienceNotAllowed');
  }
  for (const claim of jwt.requiredClaims) {
    const objection = judgeClaim(token.claims, claim);
    if (objection !== undefined) return objection;
  }
  return undefined;
}

/** A time that the token states in another form than a number is not a missing one. */
const isUnreadable = (token: VerifiedToken, name: string, read: number | undefined): boolean =>
  !Number.isFinite(read) && claimOf(token.claims, name) !== undefined;

/** `now` and the token's times in milliseconds. Nothing of it is ever remembered. */
export function judgeTimes(token: VerifiedToken, now: number): Objection | undefined {
  const { expiresAt, notBefore, issuedAt, clockSkewMs: skew, maxTokenAgeMs: maxAge } = token;
  if (isUnreadable(token, 'exp', expiresAt)) return object('TokenMalformed', 'exp is not a number');
  if (isUnreadable(token, 'nbf', notBefore)) return object('TokenMalformed', 'nbf is not a number');
  if (isUnreadable(token, 'iat', issuedAt)) return object('TokenMalformed', 'iat is not a number');
  if (expiresAt === undefined) {
    if (token.requireExpiration) return object('TokenExpirationMissing');
  } else if (now - skew >= expiresAt) return object('TokenExpired');
  if (notBefore !== undefined && notBefore > now + skew) return object('TokenNotYetValid', 'nbf');
  if (issuedAt !== undefined && issuedAt > now + skew) return object('TokenNotYetValid', 'iat');
  if (maxAge === undefined) return undefined;
  return issuedAt === undefined || now - skew - issuedAt > maxAge ? object('TokenTooOld') : undefined;
}

/** When an open stream must be judged again (M7): at exp, and once more when the tolerance after it is over. */
export function tokenValidUntil(token: VerifiedToken, now: number): number | undefined {
  const { expiresAt, issuedAt, clockSkewMs: skew, maxTokenAgeMs: maxAge } = token;
  const tooOldAt = maxAge === undefined || issuedAt === undefined ? Infinity : issuedAt + maxAge + skew;
  const expiry = expiresAt === undefined ? Infinity : expiresAt > now ? expiresAt : expiresAt + skew;
  const until = Math.min(tooOldAt, expiry);
  return until === Infinity ? undefined : until;
}

/** What one token means to one step, but for the time. Kept in the token's memo, so made once for both. */
export class AcceptedToken {
  readonly token: VerifiedToken;
  readonly objection: Objection | undefined;
  readonly claimHeaders: readonly HeaderValues[];
  readonly principal: Principal;
  /** Of the step, once nothing else is in the way. */
  readonly attempt: Attempt;
  readonly #jwt: CompiledJwt;
  #binding: Readonly<Record<string, unknown>> | undefined;

  constructor(token: VerifiedToken, jwt: CompiledJwt) {
    this.token = token;
    this.#jwt = jwt;
    this.principal = { kind: 'Jwt', id: this.subject, issuer: token.issuer };
    this.attempt = { passed: { token: this, principal: this.principal } };
    const headers = renderClaimHeaders(token.claims, jwt);
    this.claimHeaders = headers ?? [];
    this.objection =
      judgeWords(token, jwt) ??
      (headers === undefined ? object('ExpressionFailed', 'a claim holds control characters') : undefined);
  }

  /** RFC 7519 sub; empty when the token has none. */
  get subject(): string {
    const subject = claimOf(this.token.claims, 'sub');
    return typeof subject === 'string' ? subject : '';
  }

  /** RFC 8705 section 3.1: the thumbprint of the certificate that the token is bound to. */
  get confirmation(): string | undefined {
    const confirmation = claimOf(this.token.claims, 'cnf');
    if (!this.#jwt.boundToCertificate || typeof confirmation !== 'object' || confirmation === null) return undefined;
    const thumbprint: unknown = Object.getOwnPropertyDescriptor(confirmation, 'x5t#S256')?.value;
    return typeof thumbprint === 'string' && thumbprint !== '' ? thumbprint : undefined;
  }

  /** The variable `jwt`. @throws ExpressionError when the claims are nested too deep. */
  get binding(): Readonly<Record<string, unknown>> {
    return (this.#binding ??= {
      issuer: this.token.issuer,
      ...(typeof claimOf(this.token.claims, 'sub') === 'string' ? { subject: this.subject } : {}),
      ...(claimOf(this.token.claims, 'aud') === undefined ? {} : { audience: audienceOf(this.token.claims) }),
      claims: celValue(this.token.claims),
    });
  }
}

/** undefined when a claim may not stand in a header at all. */
function renderClaimHeaders(claims: Claims, jwt: CompiledJwt): readonly HeaderValues[] | undefined {
  const headers: HeaderValues[] = [];
  for (const { name, claim } of jwt.claimHeaders) {
    const value = renderClaim(claimOf(claims, claim));
    if (value === null) return undefined;
    headers.push({ name, values: value === undefined ? [] : [value] });
  }
  return headers;
}

export function acceptToken(token: VerifiedToken, jwt: CompiledJwt): AcceptedToken {
  const known = token.memo.get(jwt);
  if (known instanceof AcceptedToken) return known;
  const accepted = new AcceptedToken(token, jwt);
  token.memo.set(jwt, accepted);
  return accepted;
}
