/** Verifies one token that the cache does not hold: form, issuer, algorithm, key, signature, in this order. */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { Claims, Refusal, TokenRequest, Undecided, VerifiedToken } from '../decision/evidence.ts';
import { parseCompact, parseJsonObject, type CompactToken } from './compact.ts';
import { decryptToken, findDecryptionKeys } from './decryption.ts';
import type { Issuer } from './issuers.ts';
import { findCandidates, type KeyList } from './key-list.ts';
import { verifySignature } from './signature.ts';

export type Issuers = ReadonlyMap<ObjectKey, Issuer>;
export type Verification = { readonly issuer: Issuer; readonly keysGeneration: number; readonly token: VerifiedToken };

const refused = (reason: Reason): Refusal => ({ state: 'refused', reason });
const undecided: Undecided = { state: 'undecided', reason: 'KeysUnavailable' };

export async function verifyToken(
  issuers: Issuers,
  { step, token }: TokenRequest,
  now: () => number,
): Promise<Verification | Refusal | Undecided> {
  const outer = parseCompact(token);
  if ('refused' in outer) return refused(outer.refused);
  if (outer.kind === 'signed') return verifySigned(issuers, step.issuers, outer, now);
  return verifyEncrypted(issuers, step.issuers, outer, now);
}

/** Only an issuer whose own decryption key opens the token may have signed what is inside. */
async function verifyEncrypted(
  issuers: Issuers,
  named: readonly ObjectKey[],
  outer: CompactToken,
  now: () => number,
): Promise<Verification | Refusal | Undecided> {
  const found = named.map(key => issuers.get(key)).filter(issuer => issuer !== undefined);
  const decrypting = found.filter(i => (i.plan.spec.decryptionKeys ?? []).length > 0);
  if (decrypting.length === 0) return refused('TokenMalformed');
  for (const issuer of decrypting) {
    const text = await decryptToken(outer, findDecryptionKeys(issuer.decryptionKeys, outer));
    if (text === undefined) continue;
    const inner = parseCompact(text);
    if ('refused' in inner) return refused(inner.refused);
    if (inner.kind !== 'signed') return refused('TokenMalformed');
    return verifySigned(issuers, [issuer.key], inner, now);
  }
  return decrypting.some(i => i.decryptionProblems > 0) ? undecided : refused('TokenSignatureInvalid');
}

async function verifySigned(
  issuers: Issuers,
  named: readonly ObjectKey[],
  token: CompactToken,
  now: () => number,
): Promise<Verification | Refusal | Undecided> {
  const claims = parseJsonObject(token.payload);
  if (claims === undefined || !hasSoundTimes(claims)) return refused('TokenMalformed');
  const issuer = await chooseIssuer(issuers, named, claims['iss']);
  if (!('plan' in issuer)) return issuer;
  if (!issuer.algorithms.has(token.algorithm)) return refused('TokenAlgorithmNotAllowed');
  await issuer.keys.firstAttempt();
  const outcome = await verifyWithKeys(issuer, token, now);
  return 'keysGeneration' in outcome ? { ...outcome, issuer, token: describeToken(issuer, claims) } : outcome;
}

/**
 * The issuer whose exact `iss` the token names. It is read before it is verified, only to choose among the step's issuers.
 * While discovery has not said every issuer's name, an unknown one cannot be told from a false one.
 */
async function chooseIssuer(
  issuers: Issuers,
  named: readonly ObjectKey[],
  iss: unknown,
): Promise<Issuer | Refusal | Undecided> {
  if (typeof iss !== 'string') return refused('TokenIssuerNotAllowed');
  const candidates = named.map(key => issuers.get(key));
  const known = candidates.find(issuer => issuer?.keys.issuer() === iss);
  if (known !== undefined) return known;
  await Promise.all(candidates.map(async issuer => issuer?.keys.firstAttempt()));
  const found = candidates.find(issuer => issuer?.keys.issuer() === iss);
  if (found !== undefined) return found;
  const complete = candidates.every(issuer => issuer?.keys.issuer() !== undefined);
  return complete ? refused('TokenIssuerNotAllowed') : undecided;
}

type Outcome = { readonly keysGeneration: number } | Refusal | Undecided;

/** A token whose key is not known gives its issuer one chance to publish it, bounded by the cooldown. */
async function verifyWithKeys({ keys }: Issuer, token: CompactToken, now: () => number): Promise<Outcome> {
  const first = tryKeys(keys.current(now()), keys.generation(), token);
  if (!('keyUnknown' in first)) return first.outcome;
  const refresh = keys.refreshForUnknownKey(now());
  await refresh;
  const second = refresh === undefined ? first : tryKeys(keys.current(now()), keys.generation(), token);
  return 'keyUnknown' in second && keys.lastAttemptFailed() ? undecided : second.outcome;
}

type Trial = { readonly outcome: Outcome; readonly keyUnknown?: true };

function tryKeys(list: KeyList | undefined, keysGeneration: number, token: CompactToken): Trial {
  if (list === undefined) return { outcome: undecided };
  const { keys, otherAlgorithm } = findCandidates(list, token.keyId, token.algorithm);
  if (otherAlgorithm) return { outcome: refused('TokenAlgorithmNotAllowed') };
  if (keys.length === 0) return { outcome: refused('TokenKeyNotFound'), keyUnknown: true };
  if (verifySignature(token, keys)) return { outcome: { keysGeneration } };
  const outcome = refused('TokenSignatureInvalid');
  // Without a key id nothing says whether the key is new or the signature false.
  return token.keyId === undefined ? { outcome, keyUnknown: true } : { outcome };
}

/** exp, nbf and iat, where present, are finite numbers (RFC 7519 section 2, NumericDate); their values are judged later. */
const hasSoundTimes = (claims: Claims): boolean =>
  ['exp', 'nbf', 'iat'].every(name => {
    const value = claims[name];
    return value === undefined || (typeof value === 'number' && Number.isFinite(value * 1000));
  });

const milliseconds = (value: unknown): number | undefined => (typeof value === 'number' ? value * 1000 : undefined);

function describeToken({ key, plan }: Issuer, claims: Claims): VerifiedToken {
  const { clockSkew, requireExpiration, maxTokenAge } = plan.spec;
  const expiresAt = milliseconds(claims['exp']);
  const notBefore = milliseconds(claims['nbf']);
  const issuedAt = milliseconds(claims['iat']);
  return {
    issuerKey: key,
    issuer: String(claims['iss']),
    claims,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(issuedAt === undefined ? {} : { issuedAt }),
    clockSkewMs: clockSkew,
    requireExpiration,
    ...(maxTokenAge === undefined ? {} : { maxTokenAgeMs: maxTokenAge }),
    memo: new WeakMap(),
  };
}
