/** Collects violations: each with its object, field, problem, fix and, in files, its line. */
import type { ParsedObject } from '../api/object.ts';
import type { Concern, Severity, Violation } from '../api/violation.ts';
import type { Problem } from './cel-inspect.ts';

type Subject = Pick<ParsedObject<string, unknown>, 'kind' | 'key' | 'locate'>;

/** A problem, and what it is about when the object itself is not at fault. */
export interface Reported extends Problem {
  readonly concern?: Concern;
}

export interface Report {
  readonly violations: readonly Violation[];
  readonly add: (severity: Severity, subject: Subject, field: string, problem: Reported) => void;
}

export const nameObject = ({ kind, key }: Pick<Subject, 'kind' | 'key'>): string => `${kind} ${key}`;

/** The same problem is reported once, however many routes it concerns. */
export function createReport(): Report {
  const violations: Violation[] = [];
  const seen = new Set<string>();
  const add: Report['add'] = (severity, subject, field, { problem, fix, concern }) => {
    const object = nameObject(subject);
    const identity = JSON.stringify([severity, object, field, problem]);
    if (seen.has(identity)) return;
    seen.add(identity);
    const position = subject.locate?.(field);
    violations.push({
      severity,
      object,
      field,
      problem,
      fix,
      ...(concern === undefined ? {} : { concern }),
      ...(position === undefined ? {} : { position }),
    });
  };
  return { violations, add };
}

/** A report of one object that remembers whether it holds an error. */
export interface ObjectReport {
  readonly failed: () => boolean;
  readonly error: (field: string, problem: Reported) => void;
  readonly warn: (field: string, problem: Reported) => void;
}

export function reportOn(report: Report, subject: Subject): ObjectReport {
  let failed = false;
  return {
    failed: () => failed,
    error: (field, problem) => {
      failed = true;
      report.add('error', subject, field, problem);
    },
    warn: (field, problem) => report.add('warning', subject, field, problem),
  };
}
