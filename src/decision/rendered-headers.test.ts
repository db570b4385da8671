import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Expression, Template } from '../policy/expression.ts';
import type { CompiledStep } from '../policy/steps.ts';
import {
  certificate,
  devicePlan,
  expression,
  facts,
  judgeNow,
  path,
  permitOf,
  request,
  route,
  setting,
  step,
  summary,
  token,
  jwt,
  template,
  type Given,
} from './testing/fakes.ts';

const caller = step({ type: 'clientCertificate', clientCertificate: certificate() }, { name: 'caller' });
const deviceStep = (allow: Expression = expression(() => true)): CompiledStep =>
  step(
    {
      type: 'deviceAuth',
      deviceAuth: { service: 'shop/devices', plan: devicePlan({ allow }), deviceId: path('cert.subject.CN') },
    },
    { name: 'device' },
  );
const context = (value: Template): CompiledStep =>
  step({ type: 'setHeaders', setHeaders: [setting('X-Context', value)] }, { name: 'context' });

type Answer = { readonly state: 'answered'; readonly status: number; readonly body: Readonly<Record<string, unknown>> };
const answering = (body: Answer['body'], status = 200): Answer => ({ state: 'answered', status, body });

function countRenderings(at: string): { readonly template: Template; readonly count: () => number } {
  let count = 0;
  const { render, reads } = path(at);
  const counted = template(bindings => (count++, render(bindings)), reads);
  return { template: counted, count: () => count };
}

suite('what is made of the same certificate and the same answer', () => {
  const known = facts();
  const found = { certificate: () => ({ state: 'verified', certificate: known }) as const };
  const sent = (at: ReturnType<typeof route>, given: Given): readonly string[] | undefined =>
    permitOf(judgeNow(at, given)).edits.headers.get('x-context')?.values;

  test('a header is rendered once, and anew for another answer', () => {
    const { template: value, count } = countRenderings('steps.device.body.room');
    const at = route([caller, deviceStep(), context(value)]);
    const [first, second] = [answering({ room: 'one' }), answering({ room: 'two' })];
    const values = [first, first, second, second, first].map(answer =>
      sent(at, { source: { ...found, device: () => answer } }),
    );
    assert.deepEqual(values, [['one'], ['one'], ['two'], ['two'], ['one']]);
    assert.equal(count(), 2);
  });

  test('a header that reads the request is rendered each time', () => {
    const at = route([caller, context(path('request.host'))]);
    const hosts = ['a.example', 'b.example'];
    assert.deepEqual(
      hosts.map(host => sent(at, { source: found, request: { ...request(), host } })),
      hosts.map(host => [host]),
    );
  });

  test('an answer is judged once, and anew for another certificate', () => {
    let count = 0;
    const at = route([caller, deviceStep(expression(({ deviceId }) => (count++, deviceId === 'robot-7')))]);
    const answer = answering({});
    const [right, wrong] = [known, facts({ subject: { CN: 'robot-8' } })];
    const outcomes = [right, right, wrong, right].map(one =>
      summary(
        judgeNow(at, {
          source: { certificate: () => ({ state: 'verified', certificate: one }), device: () => answer },
        }),
      ),
    );
    assert.deepEqual(outcomes, ['Permit', 'Permit', 'DeviceMismatch policy/device', 'Permit']);
    assert.equal(count, 3);
  });

  test('revocation is judged each time', () => {
    const at = route([caller, deviceStep()]);
    const answer = answering({});
    const revoked = { state: 'refused', reason: 'DeviceRevoked' } as const;
    const outcomes = [{ state: 'clear' } as const, revoked].map(revocation =>
      summary(judgeNow(at, { source: { ...found, device: () => answer, revocation: () => revocation } })),
    );
    assert.deepEqual(outcomes, ['Permit', 'DeviceRevoked policy/device']);
  });
});

test('of one token, what steps found besides counts too', () => {
  const evidence = token({ sub: 'user-1' });
  const optional = step(
    { type: 'clientCertificate', clientCertificate: certificate() },
    { name: 'device', when: expression(({ params }) => (params as { device?: string }).device === 'yes') },
  );
  const ran = template(bindings => (bindings['steps'] as { device: { ran: boolean } }).device.ran, new Set(['steps']));
  const at = route([step({ type: 'jwt', jwt: jwt() }, { name: 'user' }), optional, context(ran)]);
  const values = ['yes', 'no', 'yes'].map(device => {
    const given: Given = {
      params: { device },
      request: request([['Authorization', 'Bearer good']]),
      source: { token: () => evidence, certificate: () => ({ state: 'verified', certificate: facts() }) },
    };
    return permitOf(judgeNow(at, given)).edits.headers.get('x-context')?.values[0];
  });
  assert.deepEqual(values, ['true', 'false', 'true']);
});
