/** Path building and validation (RFC 5280 6.1, RFC 4158), bounded. Signatures are verified through an argument. */
import { fitsKey } from './algorithm.ts';
import { isRoot, type Certificate } from './certificate.ts';
import { checkPath, mayIssue, type PathProblem, type PathRules } from './path-rules.ts';
import { equalBytes } from './primitives.ts';

export { CLIENT_AUTH } from './path-rules.ts';
export type { PathProblem, PathRules } from './path-rules.ts';

export interface PathOptions extends PathRules {
  readonly leaf: Certificate;
  /** As presented, in any order; not trusted. */
  readonly intermediates: readonly Certificate[];
  /** What the operator trusts. Empty: nothing validates. */
  readonly anchors: readonly Certificate[];
  /** Most certificates of a path, the leaf counted and the anchor not. */
  readonly maxDepth: number;
  /** false: a path ends only at an anchor that is a root; other anchors serve as intermediates. */
  readonly partialChain: boolean;
  /** Whether the issuer's key made the signature; must not throw. Asked only for algorithms and keys that count. */
  readonly verifySignature: (signed: Certificate, issuer: Certificate) => boolean;
}

export type PathResult =
  | {
      readonly ok: true;
      /** Leaf first, the anchor last. */
      readonly path: readonly Certificate[];
      /** Milliseconds: from when to when (both included) this path is valid, as the validity switches say. */
      readonly from: number;
      readonly until: number;
    }
  | {
      readonly ok: false;
      readonly problem: PathProblem;
      /** Milliseconds: the first moment at which time alone may change the answer; Infinity: none. */
      readonly retryAt: number;
    };

/** A validation costs at most so many signature checks and visits, whatever is presented (limbo `pathological`). */
export const MAX_SIGNATURE_CHECKS = 32;
const MAX_VISITS = 256;
const MAX_COMPARISONS = 20_000;

interface Search {
  readonly options: PathOptions;
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly verified: Map<Certificate, Map<Certificate, boolean>>;
  readonly budget: { left: number };
  signatureChecks: number;
  visits: number;
  problem: PathProblem;
}

/**
 * Looks for one path from the leaf to an anchor that obeys all rules; tries others when one fails. Without one, the
 * problem is that of the path that came furthest: what a complete, correctly signed path lacks tells more than that
 * another one was incomplete. Never throws.
 */
export function validatePath(options: PathOptions): PathResult {
  const { leaf, anchors, partialChain } = options;
  const roots = anchors.filter(anchor => partialChain || isRoot(anchor));
  const intermediates = [...options.intermediates, ...anchors.filter(anchor => !roots.includes(anchor))];
  const search: Search = {
    options,
    roots,
    intermediates,
    verified: new Map(),
    budget: { left: MAX_COMPARISONS },
    signatureChecks: 0,
    visits: 0,
    problem: 'untrusted',
  };
  const path = extend([leaf], search);
  if (path !== undefined) return { ok: true, path, ...validityOf(path, options) };
  return {
    ok: false,
    problem: search.problem,
    retryAt: nextBeginning([leaf, ...intermediates, ...roots], options.now),
  };
}

function extend(path: readonly Certificate[], search: Search): readonly Certificate[] | undefined {
  const last = path[path.length - 1];
  if (last === undefined || ++search.visits > MAX_VISITS) return undefined;
  for (const anchor of search.roots) {
    if (!isIssuer(last, anchor, path, search)) continue;
    const complete = [...path, anchor];
    const problem = checkPath(complete, search.options, search.budget);
    if (problem === undefined) return complete;
    search.problem = problem;
  }
  if (path.length >= search.options.maxDepth) return undefined;
  for (const candidate of search.intermediates) {
    if (path.some(earlier => isSameEntity(earlier, candidate))) continue;
    if (!isIssuer(last, candidate, path, search)) continue;
    const found = extend([...path, candidate], search);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** RFC 4158 5.2: the same name and key twice makes a loop, whatever else differs. */
const isSameEntity = (a: Certificate, b: Certificate): boolean =>
  a === b || (a.subject.key === b.subject.key && equalBytes(a.spki, b.spki));

/** What costs nothing first: a stranger's candidates must not buy signature checks. */
function isIssuer(child: Certificate, issuer: Certificate, path: readonly Certificate[], search: Search): boolean {
  if (child.issuer.key !== issuer.subject.key) return false;
  const wanted = child.extensions.authorityKeyId;
  const own = issuer.extensions.subjectKeyId;
  if (wanted !== undefined && own !== undefined && wanted !== own) return false;
  if (!mayIssue(issuer, path) || !fitsKey(child.algorithm, issuer.key)) return false;
  return isSignedBy(child, issuer, search);
}

function isSignedBy(child: Certificate, issuer: Certificate, search: Search): boolean {
  const known = search.verified.get(child) ?? new Map<Certificate, boolean>();
  search.verified.set(child, known);
  const earlier = known.get(issuer);
  if (earlier !== undefined) return earlier;
  if (++search.signatureChecks > MAX_SIGNATURE_CHECKS) return false;
  const verdict = search.options.verifySignature(child, issuer);
  known.set(issuer, verdict);
  return verdict;
}

function validityOf(path: readonly Certificate[], { validity }: PathOptions): { from: number; until: number } {
  return {
    from: validity.notBefore ? Math.max(...path.map(({ notBefore }) => notBefore)) : -Infinity,
    until: validity.notAfter ? Math.min(...path.map(({ notAfter }) => notAfter)) + 999 : Infinity,
  };
}

function nextBeginning(certificates: readonly Certificate[], now: number): number {
  let next = Infinity;
  for (const { notBefore } of certificates) if (notBefore > now && notBefore < next) next = notBefore;
  return next;
}
