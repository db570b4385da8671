/** Makes verdicts. Only this file makes a Permit; every way through it that is not understood ends in a denial. */
import type { Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledStep } from '../policy/steps.ts';
import { isWanted } from './condition.ts';
import { CouldNotDecide } from './could-not-decide.ts';
import type { Evidence, EvidenceRequest } from './evidence.ts';
import { isSamePolicy, rankOf } from './finding.ts';
import { object, type Objection } from './objection.ts';
import { errorBindings, renderErrorHeaders } from './refuse.ts';
import { renderRespond, type Rendered } from './respond-step.ts';
import { Run, type DecideContext } from './run.ts';
import { Question, type Asking } from './question.ts';
import { runStep } from './run-step.ts';
import { hasTwoAuthorizations } from './token-location.ts';
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
    pendingCounts: run.pendingCounts,
    cors: run.cors,
    origin: step?.origin,
    label: step?.label,
    message,
    retryAfter,
    detail: objection.detail,
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
    pendingCounts: run.pendingCounts,
    cors: run.cors,
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
  pendingCounts: run.pendingCounts,
  cors: run.cors,
  origin: step.origin,
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

/** What changes only what is forwarded or answered. setVariables is none: the conditions of steps that deny may read it. */
const TRANSFORMS: ReadonlySet<CompiledStep['type']> = new Set(['setHeaders', 'removeHeaders', 'cors', 'respond']);

/** P5: after `respond`, the sealed steps that can deny still run, of broader scopes and its own. */
const runsAfter = (responding: CompiledStep, step: CompiledStep): boolean =>
  step.origin.sealed &&
  !step.origin.audit &&
  !TRANSFORMS.has(step.type) &&
  rankOf(step.origin) <= rankOf(responding.origin);

const fail = (error: unknown): Objection =>
  object(error instanceof CouldNotDecide ? error.reason : 'Overloaded', 'could not be decided');

function beginStep(run: Run, step: CompiledStep): Asking<Outcome | undefined> {
  try {
    const wanted = isWanted(run, step);
    if (wanted !== true) return wanted === false ? 'skipped' : wanted;
    return step.type === 'respond' ? renderRespond(run, step, step.respond) : runStep(run, step);
  } catch (error) {
    return fail(error);
  }
}

function resumeStep(question: Question<Outcome | undefined>, answer: Evidence): Asking<Outcome | undefined> {
  try {
    return question.resume(answer);
  } catch (error) {
    return fail(error);
  }
}

/**
 * One decision under way. `start` and then `resume`, with the answer to what was asked last, give the next
 * EvidenceRequest; undefined: there is a verdict. Neither throws.
 */
export class Decision {
  readonly #run: Run;
  readonly #steps: readonly CompiledStep[];
  #at = 0;
  #startedAt = 0;
  #question: Question<Outcome | undefined> | undefined;
  #response: { readonly step: CompiledStep; readonly rendered: Rendered } | undefined;
  /** Steps of Audit policies that would have denied or answered. */
  #ended: readonly CompiledStep[] = NONE;
  #denial: Denial | undefined;

  /** `reserved` holds the folded names that policies of this pod set (Snapshot.reservedHeaders). */
  constructor(
    route: Route,
    params: Readonly<Record<string, string>>,
    request: RequestView,
    reserved: ReadonlySet<string>,
    context: DecideContext,
  ) {
    this.#run = new Run(route, params, request, reserved, context);
    this.#steps = route.pipeline.steps;
  }

  start(): EvidenceRequest | undefined {
    const { trace } = this.#run.context;
    for (let step = this.#steps[this.#at]; step !== undefined; step = this.#steps[this.#at]) {
      if (this.#isOver(step)) {
        trace?.add(step, { verdict: 'not run', microseconds: 0 });
        this.#at++;
        continue;
      }
      if (trace !== undefined) this.#startedAt = trace.clock();
      const request = this.#take(step, beginStep(this.#run, step));
      if (request !== undefined) return request;
      // A trace tells the steps that do not run; nobody else asks for them.
      if (this.#denial !== undefined && trace === undefined) break;
    }
    return undefined;
  }

  resume(answer: Evidence): EvidenceRequest | undefined {
    const question = this.#question;
    const step = this.#steps[this.#at];
    if (question === undefined || step === undefined) return undefined;
    return this.#take(step, resumeStep(question, answer)) ?? this.start();
  }

  get verdict(): Verdict {
    if (this.#denial !== undefined) return this.#denial;
    // Whoever reads the header picks one of the lines, and not all pick the same (security.md rule 2).
    if (hasTwoAuthorizations(this.#run.request)) return deny(this.#run, object('DuplicateCredential'));
    const response = this.#response;
    return response === undefined ? conclude(this.#run) : respondBy(this.#run, response.step, response.rendered);
  }

  #isOver(step: CompiledStep): boolean {
    if (this.#denial !== undefined) return true;
    if (this.#response !== undefined && !runsAfter(this.#response.step, step)) return true;
    return this.#ended !== NONE && this.#ended.some(other => isSamePolicy(other.origin, step.origin));
  }

  /** What the step asks for; undefined when it is over. */
  #take(step: CompiledStep, result: Asking<Outcome | undefined>): EvidenceRequest | undefined {
    if (result instanceof Question) {
      this.#question = result;
      return result.request;
    }
    this.#question = undefined;
    this.#at++;
    const { trace } = this.#run.context;
    if (trace !== undefined) traceStep(trace, this.#run, step, result ?? 'passed', this.#startedAt);
    if (result !== undefined && result !== 'passed' && result !== 'skipped') this.#end(step, result);
    return undefined;
  }

  #end(step: CompiledStep, outcome: Objection | Rendered): void {
    const isObjection = 'reason' in outcome;
    if (step.origin.audit) {
      // S8: the first would-deny ends the policy's steps, and so does its respond; neither changes the verdict.
      if (isObjection) this.#run.countAudit(step, outcome);
      this.#ended = [...this.#ended, step];
    } else if (isObjection) this.#denial = deny(this.#run, outcome, step);
    else this.#response = { step, rendered: outcome };
  }
}

const NONE: readonly CompiledStep[] = [];
