/** What a case expected beside what came out. Pure. */
import type { PolicyTestCase } from '../api/kinds/policy-test.ts';

export interface Outcome {
  readonly verdict: 'Permit' | 'AuditPermit' | 'Deny' | 'Respond';
  readonly status?: number;
  readonly reason?: string;
  /** `policy/step`. */
  readonly step?: string | undefined;
  /** Of a permitted request, what the app gets; by lower-case name. */
  readonly headerOf: (name: string) => string | undefined;
}

export interface Difference {
  /** `status`, `headers.x-device`: below `expect`. */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
}

const NONE = 'none';

export function compareCase(expect: PolicyTestCase['expect'], outcome: Outcome): readonly Difference[] {
  const differences: Difference[] = [];
  const compare = (field: string, expected: string | number | undefined, got: string | number | undefined): void => {
    if (expected === undefined || String(expected) === String(got ?? NONE)) return;
    differences.push({ field, expected: String(expected), got: String(got ?? NONE) });
  };
  compare('verdict', expect.verdict, outcome.verdict);
  compare('status', expect.status, outcome.status);
  compare('reason', expect.reason, outcome.reason);
  compare('step', expect.step, expect.step?.includes('/') === true ? outcome.step : outcome.step?.replace(/^.*\//, ''));
  for (const [name, value] of Object.entries(expect.headers ?? {})) {
    const got = outcome.headerOf(name.toLowerCase());
    compare(`headers.${name}`, value === '' ? NONE : value, got);
  }
  return differences;
}
