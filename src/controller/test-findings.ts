/** TestsPassed of tests and of the policies that their cases meet. Pure. */
import { identify } from '../policy/inventory.ts';
import type { CaseResult } from '../policy-tests/run-policy-test.ts';
import { find, type Finding } from './conditions.ts';
import type { TestReport, Verdict } from './test-bench.ts';

export const isFailed = ({ differences }: CaseResult): boolean => differences.length > 0;

/** By identity. */
export function judgeTests({ reports, policies }: Verdict): ReadonlyMap<string, Finding> {
  const findings = new Map<string, Finding>(reports.map(report => [report.test.id, judgeTest(report)]));
  for (const { id, key } of policies) {
    const met = reports.flatMap(report =>
      report.cases.filter(one => one.policies.has(key)).map(one => ({ report, one })),
    );
    if (met.length === 0) continue;
    const failed = met.filter(({ one }) => isFailed(one));
    const [first] = failed;
    findings.set(
      id,
      first === undefined
        ? find('TestsPassed', true, 'Passed', `${countCases(met.length)} ${met.length === 1 ? 'passes' : 'pass'}`)
        : find('TestsPassed', false, 'Failed', `${first.report.test.id}: ${describeFailure(first.one)}${more(failed)}`),
    );
  }
  return findings;
}

function judgeTest({ cases }: TestReport): Finding<'TestsPassed'> {
  const failed = cases.filter(isFailed);
  const [first] = failed;
  if (first === undefined) {
    return find('TestsPassed', true, 'Passed', `${countCases(cases.length)} ${cases.length === 1 ? 'passes' : 'pass'}`);
  }
  return find('TestsPassed', false, 'Failed', `${describeFailure(first)}${more(failed)}`);
}

const countCases = (count: number): string => `${count} ${count === 1 ? 'case' : 'cases'}`;
const more = (failed: readonly unknown[]): string => (failed.length > 1 ? ` (and ${failed.length - 1} more)` : '');

/** `the case "x" fails: status is 403, not 200`. */
function describeFailure({ name, differences }: CaseResult): string {
  const told = differences.map(({ field, expected, got }) => `${field} is ${got}, not ${expected}`).join('; ');
  return `the case "${name}" fails: ${told}`;
}

/** AuthPolicies of the namespace that a failing case of a gate speaks against, with the gate’s identity. */
export function listBlocked({ reports, policies }: Verdict): ReadonlyMap<string, string> {
  const blocked = new Map<string, string>();
  for (const { test, cases } of reports.filter(({ gate }) => gate)) {
    for (const key of cases.filter(isFailed).flatMap(one => [...one.policies])) {
      const id = identify({ kind: 'AuthPolicy', key });
      if (policies.some(policy => policy.id === id) && !blocked.has(id)) blocked.set(id, test.id);
    }
  }
  return blocked;
}

export const hasGate = ({ reports }: Verdict): boolean => reports.some(({ gate }) => gate);
