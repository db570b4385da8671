/** Whether a step runs at all: its branch and its `when`. */
import type { CompiledStep } from '../policy/steps.ts';
import { object, objectToFailure, type Objection } from './objection.ts';
import type { Run } from './run.ts';

/** A condition that fails denies (E8). */
export function isWanted(run: Run, step: CompiledStep): boolean | Objection {
  if (!run.isChosen(step)) return false;
  if (step.when === undefined) return true;
  try {
    const value = step.when.evaluate(run.bindingsOf(step));
    return typeof value === 'boolean' ? value : object('ExpressionFailed', 'when is no bool');
  } catch (error) {
    return objectToFailure(error, 'when');
  }
}
