/** How problems are printed: lines for editors and CI, grouped by file on a terminal, JSON for programs. */
import type { Violation } from '../api/violation.ts';
import { isFailed, renderFailures, renderJunit, summarizeTests, type TestReport } from './check-tests.ts';
import type { Io } from './io.ts';
import { createPaint, type Paint } from './text.ts';

interface Report {
  readonly objects: number;
  /** Others that were read for their sake. Absent: nobody counted. */
  readonly read?: number;
  readonly tests: readonly TestReport[];
  /** What could not be looked at, as sentences. */
  readonly notChecked?: readonly string[];
  /** Warnings count as errors do. */
  readonly strict: boolean;
}

/** What the exit code says. */
export const hasFailed = (problems: readonly Violation[], strict: boolean): boolean =>
  problems.some(({ severity }) => strict || severity === 'error');

export function renderProblems(
  problems: readonly Violation[],
  { objects, read = 0, tests, notChecked = [], strict }: Report,
  output: 'text' | 'json' | 'junit',
  io: Pick<Io, 'stdout' | 'stderr' | 'isTTY' | 'columns'>,
): void {
  const summary = [summarize(problems, objects, read), summarizeTests(tests)].filter(Boolean).join('; ');
  const unseen = notChecked.map(sentence => `not checked: ${sentence}\n`).join('');
  if (output !== 'json') io.stderr.write(unseen);
  if (output === 'junit') {
    io.stdout.write(renderJunit(problems, tests, strict));
    return;
  }
  if (output === 'json')
    io.stdout.write(
      `${JSON.stringify({ ...describeProblems(problems, strict), ...(notChecked.length === 0 ? {} : { notChecked }), ...(tests.length === 0 ? {} : { tests: describeTests(tests) }) }, undefined, 2)}\n`,
    );
  else if (io.isTTY) {
    const paint = createPaint(true);
    io.stdout.write(renderGroups(problems, summary, paint, renderFailures(tests, paint, io.columns)));
  } else {
    io.stdout.write(problems.map(problem => `${formatProblem(problem)}\n`).join(''));
    const failures = renderFailures(tests, createPaint(false), Infinity);
    io.stderr.write(`${failures === '' ? '' : `\n${failures}\n`}${summary}\n`);
  }
}

/** `file:line:field: problem, fix`; without a position `Kind namespace/name: field: problem, fix`. */
export function formatProblem({ severity, object, field, problem, fix, position }: Violation): string {
  const where = position === undefined ? object : `${position.file}:${position.line}`;
  const place = [where, field].filter(part => part !== '').join(position === undefined ? ': ' : ':');
  return `${place}: ${severity === 'warning' ? 'warning: ' : ''}${problem}, ${fix}`;
}

function summarize(problems: readonly Violation[], objects: number, read: number): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const looked = `${countOf(objects, 'object')} checked${read === 0 ? '' : `, ${read} more read`}`;
  if (problems.length === 0) return `${looked}: no problems`;
  return `${looked}: ${countOf(errors, 'error')}, ${countOf(problems.length - errors, 'warning')}`;
}

const countOf = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function describeProblems(problems: readonly Violation[], strict: boolean) {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  return {
    ok: !hasFailed(problems, strict),
    errors,
    warnings: problems.length - errors,
    problems: problems.map(({ severity, object, field, problem, fix, position }) => ({
      severity,
      ...(position === undefined ? {} : { file: position.file, line: position.line }),
      object,
      field,
      problem,
      fix,
    })),
  };
}

function renderGroups(problems: readonly Violation[], summary: string, paint: Paint, failures: string): string {
  const groups = Map.groupBy(problems, ({ position, object }) => position?.file ?? object);
  const blocks = [...groups].map(([file, found]) => {
    const width = Math.max(...found.map(({ position }) => String(position?.line ?? '').length));
    return `${paint('bold', file)}\n${found.map(problem => renderGrouped(problem, width, paint)).join('')}\n`;
  });
  const colour = problems.length === 0 ? 'green' : problems[0]?.severity === 'error' ? 'red' : 'yellow';
  return `${blocks.join('')}${failures === '' ? '' : `${failures}\n`}${paint(colour, summary)}\n`;
}

function renderGrouped(
  { severity, object, field, problem, fix, position }: Violation,
  width: number,
  paint: Paint,
): string {
  const line = paint('dim', String(position?.line ?? '').padStart(width));
  const sign = severity === 'error' ? paint('red', 'error') : paint('yellow', 'warning');
  const place = [object, field].filter(part => part !== '').join(' ');
  const indent = ' '.repeat(width + 4);
  return `  ${line}  ${sign} ${place}${place === '' ? '' : ': '}${problem}\n${indent}${paint('dim', fix)}\n`;
}

const describeTests = (tests: readonly TestReport[]): unknown =>
  tests.map(({ test, cases }) => ({
    test: test.key,
    cases: cases.map(result => ({ name: result.name, passed: !isFailed(result), differences: result.differences })),
  }));
