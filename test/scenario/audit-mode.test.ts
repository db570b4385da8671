/** Policies are tried out before they deny (S8): what would be denied is counted and logged, and nothing else happens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEVICE, openFleet, readExamples, TELEMETRY } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { folded } from '../support/servers.ts';

/** `shop/fleet device DeviceNotRecognized`. */
const listDenials = (wouldDeny: unknown): readonly string[] =>
  ((wouldDeny ?? []) as readonly Readonly<Record<string, string>>[]).map(({ policy, step, reason }) =>
    [policy, step, reason].join(' '),
  );

test('the whole fleet policy in Audit mode: everybody passes, would-denials are logged and counted', async t => {
  const { '41-api-policy.yaml': policy = '', '42-operation-policy.yaml': rule = '' } = await readExamples();
  const audit = (text: string): string => text.replace(/^spec:$/m, 'spec:\n  mode: Audit');
  const fleet = await openFleet(t, {
    files: () => ({ '41-api-policy.yaml': audit(policy), '42-operation-policy.yaml': audit(rule) }),
  });
  const { sidecar, app, deviceAuth } = fleet;

  for (const [what, answer, would] of [
    ['nobody', await fleet.ask({ path: DEVICE }), 'shop/fleet caller TokenNotPresent'],
    [
      'an expired token',
      await fleet.ask({ path: DEVICE, token: await fleet.issuer.mint({ expiresIn: -600 }) }),
      'shop/fleet caller TokenExpired',
    ],
    [
      'a stranger',
      await fleet.ask({ method: 'POST', path: TELEMETRY, body: '{}' }, 'untrusted'),
      'shop/fleet caller ClientCertificateUntrusted',
    ],
    [
      'an unknown device',
      await fleet.ask({ method: 'POST', path: '/v1/devices/robot-8/telemetry', body: '{}' }, 'robot-8'),
      'shop/fleet device DeviceNotRecognized',
    ],
  ] as const) {
    assert.equal(answer.status, 200, what);
    const line = await sidecar.line(would, ({ wouldDeny }) => listDenials(wouldDeny).includes(would));
    assert.equal(line['verdict'], 'AuditPermit', what);
  }
  deviceAuth.answerAll({ status: 500 });
  const outage = await fleet.ask({ method: 'POST', path: '/v1/devices/robot-5/telemetry', body: '{}' }, 'robot-5');
  assert.equal(outage.status, 200, 'an outage that would be 503 stops nobody either');
  assert.ok((await sidecar.metric('sallyport_audit_denials_total')) >= 5);
  assert.equal(await sidecar.metric('sallyport_denials_total'), 0);

  // Its headers have no effect, but no client may write them either.
  const forged = await fleet.ask({
    path: DEVICE,
    token: await fleet.webToken(),
    headers: [
      ['X-Client-Id', 'admin'],
      ['X_Request_Context_Data', 'deviceId=robot-1;'],
    ],
  });
  assert.equal(forged.status, 200);
  assert.deepEqual(
    folded(app.last.lines, 'x-client-id').filter(value => value === 'admin'),
    [],
  );
  assert.deepEqual(folded(app.last.lines, 'x-request-context-data'), []);

  // Enforced again, on the running sidecar.
  await sidecar.apply({ '41-api-policy.yaml': policy, '42-operation-policy.yaml': rule });
  const denied = await fleet.ask({ path: DEVICE });
  assert.deepEqual([denied.status, denied.reason], [401, 'TokenNotPresent']);
});

test('an Audit policy beside an enforced one never opens what that closes', async t => {
  const fleet = await openFleet(t, {
    files: () => ({ '60-audit.yaml': [made.authPolicy('trial', { mode: 'Audit', request: [made.OPEN] })] }),
  });
  const nobody = await fleet.ask({ path: DEVICE });
  assert.deepEqual([nobody.status, nobody.reason], [401, 'TokenNotPresent']);
  const web = await fleet.ask({ path: DEVICE, token: await fleet.webToken() });
  assert.equal(web.status, 200);
});
