import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BODY, ID, TIMESTAMP } from '../api/signed-payload.ts';
import type { CompiledSignature, CompiledStep } from '../policy/steps.ts';
import type { SignatureEvidence, SignatureRequest } from './evidence.ts';
import {
  BEARER_LINE,
  jwtAlternative,
  judgeNow,
  NOW,
  origin,
  path,
  permitOf,
  request,
  route,
  setting,
  step,
  summary,
  token,
} from './testing/fakes.ts';

const HOOK: CompiledSignature = {
  scheme: {
    header: 'x-signature',
    form: 'Bare',
    prefix: '',
    encoding: 'Hex',
    algorithm: 'sha256',
    keyEncoding: 'Text',
    payload: [BODY],
  },
  id: 'policy/hook',
  keys: [],
  toleranceMs: 300_000,
  maxBody: 1024,
};
const SIGNATURE = step({ type: 'hmacSignature', hmacSignature: HOOK }, { name: 'hook' });
const TEXT = 'ab'.repeat(32);
const LINE = ['X-Signature', TEXT] as const;
const answering = (answer: SignatureEvidence, asked: SignatureRequest[] = []) => ({
  signature: (each: SignatureRequest) => {
    asked.push(each);
    return answer;
  },
});
const VALID = { state: 'valid', seen: false } as const;

suite('P10: the step hmacSignature', () => {
  for (const [told, answer] of Object.entries({
    Permit: VALID,
    'SignatureReplayed policy/hook': { state: 'valid', seen: true },
    'SignatureInvalid policy/hook': { state: 'refused', reason: 'SignatureInvalid' },
    'BodyTooLarge policy/hook': { state: 'refused', reason: 'BodyTooLarge' },
    'KeysUnavailable policy/hook': { state: 'undecided', reason: 'KeysUnavailable' },
    'Overloaded policy/hook': { state: 'undecided', reason: 'Overloaded' },
  } satisfies Readonly<Record<string, SignatureEvidence>>)) {
    test(told, () =>
      assert.equal(
        summary(judgeNow(route([SIGNATURE]), { request: request([LINE]), source: answering(answer) })),
        told,
      ),
    );
  }

  test('what cannot be good is refused without asking for the body', () => {
    const asked: SignatureRequest[] = [];
    const source = answering(VALID, asked);
    for (const lines of [[], [['X-Signature', '']], [['X-Signature', 'ab']], [LINE, LINE]] as const) {
      assert.notEqual(judgeNow(route([SIGNATURE]), { request: request(lines), source }).verdict, 'Permit');
    }
    assert.deepEqual(asked, []);
  });

  test('a 401 carries the challenge, a duplicate none', () => {
    const challenges = (lines: readonly (readonly [string, string])[]) => {
      const denial = judgeNow(route([SIGNATURE]), { request: request(lines) });
      assert.ok(denial.verdict === 'Deny');
      return denial.challenges.map(({ scheme }) => scheme);
    };
    assert.deepEqual(
      [challenges([]), challenges([LINE]), challenges([LINE, LINE])],
      [['Signature'], ['Signature'], []],
    );
  });

  test('caller is bound', () => {
    const show = step({
      type: 'setHeaders',
      setHeaders: [setting('X-Kind', path('caller.kind')), setting('X-Id', path('caller.id'))],
    });
    const given = { request: request([LINE]), source: answering(VALID) };
    const { edits } = permitOf(judgeNow(route([SIGNATURE, show]), given));
    assert.deepEqual(
      ['x-kind', 'x-id'].map(name => edits.headers.get(name)?.values),
      [['HmacSignature'], ['policy/hook']],
    );
    assert.equal(edits.headers.has('x-signature'), false, 'the app may verify it again');
  });

  const timed = { ...HOOK.scheme, timestampHeader: 'x-ts', idHeader: 'x_id', payload: [ID, '.', TIMESTAMP, '.', BODY] };
  const HEAD = [LINE, ['X-Ts', String(NOW / 1000)], ['X_Id', 'mine']] as const;
  const FORGED = [
    ['X_Signature', 'forged'],
    ['X.Ts', 'forged'],
    ['X-Id', 'forged'],
  ] as const;
  const told = (steps: readonly CompiledStep[], lines: readonly (readonly [string, string])[]) =>
    [...permitOf(judgeNow(route(steps), { request: request(lines), source: answering(VALID) })).edits.headers]
      .map(([name, { values }]) => `${name}: ${values.join()}`)
      .sort();
  for (const [what, made] of Object.entries({
    alone: step({ type: 'hmacSignature', hmacSignature: { ...HOOK, scheme: timed } }),
    'in anyOf': step({
      type: 'anyOf',
      alternatives: [jwtAlternative(), { type: 'hmacSignature', hmacSignature: { ...HOOK, scheme: timed } }],
    }),
  })) {
    test(`${what}: other spellings of what it reads do not reach the app beside the signed ones`, () => {
      assert.deepEqual(told([made], HEAD), []);
      const kept = [`x-signature: ${TEXT}`, `x-ts: ${NOW / 1000}`, 'x_id: mine'];
      assert.deepEqual(told([made], [...HEAD, ...FORGED]), ['x-id: ', ...kept]);
    });
  }

  test('M7: an open stream is asked whether its proof still holds, by no time and no body', () => {
    const asked: SignatureRequest[] = [];
    const context = { now: NOW, rejudge: true };
    const given = { request: request([LINE]), source: answering(VALID, asked), context };
    assert.equal(summary(judgeNow(route([SIGNATURE]), given)), 'Permit');
    assert.deepEqual(
      asked.map(({ again }) => again),
      [true],
    );
    assert.equal(summary(judgeNow(route([SIGNATURE]), { context })), 'SignatureNotPresent policy/hook');
  });

  test('S8: in Audit it counts and nothing else', () => {
    const trial = step(
      { type: 'hmacSignature', hmacSignature: HOOK },
      { name: 'hook', origin: origin({ audit: true }) },
    );
    const verdict = permitOf(judgeNow(route([trial]), { request: request([LINE]) }));
    assert.equal(verdict.verdict, 'AuditPermit');
    assert.deepEqual(
      verdict.auditDenials.map(({ reason }) => reason),
      ['SignatureInvalid'],
    );
  });
});

suite('P10 in anyOf', () => {
  const alternatives = step({
    type: 'anyOf',
    alternatives: [jwtAlternative(), { type: 'hmacSignature', hmacSignature: HOOK }],
  });
  test('E2: the second wins when the first was not presented', () => {
    const verdict = judgeNow(route([alternatives]), { request: request([LINE]), source: answering(VALID) });
    assert.equal(permitOf(verdict).principal?.kind, 'HmacSignature');
  });
  test('E2: the first that passes wins, and the body is not asked for', () => {
    const asked: SignatureRequest[] = [];
    const source = { ...answering(VALID, asked), token: () => token() };
    const verdict = judgeNow(route([alternatives]), { request: request([BEARER_LINE, LINE]), source });
    assert.equal(permitOf(verdict).principal?.kind, 'Jwt');
    assert.deepEqual(asked, []);
  });
  test('E2: none presented: every challenge', () => {
    const denial = judgeNow(route([alternatives]));
    assert.ok(denial.verdict === 'Deny');
    assert.deepEqual(
      denial.challenges.map(({ scheme }) => scheme),
      ['Bearer', 'Signature'],
    );
  });
  test('E3: whoever signs is not anonymous', () => {
    const open = step({
      type: 'anyOf',
      alternatives: [{ type: 'hmacSignature', hmacSignature: HOOK }, { type: 'anonymous' }],
    });
    assert.equal(summary(judgeNow(route([open]))), 'Permit');
    assert.equal(summary(judgeNow(route([open]), { request: request([LINE]) })), 'SignatureInvalid policy/anyof');
  });
});
