import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { renderDenial } from './challenge.ts';
import { judge } from './judge.ts';
import {
  BEARER_LINE,
  certificateAlternative,
  devicePlan,
  errors,
  expression,
  failing,
  has,
  judgeNow,
  jwt,
  jwtAlternative,
  literal,
  NOW,
  origin,
  path,
  permitOf,
  read,
  request,
  responseStep,
  route,
  setting,
  SHA1,
  source,
  step,
  summary,
  template,
  token,
  verifiedCertificate,
} from './testing/fakes.ts';

const gold = origin({ name: 'gold', scope: 'Product' });
const fleet = origin({ name: 'fleet', scope: 'Api' });
const telemetry = origin({ name: 'telemetry', scope: 'Operation' });

const deviceAuth = {
  service: 'shop/devices',
  plan: devicePlan(),
  deviceId: path('params.deviceId'),
  certificateIdentity: path('cert.subject.CN'),
};
const context = setting(
  'x-request-context-data',
  template(
    b =>
      `certificateThumbprint=${String(read(b, 'cert.sha1'))};deviceId=${String(read(b, 'steps.device.body.deviceId'))};`,
  ),
);
const caller = step(
  {
    type: 'anyOf',
    alternatives: [
      jwtAlternative({
        requiredClaims: [
          { name: 'clientId', match: 'All' },
          { name: 'scope', match: 'Any', values: ['ManagementApi'] },
        ],
        claimHeaders: [{ name: 'x-client-id', claim: 'clientId' }],
      }),
      certificateAlternative(),
    ],
  },
  { name: 'caller', origin: fleet },
);
const hasCertificate = expression(b => has(b, 'cert.sha1'));
const example = (last = [] as readonly ReturnType<typeof step>[]) =>
  route([
    step(
      {
        type: 'rateLimit',
        rateLimit: {
          counter: 'shop/gold/rate',
          calls: 600,
          periodMs: 60000,
          key: path('source.ip'),
          maxKeys: 100,
          headers: false,
          scope: 'Pod' as const,
        },
      },
      { name: 'rate', origin: gold },
    ),
    caller,
    step({ type: 'deviceAuth', deviceAuth }, { name: 'device', origin: fleet, when: hasCertificate }),
    step(
      { type: 'setHeaders', setHeaders: [context] },
      { name: 'context', origin: fleet, when: expression(b => read(b, 'steps.device.ran')) },
    ),
    ...last,
  ]);
const devicesOnly = step(
  { type: 'authorize', allow: [{ name: 'device', expression: hasCertificate }], deny: [] },
  { name: 'devices-only', origin: telemetry },
);
const webToken = token({ clientId: 'web-1', scope: 'openid ManagementApi' });
const device = { certificate: () => verifiedCertificate() };
const registered = {
  ...device,
  device: () => ({ state: 'answered', status: 200, body: { deviceId: 'robot-7' } }) as const,
};
const sent = (verdict: ReturnType<typeof judgeNow>) =>
  [...permitOf(verdict).edits.headers.values()].map(({ name, values }) => `${name}: ${values.join('|')}`).sort();

suite('the scenario that must always work', () => {
  test('a web client with a good token passes; its token stays here and the app gets its client id', () => {
    const verdict = judgeNow(example(), { request: request([BEARER_LINE]), source: { token: () => webToken } });
    assert.deepEqual(sent(verdict), ['Authorization: ', 'x-client-id: web-1']);
    assert.equal(permitOf(verdict).principal?.kind, 'Jwt');
  });

  test('a registered device passes, and the app gets its verified identity', () => {
    const verdict = judgeNow(example([devicesOnly]), { source: registered });
    assert.deepEqual(sent(verdict), [`x-request-context-data: certificateThumbprint=${SHA1};deviceId=robot-7;`]);
    assert.equal(permitOf(verdict).principal?.certificate?.sha1, SHA1);
  });

  test('an operation for devices only refuses a web client', () => {
    const given = { request: request([BEARER_LINE]), source: { token: () => webToken } };
    assert.equal(summary(judgeNow(example([devicesOnly]), given)), 'AuthorizationDenied telemetry/devices-only');
  });

  test('nobody else gets in, and is told both ways', () => {
    const verdict = judgeNow(example());
    assert.equal(summary(verdict), 'TokenNotPresent fleet/caller');
    assert.ok(verdict.verdict === 'Deny');
    const { status, headers } = renderDenial(verdict, { requestId: 'r1', realm: 'fleet' });
    const challenges = headers.filter(([name]) => name === 'WWW-Authenticate').map(([, value]) => value);
    assert.deepEqual([status, challenges], [401, ['Bearer realm="fleet"', 'ClientCertificate realm="fleet"']]);
  });

  const refusals: Record<string, [string, Parameters<typeof judgeNow>[1]]> = {
    'an unregistered device': [
      'DeviceNotRecognized fleet/device',
      { source: { ...device, device: () => ({ state: 'answered', status: 404, body: {} }) } },
    ],
    'a device that asks for another device': [
      'DeviceMismatch fleet/device',
      { source: registered, params: { deviceId: 'robot-8' } },
    ],
    'a stolen device': [
      'DeviceRevoked fleet/device',
      { source: { ...registered, revocation: () => ({ state: 'refused', reason: 'DeviceRevoked' }) } },
    ],
    'any device while device-auth is away (503, not unauthorised)': [
      'DeviceAuthUnavailable fleet/device',
      { source: device },
    ],
    'any token while its keys are away (503, not unauthorised)': [
      'KeysUnavailable fleet/caller',
      { request: request([BEARER_LINE]), source: { token: () => ({ state: 'undecided', reason: 'KeysUnavailable' }) } },
    ],
    'a client beyond its rate, before anything else is looked at': [
      'RateLimitExceeded gold/rate',
      {
        source: {
          ...registered,
          rate: () => ({ admitted: false, limit: 10, remaining: 0, retryAfter: 2.5, reset: 60 }),
        },
      },
    ],
  };
  for (const [who, [expected, given]] of Object.entries(refusals)) {
    test(`${who} is refused`, () => assert.equal(summary(judgeNow(example(), given)), expected));
  }
});

suite('answers that are not at hand', () => {
  const at = example();
  const slow = { ...source({ ...registered }), certificate: () => Promise.resolve(verifiedCertificate()) };
  test('make a promise of the same verdict', async () => {
    const verdict = judge(at, { deviceId: 'robot-7' }, request(), new Set(), slow, { now: NOW });
    assert.ok(verdict instanceof Promise);
    assert.equal(summary(await verdict), 'Permit');
  });

  test('that throw or reject are 503, and nothing of the error is kept', async () => {
    const secret = new Error('eyJ-secret');
    const throwing = source({ certificate: () => { throw secret; } }); // prettier-ignore
    const rejecting = source({ certificate: () => Promise.reject(secret) });
    for (const one of [throwing, rejecting]) {
      const verdict = await judge(at, { deviceId: 'robot-7' }, request(), new Set(), one, { now: NOW });
      assert.equal(summary(verdict), 'RevocationUnavailable fleet/caller');
      assert.ok(!JSON.stringify({ ...verdict, route: undefined }).includes('secret'));
    }
  });

  test('of the wrong sort are 503', () => {
    const wrong = judgeNow(route([step({ type: 'jwt', jwt: jwt() })]), {
      request: request([BEARER_LINE]),
      source: { token: () => ({ state: 'absent' }) as never },
    });
    assert.equal(summary(wrong), 'KeysUnavailable policy/jwt');
  });
});

suite('S7: the default stance', () => {
  const pass = { request: request([BEARER_LINE]), source: { token: () => token() } };
  const authenticated = step({ type: 'jwt', jwt: jwt() });
  const cases: Record<string, [string, ReturnType<typeof route>]> = {
    'no steps at all': ['NoPolicyMatches', route([])],
    'steps that do not authenticate': [
      'NoPolicyMatches',
      route([step({ type: 'authorize', allow: [{ name: 'all', expression: expression(() => true) }], deny: [] })]),
    ],
    'an authentication step that passes': ['Permit', route([authenticated])],
    'a skipped one does not count': [
      'NoPolicyMatches',
      route([step({ type: 'jwt', jwt: jwt() }, { when: expression(() => false) })]),
    ],
    'one whose target was widened must pass but does not count (S6)': [
      'NoPolicyMatches',
      route([step({ type: 'jwt', jwt: jwt() }, { widened: true })]),
    ],
    'open to all is said by anonymous': ['NoPolicyMatches', route([step({ type: 'setHeaders', setHeaders: [] })])],
    'an invalid policy is 503 wherever it stands (S6)': [
      'PolicyInvalid policy/invalid',
      route([authenticated, step({ type: 'invalid' })]),
    ],
  };
  for (const [name, [expected, at]] of Object.entries(cases)) {
    test(name, () => assert.equal(summary(judgeNow(at, pass)), expected));
  }

  test('a denial names errors and route, and carries what errors.headers renders', () => {
    const plan = errors({
      headers: [
        { name: 'X-Path', value: path('request.path') },
        { name: 'X-Bad', value: template(() => { throw new Error('no'); }) }, // prettier-ignore
        { name: 'X-Fixed', value: literal('1') },
      ],
    });
    const verdict = judgeNow(route([], { errors: plan }));
    assert.ok(verdict.verdict === 'Deny');
    assert.deepEqual(verdict.errorHeaders, [
      { name: 'X-Path', value: '/v1/devices/robot-7/telemetry' },
      { name: 'X-Fixed', value: '1' },
    ]);
  });
});

suite('E8: expressions that fail', () => {
  const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
  const rule = (name: string, evaluate: unknown) => ({
    name,
    expression: evaluate === 'fails' ? failing : expression(() => evaluate),
  });
  const cases: Record<string, [string, Parameters<typeof step>[0], Parameters<typeof step>[1]?]> = {
    'an allow rule is false': [
      'AuthorizationDenied policy/authorize',
      { type: 'authorize', allow: [rule('a', 'fails')], deny: [] },
    ],
    'a deny rule is true': ['AuthorizationDenied policy/authorize', { type: 'authorize', deny: [rule('d', 'fails')] }],
    'another allow rule may still be true': [
      'Permit',
      { type: 'authorize', allow: [rule('a', 'fails'), rule('b', true)], deny: [] },
    ],
    'a deny rule that is no bool denies': [
      'AuthorizationDenied policy/authorize',
      { type: 'authorize', deny: [rule('d', 0)] },
    ],
    'an allow rule that is no bool does not allow': [
      'AuthorizationDenied policy/authorize',
      { type: 'authorize', allow: [rule('a', 'true')], deny: [] },
    ],
    'when denies': [
      'ExpressionFailed policy/removeheaders',
      { type: 'removeHeaders', removeHeaders: [] },
      { when: failing },
    ],
    'a header’s template denies': [
      'ExpressionFailed policy/setheaders',
      {
        type: 'setHeaders',
        setHeaders: [
          setting(
            'x',
            template(b => read(b, 'cert.sha1')),
          ),
        ],
      },
    ],
    'a rate limit’s key denies': [
      'ExpressionFailed policy/ratelimit',
      {
        type: 'rateLimit',
        rateLimit: {
          counter: 'c',
          calls: 1,
          periodMs: 1000,
          key: path('jwt.subject'),
          maxKeys: 1,
          headers: false,
          scope: 'Pod',
        },
      },
    ],
    'an answer’s template denies': [
      'ExpressionFailed policy/respond',
      { type: 'respond', respond: { status: 200, headers: [], contentType: 'text/plain', body: path('jwt.subject') } },
    ],
  };
  for (const [name, [expected, body, parts]] of Object.entries(cases)) {
    test(name, () => assert.equal(summary(judgeNow(route([open, step(body, parts)]))), expected));
  }
});

suite('P4: authorize', () => {
  const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
  const rule = (name: string, holds: boolean, message?: string) => ({
    name,
    expression: expression(() => holds),
    ...(message === undefined ? {} : { message }),
  });
  const verdictOf = (allow: boolean[] | undefined, deny: boolean[]) => {
    const rules = (list: boolean[]) => list.map((holds, at) => rule(`r${at}`, holds));
    const body = { type: 'authorize', deny: rules(deny), ...(allow && { allow: rules(allow) }) } as const;
    return judgeNow(route([open, step(body)])).verdict;
  };
  const table: [boolean[] | undefined, boolean[], string][] = [
    [undefined, [false], 'Permit'],
    [undefined, [false, true], 'Deny'],
    [[true], [true], 'Deny'],
    [[false, true], [false], 'Permit'],
    [[false, false], [], 'Deny'],
  ];
  for (const [allow, deny, expected] of table) {
    test(`allow ${JSON.stringify(allow)}, deny ${JSON.stringify(deny)}: ${expected}`, () =>
      assert.equal(verdictOf(allow, deny), expected));
  }

  test('the rule’s own words go to the client', () => {
    const denied = step({ type: 'authorize', deny: [rule('no-lab', true, 'lab devices are not served here')] });
    const verdict = judgeNow(route([open, denied]));
    assert.ok(verdict.verdict === 'Deny');
    assert.equal(verdict.message, 'lab devices are not served here');
  });
});

suite('P5: respond', () => {
  const respond = (from = fleet, when = expression(() => true)) =>
    step(
      { type: 'respond', respond: { status: 410, headers: [], contentType: 'text/plain', body: literal('gone') } },
      { name: 'gone', origin: from, when },
    );
  const deny = (from: typeof fleet) =>
    step(
      { type: 'authorize', deny: [{ name: 'all', expression: expression(() => true) }] },
      { name: 'no', origin: from },
    );

  test('answers in the app’s place without any authentication', () => {
    const verdict = judgeNow(route([respond()]));
    assert.ok(verdict.verdict === 'Respond');
    assert.deepEqual(
      [verdict.status, verdict.body, verdict.headers, verdict.label],
      [410, 'gone', [{ name: 'Content-Type', value: 'text/plain' }], 'fleet/gone'],
    );
  });

  const cases: Record<string, [string, ReturnType<typeof step>]> = {
    'a sealed step of a broader scope still denies': ['AuthorizationDenied gold/no', deny(gold)],
    'a sealed step of the same scope still denies': ['AuthorizationDenied other/no', deny(origin({ name: 'other' }))],
    'an unsealed one does not run any more': [
      'Respond',
      deny(origin({ name: 'soft', scope: 'Product', sealed: false })),
    ],
    'a narrower one does not run any more': ['Respond', deny(telemetry)],
    'an Audit one does not either': ['Respond', deny(origin({ name: 'a', scope: 'Product', audit: true }))],
    'transformations stop': ['Respond', step({ type: 'setHeaders', setHeaders: [setting('x', template(() => { throw new Error(); }))] })], // prettier-ignore
  };
  for (const [name, [expected, after]] of Object.entries(cases)) {
    test(name, () => assert.equal(summary(judgeNow(route([respond(), after]))), expected));
  }

  test('whose condition is false is as if it were not there', () =>
    assert.equal(
      summary(
        judgeNow(
          route([
            respond(
              fleet,
              expression(() => false),
            ),
          ]),
        ),
      ),
      'NoPolicyMatches',
    ));

  test('of an Audit policy has no effect', () => {
    const audited = respond(origin({ name: 'audit', audit: true }));
    assert.equal(summary(judgeNow(route([audited]))), 'NoPolicyMatches');
  });
});

test('M7: an open stream is judged again without being counted again', () => {
  let counted = 0;
  const rate = () => {
    counted += 1;
    return { admitted: false, limit: 10, remaining: 0, retryAfter: 1, reset: 1 };
  };
  const verdict = judgeNow(example(), { source: { ...registered, rate }, context: { rejudge: true } });
  assert.deepEqual([verdict.verdict, counted], ['Permit', 0]);
});

test('M7: a permit says when to judge again: at exp, then when the tolerance is over, or when the second of notAfter is', () => {
  const at = route([step({ type: 'jwt', jwt: jwt() })]);
  const until = (expiresAt: number) =>
    permitOf(judgeNow(at, { request: request([BEARER_LINE]), source: { token: () => token({}, { expiresAt }) } }))
      .validUntil;
  assert.equal(until(NOW + 5000), NOW + 5000);
  assert.equal(until(NOW - 5000), NOW + 25_000);
  const certificate = () => verifiedCertificate({ notAfter: NOW + 7000 });
  assert.equal(permitOf(judgeNow(example(), { source: { ...registered, certificate } })).validUntil, NOW + 8000);
});

test('P7: RateLimit fields name no policy, and Retry-After is whole seconds', () => {
  const limit = {
    counter: 'shop/secret-name/rate',
    calls: 100,
    periodMs: 60000,
    key: literal(''),
    maxKeys: 10,
    headers: true,
    scope: 'Pod' as const,
  };
  const at = route([step({ type: 'rateLimit', rateLimit: limit })]);
  const verdict = judgeNow(at, {
    source: { rate: () => ({ admitted: false, limit: 100, remaining: 0, retryAfter: 2.4, reset: 59.5 }) },
  });
  assert.ok(verdict.verdict === 'Deny');
  assert.equal(verdict.retryAfter, 3);
  assert.deepEqual(verdict.responseHeaders, [
    { name: 'RateLimit-Policy', value: '"limit-1";q=100;w=60' },
    { name: 'RateLimit', value: '"limit-1";r=0;t=60' },
  ]);
});

test('the response part’s bindings are those of the permit', () => {
  const permit = permitOf(judgeNow(example(), { source: registered }));
  const later = responseStep({ type: 'removeHeaders', removeHeaders: [] }, { origin: fleet });
  const bindings = permit.bindingsOf(later, { status: 200n });
  assert.equal(read(bindings, 'steps.device.status'), 200n);
  assert.equal(read(bindings, 'response.status'), 200n);
  assert.equal(read(bindings, 'caller.id'), 'robot-7');
});
