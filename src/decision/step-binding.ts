/** The variable `steps` (E4, E7): what earlier steps in sight found. */
import type { Sight } from '../policy/model.ts';
import type { CompiledStep } from '../policy/steps.ts';
import { EMPTY_RECORD } from './cel-value.ts';
import { certificateBinding } from './certificate-binding.ts';
import type { Finding } from './finding.ts';

const NOT_RUN = Object.freeze({ ran: false, body: EMPTY_RECORD });

function stepBinding({ token, certificate, alternative, answer }: Finding): Readonly<Record<string, unknown>> {
  const binding: Record<string, unknown> = { ran: true, body: answer?.body ?? EMPTY_RECORD };
  if (answer !== undefined) binding['status'] = BigInt(answer.status);
  if (alternative !== undefined) binding['alternative'] = alternative;
  if (token !== undefined) binding['jwt'] = token.binding;
  if (certificate !== undefined) binding['cert'] = certificateBinding(certificate);
  return binding;
}

/** Names of steps come from policies; own members only count, so `constructor` is a step like any other. */
export function stepsBinding(
  sight: Sight | undefined,
  run: { findingOf(step: CompiledStep): Finding | undefined },
): Readonly<Record<string, unknown>> {
  const bindings: Record<string, unknown> = {};
  for (const [name, step] of sight?.steps ?? []) {
    const finding = run.findingOf(step);
    bindings[name] = finding === undefined ? NOT_RUN : stepBinding(finding);
  }
  return bindings;
}
