/** The state of one decision: what was found, edited and counted so far. Made per request, so it allocates late. */
import type { Origin, Route, Sight } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { Choice, CompiledStep, StepHead } from '../policy/steps.ts';
import { DECISION_BUDGET } from '../policy/cel-values.ts';
import type { Bindings, Meter } from '../policy/expression.ts';
import type { PendingCount } from './count-step.ts';
import { createBindings } from './bindings.ts';
import { stepsBinding } from './step-binding.ts';
import { Edits, NO_EDITS } from './edits.ts';
import { bindsAny, sees, type Finding } from './finding.ts';
import type { Objection } from './objection.ts';
import type { Trace } from './trace.ts';
import { requestBinding } from './request-binding.ts';
import { layerVariables } from './variables-step.ts';
import type { AuditDenial, CorsAnswer, HeaderLine, Principal, RequestEdits } from './verdict.ts';

export interface DecideContext {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** An open stream is judged again: steps that count or admit are not run (M7). */
  readonly rejudge?: boolean;
  readonly trace?: Trace;
}

type Members = Readonly<Record<string, unknown>>;

const NO_DENIALS: readonly AuditDenial[] = [];
const NO_LINES: readonly HeaderLine[] = [];
const NO_FINDINGS: readonly Finding[] = [];
/** Past it they are indexed, so that a thousand policies that look at their own steps stay linear. */
const FEW_FINDINGS = 16;
const NO_COUNTS: readonly PendingCount[] = [];
const EMPTY_VARS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

export class Run {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  readonly request: RequestView;
  readonly context: DecideContext;
  readonly findings: Finding[] = [];
  /** Those that bind what `latest` looks for: one or two, however many steps ran. */
  #known: readonly Finding[] = NO_FINDINGS;
  auditDenials: readonly AuditDenial[] = NO_DENIALS;
  responseHeaders: readonly HeaderLine[] = NO_LINES;
  pendingCounts: readonly PendingCount[] = NO_COUNTS;
  /** An enforced authentication step passed (S7). */
  isAuthenticated = false;
  principal: Principal | undefined;
  validUntil: number | undefined;
  /** Settled by the first `cors` step that runs. */
  cors: CorsAnswer | undefined;
  #index: Map<CompiledStep, Finding> | undefined;
  #variables: Map<Origin, Readonly<Record<string, string>>> | undefined;
  #choices: Map<Choice, number> | undefined;
  readonly #reserved: ReadonlySet<string>;
  #edits: Edits | undefined;
  #steps: { readonly origin: Origin; readonly count: number; readonly binding: Members } | undefined;
  #request: Readonly<Record<string, unknown>> | undefined;
  #meter: Meter | undefined;
  #auditMeter: Meter | undefined;

  constructor(
    route: Route,
    params: Readonly<Record<string, string>>,
    request: RequestView,
    reserved: ReadonlySet<string>,
    context: DecideContext,
  ) {
    this.route = route;
    this.params = params;
    this.request = request;
    this.context = context;
    this.#reserved = reserved;
  }

  get now(): number {
    return this.context.now;
  }

  get reserved(): ReadonlySet<string> {
    return this.#reserved;
  }

  /** To be changed by enforced steps only (S8). */
  get edits(): Edits {
    return (this.#edits ??= new Edits(this.request, this.#reserved));
  }

  get finalEdits(): RequestEdits {
    return this.#edits ?? NO_EDITS;
  }

  get requestBinding(): Readonly<Record<string, unknown>> {
    const hidden = { credentials: this.route.pipeline.credentialHeaders, reserved: this.#reserved };
    return (this.#request ??= requestBinding(this.request, hidden, this.now));
  }

  /** Kept until a step finds more, or another policy asks. */
  stepsBinding({ origin }: StepHead): Readonly<Record<string, unknown>> {
    const count = this.findings.length;
    if (this.#steps?.origin !== origin || this.#steps.count !== count) {
      const binding = stepsBinding(this.route.pipeline.sight.get(origin), this);
      this.#steps = { origin, count, binding };
    }
    return this.#steps.binding;
  }

  /** Some setVariables has run, so that `vars` is not what it was when the policy loaded. */
  get hasSetVariables(): boolean {
    return this.#variables !== undefined;
  }

  setVariables(origin: Origin, set: Readonly<Record<string, string>>): void {
    const variables = (this.#variables ??= new Map());
    variables.set(origin, { ...variables.get(origin), ...set });
  }

  /** E7. */
  varsBinding(step: StepHead): Readonly<Record<string, string>> {
    const sight = this.sightOf(step);
    if (sight === undefined) return EMPTY_VARS;
    return this.#variables === undefined ? sight.vars : layerVariables(sight, this.#variables);
  }

  /** What expressions may still cost. Audit policies have a meter of their own: they change no other policy's verdict (S8). */
  meterOf({ origin }: StepHead): Meter {
    if (origin.audit) return (this.#auditMeter ??= { left: DECISION_BUDGET });
    return (this.#meter ??= { left: DECISION_BUDGET });
  }

  choose(choice: Choice, at: number): void {
    (this.#choices ??= new Map()).set(choice, at);
  }

  choiceOf(choice: Choice): number | undefined {
    return this.#choices?.get(choice);
  }

  /** Whether the step stands in no branch, or in one that was chosen. */
  isChosen({ branch }: StepHead): boolean {
    return branch === undefined || this.#choices?.get(branch.choice) === branch.at;
  }

  /** What the expressions of this step see now. */
  bindingsOf(step: StepHead, response?: Readonly<Record<string, unknown>>): Bindings {
    return createBindings(this, step, response);
  }

  /** E5: the last to pass in pipeline order among those that the step may see. */
  latest<K extends 'token' | 'certificate' | 'subscription' | 'principal'>(
    step: StepHead,
    what: K,
  ): Finding[K] | undefined {
    for (let at = this.#known.length - 1; at >= 0; at--) {
      const finding = this.#known[at];
      const value = finding?.[what];
      if (value !== undefined && finding !== undefined && sees(step.origin, finding.step.origin)) return value;
    }
    return undefined;
  }

  /** E7, as settled when the policy loaded. */
  sightOf(step: StepHead): Sight | undefined {
    return this.route.pipeline.sight.get(step.origin);
  }

  findingOf(step: CompiledStep): Finding | undefined {
    if (this.findings.length <= FEW_FINDINGS) return this.findings.find(finding => finding.step === step);
    const index = (this.#index ??= new Map<CompiledStep, Finding>());
    for (const finding of this.findings.slice(index.size)) index.set(finding.step, finding);
    return index.get(step);
  }

  /** A step passed. What an Audit policy finds changes nothing but what its own steps see (S8). */
  record(finding: Finding): void {
    this.findings.push(finding);
    if (bindsAny(finding)) this.#known = [...this.#known, finding];
    if (finding.step.origin.audit || finding.principal === undefined) return;
    this.principal = finding.principal;
    if (!finding.step.widened) this.isAuthenticated = true;
  }

  limitTo(until: number | undefined): void {
    if (until !== undefined && (this.validUntil === undefined || until < this.validUntil)) this.validUntil = until;
  }

  countAudit(step: CompiledStep, objection: Objection): void {
    const { reason, detail } = objection;
    const denial = { origin: step.origin, label: step.label, reason, ...(detail === undefined ? {} : { detail }) };
    this.auditDenials = [...this.auditDenials, denial];
  }

  countLater(pending: PendingCount): void {
    this.pendingCounts = [...this.pendingCounts, pending];
  }

  addResponseHeader(line: HeaderLine): void {
    this.responseHeaders = [...this.responseHeaders, line];
  }
}
