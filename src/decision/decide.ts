/** Makes verdicts. Only this file makes a Permit; every way through it that is not understood ends in a denial. */
import type { Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledStep } from '../policy/steps.ts';
import { CouldNotDecide } from './could-not-decide.ts';
import type { Evidence, EvidenceRequest } from './evidence.ts';
import { isSamePolicy, rankOf } from './finding.ts';
import { object, type Objection } from './objection.ts';
import { errorBindings, renderErrorHeaders } from './refuse.ts';
import { renderRespond, type Rendered } from './respond-step.ts';
import { Run, type DecideContext } from './run.ts';
import { isSteps, isWanted, runStep } from './run-step.ts';
import { traceStep } from './trace.ts';
import type { Denial, Permit, Respond, Verdict } from './verdict.ts';

export type { DecideContext } from './run.ts';

type Outcome = 'passed' | 'skipped' | Objection | Rendered;

function deny(run: Run, objection: Objection, step?: CompiledStep): Denial {
  const { errors } = run.route.pipeline;
  const { message, retryAfter } = objection;
  return {
    verdict: 'Deny',
    reason: objection.reason,
    errors,
    challenges: objection.challenges,
    errorHeaders: renderErrorHeaders(errors, () => errorBindings(run.requestBinding, run.params, run.request)),
    route: run.route,
    auditDenials: run.auditDenials,
    responseHeaders: run.responseHeaders,
    origin: step?.origin,
    label: step?.label,
    message,
    retryAfter,
    principal: run.principal,
  };
}

function permit(run: Run, verdict: Permit['verdict']): Permit {
  // The brand exists in the type alone; this is the one place that gives it.
  return {
    verdict,
    route: run.route,
    request: run.request,
    edits: run.finalEdits,
    auditDenials: run.auditDenials,
    responseHeaders: run.responseHeaders,
    bindingsOf: (step, response) => run.bindingsOf(step, response),
    principal: run.principal,
    validUntil: run.validUntil,
  } as Permit;
}

/** P5: what answers in the app's place. */
const respondBy = (run: Run, step: CompiledStep, rendered: Rendered): Respond => ({
  verdict: 'Respond',
  route: run.route,
  auditDenials: run.auditDenials,
  responseHeaders: run.responseHeaders,
  label: step.label,
  ...rendered,
  principal: run.principal,
});

/** S7: the default stance. */
function conclude(run: Run): Verdict {
  if (run.isAuthenticated) return permit(run, 'Permit');
  if (run.route.pipeline.authenticates === 'AuditOnly') return permit(run, 'AuditPermit');
  return deny(run, object('NoPolicyMatches'));
}

const TRANSFORMS: ReadonlySet<CompiledStep['type']> = new Set(['setHeaders', 'removeHeaders', 'respond']);

/** P5: after `respond`, the sealed steps that can deny still run, of broader scopes and its own. */
const runsAfter = (responding: CompiledStep, step: CompiledStep): boolean =>
  step.origin.sealed &&
  !step.origin.audit &&
  !TRANSFORMS.has(step.type) &&
  rankOf(step.origin) <= rankOf(responding.origin);

function* outcomeOf(run: Run, step: CompiledStep): Generator<EvidenceRequest, Outcome, Evidence> {
  try {
    const wanted = isWanted(run, step);
    if (wanted !== true) return wanted === false ? 'skipped' : wanted;
    if (step.type === 'respond') return renderRespond(run, step, step.respond);
    const result = runStep(run, step);
    if (result === undefined) return 'passed';
    return (isSteps(result) ? yield* result : result) ?? 'passed';
  } catch (error) {
    return object(error instanceof CouldNotDecide ? error.reason : 'Overloaded', 'could not be decided');
  }
}

/**
 * Yields an EvidenceRequest whenever it needs one and is resumed with the answer; returns the verdict and never throws.
 * `reserved` holds the folded names that policies of this pod set (Snapshot.reservedHeaders).
 */
export function* decide(
  route: Route,
  params: Readonly<Record<string, string>>,
  request: RequestView,
  reserved: ReadonlySet<string>,
  context: DecideContext,
): Generator<EvidenceRequest, Verdict, Evidence> {
  const run = new Run(route, params, request, reserved, context);
  const { trace } = context;
  const { steps } = route.pipeline;
  let response: { readonly step: CompiledStep; readonly rendered: Rendered } | undefined;
  let ended: readonly CompiledStep[] = [];
  let denial: Denial | undefined;
  for (const step of steps) {
    const isOver =
      denial !== undefined ||
      (response !== undefined && !runsAfter(response.step, step)) ||
      ended.some(other => isSamePolicy(other.origin, step.origin));
    if (isOver) {
      if (trace === undefined && denial !== undefined) break;
      trace?.add(step, { verdict: 'not run', microseconds: 0 });
      continue;
    }
    const startedAt = trace?.clock() ?? 0;
    const outcome = yield* outcomeOf(run, step);
    if (trace !== undefined) traceStep(trace, run, step, outcome, startedAt);
    if (outcome === 'passed' || outcome === 'skipped') continue;
    const isObjection = 'reason' in outcome;
    if (step.origin.audit) {
      // S8: the first would-deny ends the policy's steps, and so does its respond; neither changes the verdict.
      if (isObjection) run.countAudit(step, outcome);
      ended = [...ended, step];
    } else if (isObjection) denial = deny(run, outcome, step);
    else response = { step, rendered: outcome };
  }
  if (denial !== undefined) return denial;
  return response === undefined ? conclude(run) : respondBy(run, response.step, response.rendered);
}
