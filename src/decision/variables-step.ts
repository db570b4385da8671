/** The step `setVariables`, and what `vars` means where one has run (E7). */
import type { Origin, Sight } from '../policy/model.ts';
import type { CompiledStep, CompiledVariable } from '../policy/steps.ts';
import { objectToFailure, type Objection } from './objection.ts';
import type { Run } from './run.ts';

/** Texts that steps of each policy have set. */
export type SetVariables = ReadonlyMap<Origin, Readonly<Record<string, string>>>;

/** All are rendered before one is set. What an Audit policy sets is seen by itself only, like all that it binds (S8). */
export function setVariables(
  run: Run,
  step: CompiledStep,
  variables: readonly CompiledVariable[],
): Objection | undefined {
  const bindings = run.bindingsOf(step);
  const set = Object.create(null) as Record<string, string>;
  for (const { name, value } of variables) {
    try {
      set[name] = value.literal ?? value.render(bindings);
    } catch (error) {
      return objectToFailure(error, `variable ${name}`);
    }
  }
  run.setVariables(step.origin, set);
  return undefined;
}

/** Broadest policy first, so that the own names come last and win; in each what was set wins over what was written. */
export function layerVariables({ layers }: Sight, set: SetVariables): Readonly<Record<string, string>> {
  const vars = Object.create(null) as Record<string, string>;
  for (const { origin, vars: written } of layers) Object.assign(vars, written, set.get(origin));
  return vars;
}
