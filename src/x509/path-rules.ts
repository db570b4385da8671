/** The rules that a complete path must obey (RFC 5280 6.1.3 to 6.1.5), each a function of the path. */
import { isKeyAcceptable } from './algorithm.ts';
import { isSelfIssued, type Certificate } from './certificate.ts';
import { constrainedNames, obeysConstraints, type Budget } from './name-constraints.ts';

/**
 * - `untrusted`: no path, or one that breaks a rule other than those below;
 * - `expired`, `not-yet-valid`: some certificate of a correctly signed path, the anchor included;
 * - `purpose`: the leaf's or a CA's extended key usage, or the leaf's key usage.
 */
export type PathProblem = 'untrusted' | 'expired' | 'not-yet-valid' | 'purpose';

export interface PathRules {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Extended key usage that the leaf must name, dotted decimal. anyExtendedKeyUsage in a leaf does not count, as in OpenSSL. */
  readonly purpose: string;
  readonly validity: { readonly notBefore: boolean; readonly notAfter: boolean };
}

export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';

/** Whether a certificate may stand above `below` (leaf first): a CA, allowed to sign certificates, its path length kept. */
export function mayIssue(issuer: Certificate, below: readonly Certificate[]): boolean {
  const { basicConstraints, keyUsage } = issuer.extensions;
  if (issuer.version !== 3 || basicConstraints?.ca !== true) return false;
  if (keyUsage !== undefined && !keyUsage.keyCertSign) return false;
  if (basicConstraints.pathLength === undefined) return true;
  return below.slice(1).filter(certificate => !isSelfIssued(certificate)).length <= basicConstraints.pathLength;
}

/** `path` is leaf first, the anchor last, signatures and mayIssue already checked. undefined: every rule is kept. */
export function checkPath(path: readonly Certificate[], rules: PathRules, budget: Budget): PathProblem | undefined {
  const leaf = path[0];
  if (leaf === undefined) return 'untrusted';
  const anchor = path.length - 1;
  if (!path.every((certificate, at) => isSound(certificate, at === anchor))) return 'untrusted';
  if (!isLeafSound(leaf)) return 'untrusted';
  if (!obeysAllConstraints(path, budget)) return 'untrusted';
  return checkPurpose(path, leaf, rules.purpose) ?? checkValidity(path, rules);
}

function isSound({ key, extensions, serialBytes }: Certificate, isAnchor: boolean): boolean {
  if (!isKeyAcceptable(key) || extensions.unknownCritical || extensions.policyConstraints) return false;
  // Zero is what many private roots were made with, and a root's serial number identifies nothing.
  return isAnchor || serialBytes.some(octet => octet !== 0);
}

/** RFC 5280 4.2.1.3 and 4.2.1.10: who is no CA neither signs certificates nor constrains names. */
function isLeafSound({ extensions }: Certificate): boolean {
  if (extensions.basicConstraints?.ca === true) return true;
  return extensions.keyUsage?.keyCertSign !== true && extensions.nameConstraints === undefined;
}

/** Each CA constrains everything below it; self-issued certificates but the leaf are exempt (RFC 5280 6.1.3 b). */
function obeysAllConstraints(path: readonly Certificate[], budget: Budget): boolean {
  return path.every((issuer, at) => {
    const constraints = issuer.extensions.nameConstraints;
    if (constraints === undefined || at === 0) return true;
    return path
      .slice(0, at)
      .filter((certificate, below) => below === 0 || !isSelfIssued(certificate))
      .every(({ subject, extensions }) =>
        obeysConstraints(constrainedNames(subject, extensions.subjectAltName ?? []), constraints, budget),
      );
  });
}

/**
 * The leaf must name the purpose; a CA that names any must name it too, or any (nested purposes, as every common
 * implementation reads them). A leaf's key usage, where there is one, must allow what a TLS client does with its key.
 */
function checkPurpose(path: readonly Certificate[], leaf: Certificate, purpose: string): PathProblem | undefined {
  const { extendedKeyUsage, keyUsage } = leaf.extensions;
  if (extendedKeyUsage?.has(purpose) !== true) return 'purpose';
  if (keyUsage !== undefined && !keyUsage.digitalSignature && !keyUsage.keyAgreement) return 'purpose';
  const nested = path.slice(1).every(({ extensions: { extendedKeyUsage: usages } }) => {
    return usages === undefined || usages.has(purpose) || usages.has(ANY_PURPOSE);
  });
  return nested ? undefined : 'purpose';
}

function checkValidity(path: readonly Certificate[], { now, validity }: PathRules): PathProblem | undefined {
  if (validity.notAfter && path.some(({ notAfter }) => now > notAfter + 999)) return 'expired';
  if (validity.notBefore && path.some(({ notBefore }) => now < notBefore)) return 'not-yet-valid';
  return undefined;
}
