/** One request's expressions share a budget (E8): what many dear ones use up, later ones no longer have, and nothing opens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeText, policyAt, tell, testRows, type Row } from './step-table.ts';

/** As many parameters as a target of 16 KiB holds. */
const MANY = { query: Array.from({ length: 4000 }, (_, index) => index.toString(36)).join('&') };

const DEAR = 'request.query.exists(a, size(request.query) < 0)';
const rules = (count: number): string => `{expression: "${DEAR}"}, `.repeat(count);

const rows: Readonly<Record<string, Row>> = {
  'an allow rule that costs too much is false, and the next one counts': {
    policy: `request: [{name: s, authorize: {allow: [${rules(2)}{expression: "request.method == 'POST'"}]}}]`,
    request: MANY,
    answer: 'Permit',
  },
  'with the budget used up, every allow rule is false': {
    policy: `request: [{name: s, authorize: {allow: [${rules(8)}{expression: "request.method == 'POST'"}]}}]`,
    request: MANY,
    answer: '403 AuthorizationDenied p/s',
  },
  'the same rules let an ordinary request pass': {
    policy: `request: [{name: s, authorize: {allow: [${rules(8)}{expression: "request.method == 'POST'"}]}}]`,
    request: { query: 'a=1' },
    answer: 'Permit',
  },
  'a deny rule that costs too much is true': {
    policy: `request: [{name: s, authorize: {deny: [${rules(1)}]}}]`.replace('}, ]', '}]'),
    request: MANY,
    answer: '403 AuthorizationDenied p/s',
  },
  'a when denies': {
    policy: `request: [{name: s, when: "${DEAR}", requireHeader: {name: X-A}}]`,
    request: MANY,
    answer: '403 ExpressionFailed p/s',
  },
  'a condition of choose denies, and otherwise does not run': {
    policy: `request: [{name: s, choose: {when: [{condition: "${DEAR}", steps: [{name: t, requireHeader: {name: X-A}}]}], otherwise: [{name: u, respond: {status: 200}}]}}]`,
    request: MANY,
    answer: '403 ExpressionFailed p/s',
  },
  'a template denies': {
    policy: `request: [{name: s, setVariables: {a: "\${${DEAR}}"}}]`,
    request: MANY,
    answer: '403 ExpressionFailed p/s',
  },
  'a key denies': {
    policy: `request: [{name: s, rateLimit: {calls: 1, period: 1s, key: "\${${DEAR}}"}}]`,
    request: MANY,
    answer: '403 ExpressionFailed p/s',
  },
};

describe('expressions that cost too much', () => {
  testRows(rows);

  test('in an Audit policy leave the budget of enforced policies alone (S8)', async () => {
    const open = policyAt('Api', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'open');
    const audit = policyAt('Cluster', `request: [{name: s, authorize: {allow: [${rules(8)}]}}]`, 'Audit', 'audit');
    const { verdict } = await judgeText(
      audit +
        open +
        policyAt('Api', `request: [{name: s, authorize: {allow: [{expression: "request.method == 'POST'"}]}}]`),
      MANY,
    );
    assert.equal(tell(verdict), 'Permit');
    assert.deepEqual(
      verdict.auditDenials.map(({ reason }) => reason),
      ['AuthorizationDenied'],
    );
  });
});
