/** The step `authorize` (P4): any deny refuses; then allow is absent, or one of it is true. */
import type { Bindings } from '../policy/expression.ts';
import type { CompiledRule } from '../policy/steps.ts';
import { object, type Objection } from './objection.ts';

/** E8: what is not plainly false denies, so that a rule which fails cannot let anybody in. */
function isDenied(rule: CompiledRule, bindings: Bindings): boolean {
  try {
    return rule.expression.evaluate(bindings) !== false;
  } catch {
    return true;
  }
}

function isAllowed(rule: CompiledRule, bindings: Bindings): boolean {
  try {
    return rule.expression.evaluate(bindings) === true;
  } catch {
    return false;
  }
}

function objectBy(rule: CompiledRule | undefined, detail: string): Objection {
  const objection = object('AuthorizationDenied', detail);
  return rule?.message === undefined ? objection : { ...objection, message: rule.message };
}

/** When no `allow` is true, the first of them that has a message gives it. */
export function authorize(
  allow: readonly CompiledRule[] | undefined,
  deny: readonly CompiledRule[],
  bindings: Bindings,
): Objection | undefined {
  const denying = deny.find(rule => isDenied(rule, bindings));
  if (denying !== undefined) return objectBy(denying, `deny rule ${denying.name}`);
  if (allow === undefined || allow.some(rule => isAllowed(rule, bindings))) return undefined;
  return objectBy(
    allow.find(rule => rule.message !== undefined),
    'no allow rule is true',
  );
}
