import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Origin, Scope } from '../policy/model.ts';
import type { CompiledStep, StepBody } from '../policy/steps.ts';
import {
  BEARER_LINE,
  certificateAlternative,
  devicePlan,
  expression,
  failing,
  has,
  judgeNow,
  jwt,
  jwtAlternative,
  literal,
  origin,
  path,
  request,
  route,
  setting,
  step,
  summary,
  token,
  verifiedCertificate,
  type Given,
} from './testing/fakes.ts';

const SCOPES: readonly Scope[] = ['Cluster', 'Namespace', 'Product', 'Api', 'Operation'];
const CONDITIONS = [
  undefined,
  expression(() => true),
  expression(() => false),
  failing,
  expression(b => has(b, 'cert.sha1')),
  expression(b => has(b, 'jwt.subject')),
];
const rule = (holds: (typeof CONDITIONS)[number]) => ({ name: 'rule', expression: holds ?? expression(() => true) });

const condition = fc.constantFrom(...CONDITIONS);
/** Steps that bind nothing which other policies read, so that more of them can only deny more. */
const denying: fc.Arbitrary<StepBody> = fc.oneof(
  condition.map((holds): StepBody => ({ type: 'authorize', deny: [rule(holds)] })),
  condition.map((holds): StepBody => ({ type: 'authorize', allow: [rule(holds)], deny: [] })),
  fc.constantFrom<StepBody>(
    { type: 'requireHeader', requireHeader: { name: 'X-Env', ignoreCase: false } },
    { type: 'requireHeader', requireHeader: { name: 'X-Missing', ignoreCase: false } },
    {
      type: 'rateLimit',
      rateLimit: { counter: 'c', calls: 1, periodMs: 1000, key: literal('k'), maxKeys: 1, headers: true, scope: 'Pod' },
    },
    { type: 'setHeaders', setHeaders: [setting('x-a', path('cert.sha1'))] },
    { type: 'removeHeaders', removeHeaders: ['x-env'] },
    { type: 'invalid' },
  ),
);
const any: fc.Arbitrary<StepBody> = fc.oneof(
  denying,
  fc.constantFrom<StepBody>(
    { type: 'jwt', jwt: jwt() },
    { type: 'anyOf', alternatives: [jwtAlternative(), certificateAlternative()] },
    { type: 'anyOf', alternatives: [jwtAlternative(), { type: 'anonymous' }] },
    { type: 'anyOf', alternatives: [{ type: 'anonymous' }] },
    { type: 'deviceAuth', deviceAuth: { service: 's', plan: devicePlan(), deviceId: path('params.deviceId') } },
    { type: 'respond', respond: { status: 200, headers: [], contentType: 'text/plain', body: literal('') } },
  ),
);

const ORIGINS: readonly Origin[] = SCOPES.flatMap(scope =>
  [true, false].flatMap(sealed =>
    [true, false].map(audit => origin({ name: `${scope}-${sealed}-${audit}`, scope, sealed, audit })),
  ),
);
const steps = (bodies: fc.Arbitrary<StepBody>, from: fc.Arbitrary<Origin>) =>
  fc
    .record({ body: bodies, origin: from, when: condition, widened: fc.boolean() })
    .map(({ body, when, ...head }): CompiledStep => step(body, { ...head, ...(when === undefined ? {} : { when }) }));
const pipelines = fc.array(steps(any, fc.constantFrom(...ORIGINS)), { maxLength: 6 });

const evidence: fc.Arbitrary<Given> = fc
  .record({
    bearer: fc.boolean(),
    token: fc.constantFrom(
      token(),
      { state: 'refused', reason: 'TokenExpired' } as const,
      { state: 'undecided', reason: 'KeysUnavailable' } as const,
    ),
    certificate: fc.constantFrom(
      verifiedCertificate(),
      { state: 'absent' } as const,
      { state: 'undecided', reason: 'RevocationUnavailable' } as const,
    ),
    device: fc.constantFrom(
      { state: 'answered', status: 200, body: { deviceId: 'robot-7' } } as const,
      { state: 'answered', status: 404, body: {} } as const,
      { state: 'undecided', reason: 'DeviceAuthUnavailable' } as const,
    ),
    admitted: fc.boolean(),
  })
  .map(given => ({
    request: request([['X-Env', 'prod'], ...(given.bearer ? [BEARER_LINE] : [])]),
    source: {
      token: () => given.token,
      certificate: () => given.certificate,
      device: () => given.device,
      rate: () => ({ admitted: given.admitted, limit: 10, remaining: 0, retryAfter: 1, reset: 1 }),
    },
  }));

const insert = (into: readonly CompiledStep[], added: CompiledStep, at: number): readonly CompiledStep[] =>
  into.toSpliced(at % (into.length + 1), 0, added);

test('adding a step that can deny never permits more, wherever it is added', () => {
  const added = steps(
    denying,
    fc
      .constantFrom(...ORIGINS.filter(from => !from.audit))
      .map(from => ({ ...from, name: 'added', key: 'shop/added' })),
  );
  fc.assert(
    fc.property(pipelines, added, fc.nat(6), evidence, (before, more, at, given) => {
      if (judgeNow(route(before), given).verdict !== 'Deny') return;
      assert.equal(judgeNow(route(insert(before, more, at)), given).verdict, 'Deny');
    }),
    { numRuns: 300 },
  );
});

test('adding a deny rule to an authorize step never permits more', () => {
  fc.assert(
    fc.property(pipelines, condition, evidence, (before, holds, given) => {
      const after = before.map(one => (one.type === 'authorize' ? { ...one, deny: [...one.deny, rule(holds)] } : one));
      if (judgeNow(route(before), given).verdict === 'Deny')
        assert.equal(judgeNow(route(after), given).verdict, 'Deny');
    }),
    { numRuns: 200 },
  );
});

test('S8: adding a step of an Audit policy never changes a verdict, but the default stance where nothing else authenticates', () => {
  const audited = steps(any, fc.constant(origin({ name: 'added', scope: 'Cluster', audit: true })));
  fc.assert(
    fc.property(pipelines, audited, fc.nat(6), evidence, (before, more, at, given) => {
      const [first, second] = [judgeNow(route(before), given), judgeNow(route(insert(before, more, at)), given)];
      if (summary(second) === 'AuditPermit') assert.ok(['AuditPermit', 'NoPolicyMatches'].includes(summary(first)));
      else assert.equal(summary(second), summary(first));
      if (first.verdict === 'Permit' && second.verdict === 'Permit') {
        assert.deepEqual(second.edits.headers, first.edits.headers);
        assert.deepEqual(second.principal, first.principal);
      }
    }),
    { numRuns: 300 },
  );
});

test('without evidence of any sort nobody is permitted, but where a policy is open to all', () => {
  const nobody = { request: request() };
  fc.assert(
    fc.property(pipelines, before => {
      const verdict = judgeNow(route(before), nobody).verdict;
      const isOpen = before.some(
        one => one.type === 'anyOf' && one.alternatives.some(({ type }) => type === 'anonymous'),
      );
      if (verdict === 'Permit') assert.ok(isOpen);
    }),
    { numRuns: 200 },
  );
});
