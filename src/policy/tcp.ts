/** `protocol: TCP` (M6): a connection is what is judged, so only steps that need no request can judge it. */
import { quote } from '../api/words.ts';
import type { ApiDraft } from './apis.ts';
import { nameObject, type Report } from './report.ts';
import type { Pipeline } from './model.ts';
import type { Severity } from '../api/violation.ts';
import type { CompiledStep } from './steps.ts';

/** `invalid` denies everything, which is right here too (S6). */
const TAKEN: ReadonlySet<string> = new Set(['clientCertificate', 'ipFilter', 'concurrency', 'anonymous', 'invalid']);

interface TcpContext {
  readonly report: Report;
  /** Of what objects do to each other. */
  readonly severity: Severity;
}

/** False, after reporting why: what the Api would serve is refused, since a step that cannot be run is not skipped (S6). */
export function isTcpServable({ object }: ApiDraft, pipeline: Pipeline, { report, severity }: TcpContext): boolean {
  const refuse = (problem: string, fix: string): void =>
    report.add(severity, object, 'spec.protocol', { problem, fix, concern: 'Conflict' });
  const foreign = pipeline.steps.find(step => !isTaken(step));
  if (foreign !== undefined) {
    refuse(
      `TCP has no requests, so the step ${quote(foreign.name)} of ${nameObject(foreign.origin)} cannot judge it`,
      'target that policy at other Apis; TCP takes clientCertificate, ipFilter, concurrency and anyOf of clientCertificate and anonymous',
    );
  }
  if (pipeline.headerCredential !== undefined) {
    refuse(
      `TCP has no headers, so the BackendCredential ${pipeline.headerCredential} cannot be presented`,
      'target the policy that names it at other Apis',
    );
  }
  return foreign === undefined && pipeline.headerCredential === undefined;
}

const isTaken = (step: CompiledStep): boolean =>
  step.type === 'anyOf' ? step.alternatives.every(({ type }) => TAKEN.has(type)) : TAKEN.has(step.type);
