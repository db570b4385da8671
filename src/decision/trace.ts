/** What `explain` prints: each step in its order, its verdict and its cost. Absent on the live path, where it costs nothing. */
import type { Reason } from '../api/reasons.ts';
import type { Scope } from '../policy/model.ts';
import type { CompiledStep } from '../policy/steps.ts';
import type { Finding } from './finding.ts';
import type { Objection } from './objection.ts';
import type { Rendered } from './respond-step.ts';
import type { Run } from './run.ts';

export interface TraceEntry {
  readonly policy: string;
  readonly kind: 'AuthPolicy' | 'ClusterAuthPolicy';
  readonly scope: Scope;
  readonly sealed: boolean;
  readonly audit: boolean;
  readonly step: string;
  readonly type: CompiledStep['type'];
  /** `audit`: an Audit policy's step would have denied. `not run`: something before it ended the decision. */
  readonly verdict: 'passed' | 'denied' | 'skipped' | 'not run' | 'audit';
  readonly reason?: Reason;
  /** Names and sorts; values of the request are left out or cut to what a log line may hold. */
  readonly detail?: string;
  readonly microseconds: number;
}

export interface Trace {
  readonly entries: readonly TraceEntry[];
  /** Microseconds from any fixed point. */
  clock(): number;
  add(step: CompiledStep, told: Pick<TraceEntry, 'verdict' | 'reason' | 'detail' | 'microseconds'>): void;
}

/** `clock` counts microseconds from any fixed point. */
export function createTrace(clock: () => number): Trace {
  const entries: TraceEntry[] = [];
  return {
    entries,
    clock,
    add: ({ origin, name, type }, told) => {
      const { kind, name: policy, scope, sealed, audit } = origin;
      entries.push({ policy, kind, scope, sealed, audit, step: name, type, ...told });
    },
  };
}

/** Names of objects and thumbprints, which are public; never a claim, a subject or a header's value. */
function describe(finding: Finding | undefined): string | undefined {
  if (finding === undefined) return undefined;
  const parts: string[] = [];
  const { alternative, token, certificate, answer } = finding;
  if (alternative !== undefined) parts.push(`alternative ${alternative}`);
  if (token !== undefined) parts.push(`token of ${token.token.issuerKey}`);
  if (certificate !== undefined) parts.push(`certificate sha256 ${certificate.sha256.slice(0, 16)}…`);
  if (answer !== undefined) parts.push(`answer ${answer.status}`);
  return parts.length === 0 ? undefined : parts.join(', ');
}

function describePassed(run: Run, step: CompiledStep): string | undefined {
  if (step.type === 'choose') {
    const { choice, conditions, otherwise } = step.choose;
    const at = run.choiceOf(choice);
    if (at === undefined || at < conditions.length) return `when[${at ?? '?'}] is true`;
    return otherwise ? 'otherwise' : 'no condition is true';
  }
  if (step.type === 'cors' && run.cors?.lines.length === 0) return 'grants nothing to this origin';
  return describe(run.findingOf(step));
}

export function traceStep(
  trace: Trace,
  run: Run,
  step: CompiledStep,
  outcome: 'passed' | 'skipped' | Objection | Rendered,
  startedAt: number,
): void {
  const microseconds = trace.clock() - startedAt;
  if (outcome === 'skipped') {
    const detail = run.isChosen(step) ? 'when is false' : 'its branch was not chosen';
    return trace.add(step, { verdict: 'skipped', detail, microseconds });
  }
  if (outcome === 'passed' || !('reason' in outcome)) {
    const detail = outcome === 'passed' ? describePassed(run, step) : `responds ${outcome.status}`;
    return trace.add(step, { verdict: 'passed', ...(detail === undefined ? {} : { detail }), microseconds });
  }
  const { reason, detail } = outcome;
  const verdict = step.origin.audit ? 'audit' : 'denied';
  trace.add(step, { verdict, reason, ...(detail === undefined ? {} : { detail }), microseconds });
}
