/** The step `respond` (P5): an answer in the app's place, in the request part and in the response part. */
import type { Bindings } from '../policy/expression.ts';
import type { CompiledRespond, CompiledStep } from '../policy/steps.ts';
import { objectToFailure, type Objection } from './objection.ts';
import type { Run } from './run.ts';
import type { HeaderLine } from './verdict.ts';

export interface Rendered {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: string;
}

/** @throws ExpressionError when a template cannot be rendered. */
export function renderAnswer(respond: CompiledRespond, bindings: Bindings): Rendered {
  const headers = respond.headers.map(({ name, value }) => ({ name, value: value.literal ?? value.render(bindings) }));
  const body = respond.body.literal ?? respond.body.render(bindings);
  const isTyped = headers.some(({ name }) => name.toLowerCase() === 'content-type');
  if (!isTyped && body !== '') headers.push({ name: 'Content-Type', value: respond.contentType });
  return { status: respond.status, headers, body };
}

export function renderRespond(run: Run, step: CompiledStep, respond: CompiledRespond): Rendered | Objection {
  try {
    return renderAnswer(respond, run.bindingsOf(step));
  } catch (error) {
    return objectToFailure(error, 'respond');
  }
}
