import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledDeviceAuth } from '../policy/steps.ts';
import type { EvidenceRequest } from './evidence.ts';
import {
  certificate,
  devicePlan,
  expression,
  failing,
  judgeNow,
  literal,
  path,
  read,
  responseStep,
  route,
  SHA1,
  step,
  summary,
  permitOf,
  template,
  verifiedCertificate,
} from './testing/fakes.ts';

const device = (parts: Partial<CompiledDeviceAuth> = {}): CompiledDeviceAuth => ({
  service: 'shop/devices',
  plan: devicePlan(),
  deviceId: path('params.deviceId'),
  certificateIdentity: path('cert.subject.CN'),
  ...parts,
});
const authenticated = step({ type: 'clientCertificate', clientCertificate: certificate() }, { name: 'cert' });
const at = (parts: Partial<CompiledDeviceAuth> = {}) =>
  route([authenticated, step({ type: 'deviceAuth', deviceAuth: device(parts) }, { name: 'device' })]);
const known = { certificate: () => verifiedCertificate() };
const answering = (status: number, body: Record<string, unknown> = { deviceId: 'robot-7' }) => ({
  ...known,
  device: () => ({ state: 'answered', status, body }) as const,
});

suite('P3: deviceAuth, in exactly its order', () => {
  const cases: Record<string, [string, Parameters<typeof judgeNow>[1], Partial<CompiledDeviceAuth>?]> = {
    'an allowed status, an object and a true expression': ['Permit', { source: answering(200) }],
    'an expression over the certificate’s identity': [
      'Permit',
      { source: answering(200) },
      { plan: devicePlan({ allow: expression(bindings => bindings['certificateIdentity'] === 'robot-7') }) },
    ],
    'revoked: whatever the ids and the service say': [
      'DeviceRevoked',
      { source: { ...answering(200), revocation: () => ({ state: 'refused', reason: 'DeviceRevoked' }) }, params: {} },
    ],
    'a revocation list that is not at hand': [
      'DeviceAuthUnavailable',
      { source: { ...answering(200), revocation: () => ({ state: 'undecided', reason: 'DeviceAuthUnavailable' }) } },
    ],
    'no device id': ['DeviceMismatch', { source: answering(200), params: {} }],
    'an empty device id': ['DeviceMismatch', { source: answering(200) }, { deviceId: literal('') }],
    'an id unlike the certificate’s': ['DeviceMismatch', { source: answering(200), params: { deviceId: 'robot-8' } }],
    'an id longer than any device has': [
      'DeviceMismatch',
      { source: answering(200) },
      { deviceId: literal('a'.repeat(513)), certificateIdentity: literal('a'.repeat(513)) },
    ],
    'unlike in case only': ['DeviceMismatch', { source: answering(200), params: { deviceId: 'Robot-7' } }],
    'a certificate that states no id': [
      'DeviceMismatch',
      { source: { ...answering(200), certificate: () => verifiedCertificate({ subject: {} }) } },
    ],
    'a status of deny': ['DeviceNotRecognized', { source: answering(404, {}) }],
    'a status that is neither': ['DeviceAuthUnavailable', { source: answering(204, {}) }],
    'a 500': ['DeviceAuthUnavailable', { source: answering(500) }],
    'an answer about another device': ['DeviceMismatch', { source: answering(200, { deviceId: 'robot-8' }) }],
    'an answer without the id': ['DeviceAuthUnavailable', { source: answering(200, {}) }],
    'an expression that fails': [
      'DeviceAuthUnavailable',
      { source: answering(200) },
      { plan: devicePlan({ allow: failing }) },
    ],
    'an expression that is no bool': [
      'DeviceAuthUnavailable',
      { source: answering(200) },
      { plan: devicePlan({ allow: expression(() => 'true') }) },
    ],
    'no answer': ['DeviceAuthUnavailable', { source: known }],
    'an answer nested without end': [
      'DeviceAuthUnavailable',
      { source: answering(200, JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`) as Record<string, unknown>) },
    ],
  };
  for (const [name, [expected, given, parts]] of Object.entries(cases)) {
    test(name, () => {
      const verdict = judgeNow(at(parts), given);
      assert.equal(summary(verdict), expected === 'Permit' ? expected : `${expected} policy/device`);
    });
  }

  test('needs a certificate that some step verified', () => {
    const only = route([step({ type: 'deviceAuth', deviceAuth: device() }, { name: 'device' })]);
    assert.equal(summary(judgeNow(only, { source: answering(200) })), 'ClientCertificateNotPresent policy/device');
  });

  test('asks nobody about a device that is revoked or mismatched', () => {
    const asked: EvidenceRequest['type'][] = [];
    const watching = {
      ...known,
      revocation: () => (asked.push('revocation'), { state: 'refused', reason: 'DeviceRevoked' } as const),
      device: () => (asked.push('device'), { state: 'answered', status: 200, body: {} } as const),
    };
    judgeNow(at(), { source: watching });
    judgeNow(at(), { source: { ...watching, revocation: () => ({ state: 'clear' }) }, params: { deviceId: 'x' } });
    assert.deepEqual(asked, ['revocation']);
  });

  test('hands the ids on as they were judged', () => {
    let request: EvidenceRequest | undefined;
    judgeNow(at(), {
      source: { ...known, device: one => ((request = one), { state: 'answered', status: 404, body: {} }) },
    });
    assert.ok(request?.type === 'device');
    assert.deepEqual(
      [request.deviceId, request.certificateIdentity, request.certificate.sha1],
      ['robot-7', 'robot-7', SHA1],
    );
  });

  test('without certificateIdentity the service alone binds them', () => {
    const unbound = { service: 'shop/devices', plan: devicePlan(), deviceId: path('params.deviceId') };
    const steps = [authenticated, step({ type: 'deviceAuth', deviceAuth: unbound }, { name: 'device' })];
    const verdict = judgeNow(route(steps), {
      source: answering(200, { deviceId: 'robot-9' }),
      params: { deviceId: 'robot-9' },
    });
    assert.equal(verdict.verdict, 'Permit');
  });

  test('its answer is bound by the step’s name, integers as ints', () => {
    const permit = permitOf(
      judgeNow(at(), { source: answering(200, { deviceId: 'robot-7', level: 3, nested: { a: [1.5] } }) }),
    );
    const later = responseStep({ type: 'removeHeaders', removeHeaders: [] }, { origin: authenticated.origin });
    const bindings = permit.bindingsOf(later, {});
    assert.deepEqual(read(bindings, 'steps.device.status'), 200n);
    assert.deepEqual(read(bindings, 'steps.device.body.level'), 3n);
    assert.deepEqual(read(bindings, 'steps.device.body.nested.a'), [1.5]);
  });

  test('the expression sees the certificate and the status', () => {
    const allow = expression(
      b => read(b, 'cert.sha1') === SHA1 && read(b, 'status') === 200n && read(b, 'body.ok') === true,
    );
    const verdict = judgeNow(at({ plan: devicePlan({ allow }) }), { source: answering(200, { ok: true }) });
    assert.equal(verdict.verdict, 'Permit');
  });

  test('a template that throws something unforeseen is a mismatch, never a pass', () => {
    const deviceId = template(() => { throw new TypeError('unforeseen'); }); // prettier-ignore
    assert.equal(summary(judgeNow(at({ deviceId }), { source: answering(200) })), 'DeviceMismatch policy/device');
  });
});
