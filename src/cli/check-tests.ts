/** Policy tests as `check` runs and prints them: a line for editors, a difference with its trace for people, JUnit for CI. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { runPolicyTest, type CaseResult } from '../policy-tests/run-policy-test.ts';
import type { Resources } from '../sources/source.ts';
import { rowOf, TRACE_HEADER } from './explain-report.ts';
import { renderTable, type Paint } from './text.ts';

export interface TestReport {
  readonly test: ObjectOfKind<'PolicyTest'>;
  readonly cases: readonly CaseResult[];
}

export async function runPolicyTests(
  resources: Resources,
  { now, namespace }: { readonly now: number; readonly namespace?: string },
): Promise<readonly TestReport[]> {
  const tests = resources.objects.filter(
    (object): object is ObjectOfKind<'PolicyTest'> =>
      object.kind === 'PolicyTest' && (namespace === undefined || object.meta.namespace === namespace),
  );
  return Promise.all(tests.map(async test => ({ test, cases: await runPolicyTest(test, resources, now) })));
}

export const isFailed = ({ differences }: CaseResult): boolean => differences.length > 0;

/** One violation for each failing case, at the first field that differs. */
export function listFailures(reports: readonly TestReport[]): readonly Violation[] {
  return reports.flatMap(({ test, cases }) => cases.filter(isFailed).map(result => describeFailure(test, result)));
}

function describeFailure(test: TestReport['test'], { name, index, differences }: CaseResult): Violation {
  const told = differences.map(({ field, expected, got }) => `${field} is ${got}, not ${expected}`).join('; ');
  const field = `spec.cases[${index}].expect.${differences[0]?.field ?? ''}`;
  const position = test.locate?.(field);
  return {
    severity: 'error',
    object: `PolicyTest ${test.key}`,
    field,
    problem: `the case "${name}" fails: ${told}`,
    fix: 'mend the policy, or what the case expects',
    ...(position === undefined ? {} : { position }),
  };
}

/** What was expected beside what came out, then the steps that led there. */
export function renderFailures(reports: readonly TestReport[], paint: Paint, columns: number): string {
  return reports
    .flatMap(({ test, cases }) => cases.filter(isFailed).map(result => renderFailure(test, result, paint, columns)))
    .join('\n');
}

function renderFailure({ key }: TestReport['test'], result: CaseResult, paint: Paint, columns: number): string {
  const { name, differences, outcome, trace } = result;
  const rows = differences.map(({ field, expected, got }) => [
    { text: field },
    { text: expected, colour: 'green' as const },
    { text: got, colour: 'red' as const },
  ]);
  const summary = [outcome.verdict, outcome.status, outcome.reason].filter(part => part !== undefined).join(' ');
  const steps =
    trace.length === 0 ? '  no step ran\n' : indent(renderTable(TRACE_HEADER, trace.map(rowOf), { paint, columns }));
  return [
    `${paint('red', 'FAIL')} ${key}: ${paint('bold', name)}\n`,
    indent(renderTable(['', 'EXPECTED', 'GOT'], rows, { paint, columns })),
    `  ${summary}${outcome.step === undefined ? '' : ` by ${outcome.step}`}:\n`,
    steps,
  ].join('');
}

const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ');

const countAll = (reports: readonly TestReport[]): number => reports.reduce((sum, { cases }) => sum + cases.length, 0);

/** `12 cases of 3 tests: 1 failed`; undefined when there are none. */
export function summarizeTests(reports: readonly TestReport[]): string | undefined {
  if (reports.length === 0) return undefined;
  const failed = reports.flatMap(({ cases }) => cases.filter(isFailed)).length;
  const total = countAll(reports);
  return `${total} ${total === 1 ? 'case' : 'cases'} of ${reports.length} ${reports.length === 1 ? 'test' : 'tests'}: ${failed === 0 ? 'all pass' : `${failed} failed`}`;
}

/** JUnit XML as CI systems read it: a suite for each PolicyTest, and one for the manifests, a case for each error (`strict`: each warning too). */
export function renderJunit(problems: readonly Violation[], reports: readonly TestReport[], strict: boolean): string {
  const suites = reports.map(({ test, cases }) => renderSuite(`PolicyTest ${test.key}`, cases.map(renderCase)));
  const errors = problems.filter(
    ({ severity, object }) => (strict || severity === 'error') && !object.startsWith('PolicyTest '),
  );
  const manifests = renderSuite(
    'manifests',
    errors.length === 0
      ? [{ xml: '<testcase name="no errors" classname="manifests"/>', failed: false }]
      : errors.map(renderProblem),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="sallyport check">\n${[manifests, ...suites].join('')}</testsuites>\n`;
}

interface JunitCase {
  readonly xml: string;
  readonly failed: boolean;
}

const renderSuite = (name: string, cases: readonly JunitCase[]): string =>
  `  <testsuite name="${escapeXml(name)}" tests="${cases.length}" failures="${cases.filter(({ failed }) => failed).length}">\n${cases.map(({ xml }) => `    ${xml}\n`).join('')}  </testsuite>\n`;

function renderCase(result: CaseResult): JunitCase {
  const { name, differences, trace } = result;
  const head = `<testcase name="${escapeXml(name)}" classname="PolicyTest"`;
  if (!isFailed(result)) return { xml: `${head}/>`, failed: false };
  const message = differences
    .map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`)
    .join('; ');
  const steps = trace.map(
    entry => `${entry.policy}/${entry.step} ${entry.verdict}${entry.reason === undefined ? '' : ` ${entry.reason}`}`,
  );
  return {
    xml: `${head}><failure message="${escapeXml(message)}">${escapeXml(steps.join('\n'))}</failure></testcase>`,
    failed: true,
  };
}

function renderProblem({ object, field, problem, fix, position }: Violation): JunitCase {
  const where = position === undefined ? object : `${position.file}:${position.line}`;
  const failure = `<failure message="${escapeXml(`${field}: ${problem}, ${fix}`)}"/>`;
  return {
    xml: `<testcase name="${escapeXml(`${where} ${field}`)}" classname="manifests">${failure}</testcase>`,
    failed: true,
  };
}

const XML: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' };
// Characters that XML 1.0 has no way to write are left out.
const escapeXml = (text: string): string =>
  text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '').replace(/[<>&"]/g, character => XML[character] ?? '');
