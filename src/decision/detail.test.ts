/** What a denial tells the log of the rule, claim or field that denied: names of the policy, never values of the request. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { object } from './objection.ts';
import type { StepBody } from '../policy/steps.ts';
import {
  BEARER_LINE,
  expression,
  failing,
  judgeNow,
  jwt,
  literal,
  origin,
  request,
  route,
  setting,
  step,
  template,
  token,
  type Given,
} from './testing/fakes.ts';

const CANARY = 'canary-of-a-value';
const rule = (name: string, value: boolean) => ({ name, expression: expression(() => value) });
const withToken = (claims: Record<string, unknown>): Given => ({
  request: request([BEARER_LINE]),
  source: { token: () => token(claims) },
});
const claims = (name: string, values?: readonly string[]): StepBody => ({
  type: 'jwt',
  jwt: jwt({ requiredClaims: [{ name, match: 'All', ...(values === undefined ? {} : { values }) }] }),
});
const fails = template(() => String(failing.evaluate({})));

const DENIALS: Readonly<Record<string, readonly [detail: string, body: StepBody, given?: Given]>> = {
  'the deny rule that is true': [
    'deny rule no-lab',
    { type: 'authorize', deny: [rule('other', false), rule('no-lab', true)] },
  ],
  'that no allow rule is true': [
    'no allow rule is true',
    { type: 'authorize', allow: [rule('readers', false)], deny: [] },
  ],
  'the claim that is missing': ['claim clientId', claims('clientId'), withToken({})],
  'the claim whose value is not allowed': ['claim tier', claims('tier', ['gold']), withToken({ tier: CANARY })],
  'the scope that is not enough': ['claim scope', claims('scope', ['write']), withToken({ scope: CANARY })],
  'the header whose template failed': [
    'header x-tier could not be evaluated',
    { type: 'setHeaders', setHeaders: [setting('x-ok', literal('a')), setting('x-tier', fails)] },
  ],
};

suite('a denial names', () => {
  for (const [sentence, [detail, body, given]] of Object.entries(DENIALS)) {
    test(sentence, () => {
      const verdict = judgeNow(route([step(body)]), given);
      assert.ok(verdict.verdict === 'Deny');
      assert.equal(verdict.detail, detail);
      assert.ok(!JSON.stringify({ ...verdict, route: undefined }).includes(CANARY));
    });
  }

  test('the condition that failed', () => {
    const verdict = judgeNow(route([step({ type: 'removeHeaders', removeHeaders: [] }, { when: failing })]));
    assert.ok(verdict.verdict === 'Deny');
    assert.deepEqual([verdict.reason, verdict.detail], ['ExpressionFailed', 'when could not be evaluated']);
  });

  test('the rule of an Audit policy, which only would have denied', () => {
    const audit = origin({ name: 'audit', audit: true });
    const verdict = judgeNow(route([step({ type: 'authorize', deny: [rule('no-lab', true)] }, { origin: audit })]));
    assert.deepEqual(
      verdict.auditDenials.map(({ detail }) => detail),
      ['deny rule no-lab'],
    );
  });

  test('nothing where the reason says it all', () => assert.equal(object('TokenExpired').detail, undefined));
});
