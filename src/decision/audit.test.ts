import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledStep } from '../policy/steps.ts';
import {
  BEARER_LINE,
  certificate,
  expression,
  failing,
  has,
  jwt,
  judgeNow,
  literal,
  origin,
  permitOf,
  request,
  route,
  setting,
  step,
  summary,
  token,
  verifiedCertificate,
  type Given,
} from './testing/fakes.ts';

const audit = origin({ name: 'audit', scope: 'Namespace', audit: true });
const enforced = origin({ name: 'enforced' });
const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] }, { name: 'open', origin: enforced });
const denying = (from = audit, name = 'deny') =>
  step({ type: 'authorize', deny: [{ name: 'all', expression: expression(() => true) }] }, { name, origin: from });
const labels = (steps: readonly CompiledStep[], given: Given = {}) => {
  const verdict = judgeNow(route(steps), given);
  return [summary(verdict), ...verdict.auditDenials.map(({ label, reason }) => `${label} ${reason}`)];
};

suite('S8: Audit policies', () => {
  test('the first would-deny is counted and ends that policy’s steps; the request passes', () =>
    assert.deepEqual(labels([denying(), denying(audit, 'again'), open]), ['Permit', 'audit/deny AuthorizationDenied']));

  test('another Audit policy is counted by itself', () => {
    const other = origin({ name: 'other', audit: true });
    assert.deepEqual(labels([denying(), denying(other), open]), [
      'Permit',
      'audit/deny AuthorizationDenied',
      'other/deny AuthorizationDenied',
    ]);
  });

  test('what could not be decided is counted with its reason, and is no outage', () => {
    const tokens: Given = {
      request: request([BEARER_LINE]),
      source: { token: () => ({ state: 'undecided', reason: 'KeysUnavailable' }) },
    };
    assert.deepEqual(labels([step({ type: 'jwt', jwt: jwt() }, { origin: audit }), open], tokens), [
      'Permit',
      'audit/jwt KeysUnavailable',
    ]);
  });

  test('even a duplicate credential, an invalid policy and a failing expression change no verdict', () => {
    const lines = request([
      ['X-Token', 't'],
      ['X-Token', 't'],
    ]);
    const doubled = jwt({ from: [{ in: 'header', name: 'X-Token' }] });
    const failingStep = step(
      { type: 'removeHeaders', removeHeaders: [] },
      { origin: origin({ name: 'b', audit: true }), when: failing },
    );
    const invalid = step({ type: 'invalid' }, { origin: origin({ name: 'c', audit: true }) });
    assert.deepEqual(
      labels([step({ type: 'jwt', jwt: doubled }, { origin: audit }), failingStep, invalid, open], { request: lines }),
      ['Permit', 'audit/jwt DuplicateCredential', 'b/removeheaders ExpressionFailed', 'c/invalid PolicyInvalid'],
    );
  });

  test('alone it lets requests pass as AuditPermit, whether its step would pass or deny', () => {
    const only = [step({ type: 'jwt', jwt: jwt() }, { origin: audit })];
    assert.deepEqual(labels(only), ['AuditPermit', 'audit/jwt TokenNotPresent']);
    assert.deepEqual(labels(only, { request: request([BEARER_LINE]), source: { token: () => token() } }), [
      'AuditPermit',
    ]);
  });

  test('beside an enforced authentication step that is skipped, nobody gets in', () => {
    const skipped = step(
      { type: 'jwt', jwt: jwt() },
      { name: 'skipped', origin: enforced, when: expression(() => false) },
    );
    assert.deepEqual(
      labels([step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] }, { origin: audit }), skipped]),
      ['NoPolicyMatches'],
    );
  });

  test('its headers, removals, claim headers and the removal of tokens have no effect', () => {
    const steps = [
      step({ type: 'jwt', jwt: jwt({ claimHeaders: [{ name: 'x-sub', claim: 'sub' }] }) }, { origin: audit }),
      step({ type: 'setHeaders', setHeaders: [setting('x-a', literal('1'))] }, { origin: audit }),
      step({ type: 'removeHeaders', removeHeaders: ['x-b'] }, { origin: audit }),
      open,
    ];
    const permit = permitOf(
      judgeNow(route(steps), { request: request([BEARER_LINE]), source: { token: () => token() } }),
    );
    assert.deepEqual(
      [permit.edits.headers.size, permit.principal?.kind, permit.validUntil],
      [0, 'Anonymous', undefined],
    );
  });

  test('what it counts is told to nobody, and its would-deny is counted', () => {
    const asked: string[] = [];
    const rate = step(
      {
        type: 'rateLimit',
        rateLimit: {
          counter: 'Audit c',
          calls: 1,
          periodMs: 1000,
          key: literal(''),
          maxKeys: 1,
          headers: true,
          scope: 'Pod',
        },
      },
      { origin: audit },
    );
    const verdict = judgeNow(route([rate, open]), {
      source: {
        rate: ({ step: { counter }, mode }) => {
          asked.push(`${counter} ${mode}`);
          return { admitted: false, limit: 10, remaining: 0, retryAfter: 1, reset: 1 };
        },
      },
    });
    assert.deepEqual([summary(verdict), asked, verdict.responseHeaders], ['Permit', ['Audit c admit'], []]);
    assert.deepEqual(
      verdict.auditDenials.map(({ label, reason }) => `${label} ${reason}`),
      ['audit/ratelimit RateLimitExceeded'],
    );
  });

  test('its own later steps see what it bound, nobody else does', () => {
    const seen: boolean[] = [];
    const look = (from: typeof audit, name: string) =>
      step(
        {
          type: 'authorize',
          deny: [{ name: 'x', expression: expression(b => (seen.push(has(b, 'cert.sha1')), false)) }],
        },
        { name, origin: from },
      );
    const steps = [
      step({ type: 'clientCertificate', clientCertificate: certificate() }, { name: 'cert', origin: audit }),
      look(audit, 'own'),
      look(enforced, 'other'),
      open,
    ];
    judgeNow(route(steps), { source: { certificate: () => verifiedCertificate() } });
    assert.deepEqual(seen, [true, false]);
  });

  test('would-denials before a denial are told with it', () => {
    const verdict = judgeNow(route([denying(), denying(enforced)]));
    assert.deepEqual([summary(verdict), verdict.auditDenials.length], ['AuthorizationDenied enforced/deny', 1]);
  });
});
