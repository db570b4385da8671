/** Warnings about expressions that read `caller` before any step has said who that is: they fail for everybody (E5, E8). */
import { isAuthentication } from './header-names.ts';
import { isBroader, type PolicyInForce } from './in-force.ts';
import type { PolicySet } from './policies.ts';
import type { Problem } from './cel-inspect.ts';
import type { Report } from './report.ts';
import type { Participation } from './scopes.ts';

/**
 * Warnings, never errors: another policy of the same scope or of a broader one may authenticate first, and policies come
 * and go in any order.
 */
export function reportCallerReads(policies: PolicySet, report: Report): void {
  const places = new Map<PolicyInForce, boolean[]>();
  for (const { ordered } of policies.groups) {
    for (const [at, participation] of ordered.entries()) {
      const policy = policies.policyOf(participation);
      if (policy.body === undefined || policy.body.callerReads.length === 0) continue;
      const before = ordered.slice(0, at);
      const isKnown = before.some(other => mayTell(other, participation, policies));
      places.set(policy, [...(places.get(policy) ?? []), isKnown]);
    }
  }
  for (const [policy, known] of places) {
    if (!known.every(Boolean)) reportPolicy(policy, known.some(Boolean), report);
  }
}

/** E5: what a broader policy, or one of the same scope, finds. What is invalid answers for itself. */
function mayTell(other: Participation, { scope }: Participation, policies: PolicySet): boolean {
  const { audit, body } = policies.policyOf(other);
  if (isBroader(scope, other.scope) || audit) return false;
  return body === undefined || body.request.some(({ body: { type } }) => tellsCaller(type));
}

const tellsCaller = (type: string): boolean => type === 'invalid' || isAuthentication(type);

/** What a condition may keep from running is left alone: that may be what the condition is for. */
function reportPolicy({ object, body, audit }: PolicyInForce, some: boolean, report: Report): void {
  if (object === undefined || body === undefined || audit) return;
  const first = body.request.findIndex(step => tellsCaller(step.body.type));
  for (const { step: name, field } of body.callerReads) {
    const at = body.request.findIndex(step => step.name === name);
    const step = body.request[at];
    if (step === undefined || step.branch !== undefined || (first >= 0 && first < at)) continue;
    if (step.when !== undefined && field !== `${step.field}.when`) continue;
    report.add('warning', object, field, describe(field, some, body.request[first]?.name));
  }
}

function describe(field: string, some: boolean, later: string | undefined): Problem {
  const where = some ? ' on some of its targets' : '';
  return {
    problem: `reads caller${where} before any step that authenticates, so ${tellFate(field)}`,
    fix:
      later === undefined
        ? 'put a step that authenticates before it, here or in a broader policy'
        : `move this step behind the step "${later}"`,
  };
}

/** E8 */
function tellFate(field: string): string {
  if (field.includes('.authorize.allow[')) return 'this rule is never true there';
  if (field.includes('.authorize.deny[')) return 'this rule denies every request';
  if (field.includes('.deviceAuth.')) return 'every device is refused';
  return 'every request that gets there is answered 403 ExpressionFailed';
}
