/** The step `choose` (P5): the first branch whose condition is true. Its steps stand behind it and ask which it was. */
import type { Bindings } from '../policy/expression.ts';
import type { CompiledChoose } from '../policy/steps.ts';

/** Place of the branch; the one after the last condition is `otherwise`. @throws ExpressionError when a condition fails */
export function chooseBranch({ conditions }: CompiledChoose, bindings: Bindings): number {
  const at = conditions.findIndex(condition => condition.evaluate(bindings) === true);
  return at < 0 ? conditions.length : at;
}
