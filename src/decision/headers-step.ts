/** The steps `setHeaders`, `removeHeaders` and `requireHeader`. */
import { findAll } from '../http/head.ts';
import type { CompiledHeaderSetting, CompiledRequireHeader, CompiledStep } from '../policy/steps.ts';
import { object, objectToFailure, type Objection } from './objection.ts';
import { removedHeaders } from './request-headers.ts';
import { recallRendered, type Rendered } from './rendered-headers.ts';
import type { Run } from './run.ts';

function render(run: Run, step: CompiledStep, settings: readonly CompiledHeaderSetting[]): Rendered | Objection {
  const rendered: [CompiledHeaderSetting, string][] = [];
  const bindings = run.bindingsOf(step);
  for (const setting of settings) {
    // S4: a broader sealed policy has the last word on this header.
    if (setting.overridden) continue;
    try {
      rendered.push([setting, setting.value.literal ?? setting.value.render(bindings)]);
    } catch (error) {
      return objectToFailure(error, `header ${setting.name}`);
    }
  }
  return rendered;
}

/** All values are rendered before one is set: a request that is denied half-way was never changed. */
export function setHeaders(
  run: Run,
  step: CompiledStep,
  settings: readonly CompiledHeaderSetting[],
): Objection | undefined {
  const rendered = recallRendered(run, step, settings, () => render(run, step, settings));
  if ('reason' in rendered) return rendered;
  if (step.origin.audit) return undefined;
  for (const [setting, value] of rendered) run.edits.apply(setting, value);
  return undefined;
}

export function removeHeaders(run: Run, step: CompiledStep, names: readonly string[]): undefined {
  if (step.origin.audit) return;
  for (const name of names) run.edits.remove(name);
}

/**
 * Looks at what was received (E1), less what is removed on every route: a header that the app will not see, or that only
 * trusted peers may send, proves nothing. Every line must hold one of the values.
 */
export function requireHeader(run: Run, required: CompiledRequireHeader): Objection | undefined {
  const lower = required.name.toLowerCase();
  const lines = findAll(run.request.headers, lower);
  if (lines.length === 0 || removedHeaders(run.request, run.reserved)(lower)) return object('HeaderNotFound');
  const { values, ignoreCase } = required;
  if (values === undefined) return undefined;
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  const isWanted = (line: string): boolean => values.some(value => fold(value) === fold(line));
  return lines.every(isWanted) ? undefined : object('HeaderValueNotAllowed');
}
