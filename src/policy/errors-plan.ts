/** How denials look and which credential the app gets: per field, the narrowest scope that sets it (S5). */
import type { ErrorOverride } from '../api/kinds/policy.ts';
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { Severity } from '../api/violation.ts';
import type { ErrorsPlan } from './model.ts';
import type { Member } from './overrides.ts';
import type { PolicyBody } from './policy-body.ts';
import { compareBytes } from './encoding.ts';
import { SCOPE_ORDER } from './scopes.ts';
import type { Report } from './report.ts';

export interface ConflictContext {
  readonly report: Report;
  /** In files a conflict is an error; in the cluster the younger loses and status says so. */
  readonly severity: Severity;
}

export const DEFAULT_ERRORS: ErrorsPlan = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
};

export function compileErrors(members: readonly Member[], context: ConflictContext): ErrorsPlan {
  const narrowest = <T>(field: string, read: (body: PolicyBody) => T | undefined): T | undefined =>
    findNarrowest(members, `spec.errors.${field}`, read, context);
  const overrides = narrowest('overrides', body => body.errors?.overrides);
  return {
    format: narrowest('format', body => body.errors?.format) ?? DEFAULT_ERRORS.format,
    includeReason: narrowest('includeReason', body => body.errors?.includeReason) ?? DEFAULT_ERRORS.includeReason,
    includePolicy: narrowest('includePolicy', body => body.errors?.includePolicy) ?? DEFAULT_ERRORS.includePolicy,
    headers: narrowest('headers', body => body.errorHeaders) ?? DEFAULT_ERRORS.headers,
    overrides: overrides === undefined ? DEFAULT_ERRORS.overrides : compileOverrides(overrides),
  };
}

/** Of several overrides for one reason the first written counts. */
function compileOverrides(list: NonNullable<NonNullable<PolicyBody['errors']>['overrides']>): ErrorsPlan['overrides'] {
  const overrides = new Map<Reason, Pick<ErrorOverride, 'status' | 'message'>>();
  for (const { reasons, status, message } of list) {
    const value = { ...(status === undefined ? {} : { status }), ...(message === undefined ? {} : { message }) };
    for (const reason of reasons) if (!overrides.has(reason)) overrides.set(reason, value);
  }
  return overrides;
}

/** The credential of one sort that a policy names for the app. */
export function findCredential(
  members: readonly Member[],
  sort: 'certificate' | 'header',
  context: ConflictContext,
): ObjectKey | undefined {
  return findNarrowest(
    members,
    'spec.backend.credential',
    ({ backend }) => (backend?.sort === sort ? backend.credential : undefined),
    context,
  );
}

/** Within one scope the oldest policy wins; the others lose this field only, and are reported. */
function findNarrowest<T>(
  members: readonly Member[],
  field: string,
  read: (body: PolicyBody) => T | undefined,
  { report, severity }: ConflictContext,
): T | undefined {
  const setting = members
    .flatMap(({ participation, policy }) => {
      const value = policy.audit || policy.body === undefined ? undefined : read(policy.body);
      return value === undefined ? [] : [{ value, policy, scope: SCOPE_ORDER[participation.scope] }];
    })
    .sort(
      (a, b) =>
        b.scope - a.scope ||
        a.policy.createdAt - b.policy.createdAt ||
        compareBytes(a.policy.targets.id, b.policy.targets.id),
    );
  const [winner, ...others] = setting;
  for (const { policy, scope } of others) {
    if (scope !== winner?.scope || policy.object === undefined) continue;
    report.add(severity, policy.object, field, {
      problem: `conflicts with ${winner.policy.kind} ${winner.policy.key}, which sets it at the same scope`,
      fix: 'set it in one of the two',
      concern: 'Conflict',
    });
  }
  return winner?.value;
}
