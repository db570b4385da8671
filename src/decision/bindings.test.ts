import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Bindings } from '../policy/expression.ts';
import type { Origin } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledStep } from '../policy/steps.ts';
import {
  BEARER_LINE,
  certificate,
  devicePlan,
  expression,
  has,
  judgeNow,
  jwt,
  literal,
  NOW,
  origin,
  read,
  request,
  route,
  step,
  token,
  verifiedCertificate,
  type Given,
} from './testing/fakes.ts';

/** What an expression sees at the end of these steps. */
function seenBy(
  viewer: Origin,
  steps: readonly CompiledStep[],
  given: Given = {},
  hidden = ['authorization'],
): Bindings {
  let bindings: Bindings = {};
  const last = step(
    { type: 'authorize', deny: [{ name: 'x', expression: expression(b => ((bindings = b), false)) }] },
    { name: 'last', origin: viewer },
  );
  judgeNow(route([...steps, last], { credentialHeaders: new Set(hidden) }), given);
  return bindings;
}
const api = origin();
const both = {
  request: request([BEARER_LINE]),
  source: { token: () => token(), certificate: () => verifiedCertificate() },
};
const jwtOf = (from: Origin, name = 'jwt') => step({ type: 'jwt', jwt: jwt() }, { origin: from, name });
const certOf = (from: Origin, name = 'cert') =>
  step({ type: 'clientCertificate', clientCertificate: certificate() }, { origin: from, name });

suite('E4: always present, empty when nothing is known', () => {
  const bindings = seenBy(api, [step({ type: 'removeHeaders', removeHeaders: [] }, { origin: api, name: 'later', when: expression(() => false) })]); // prettier-ignore
  const present = [
    'jwt',
    'jwt.claims',
    'cert',
    'cert.subject',
    'cert.issuer',
    'cert.subjectAltName',
    'subscription',
    'caller',
    'params',
    'vars',
    'steps.later',
    'steps.later.body',
    'steps.later.ran',
    'source.ip',
    'request.method',
  ];
  for (const name of present) test(name, () => assert.equal(has(bindings, name), true));
  for (const name of ['jwt.subject', 'cert.sha1', 'caller.id', 'steps.later.status', 'steps.later.cert']) {
    test(`${name} is absent`, () => assert.equal(has(bindings, name), false));
  }
  test('a step that was skipped did not run', () => assert.equal(read(bindings, 'steps.later.ran'), false));
  test('no name of Object.prototype is a variable', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
      assert.equal(bindings[name], undefined);
  });
});

suite('E5: only what passed, the last of those in sight', () => {
  const cluster = origin({ kind: 'ClusterAuthPolicy', name: 'base', scope: 'Cluster' });
  const operation = origin({ name: 'op', scope: 'Operation' });
  const sees = (viewer: Origin, steps: readonly CompiledStep[], name: string) => has(seenBy(viewer, steps, both), name);
  const table: [string, boolean, Origin, Origin][] = [
    ['the same policy’s', true, api, api],
    ['another policy’s of the same scope', true, api, origin({ name: 'zz' })],
    ['a broader one’s', true, operation, cluster],
    ['never a narrower one’s', false, api, operation],
    ['never an Audit policy’s', false, api, origin({ name: 'a', audit: true })],
  ];
  for (const [name, expected, viewer, from] of table) {
    test(`jwt and cert: ${name}`, () => {
      assert.equal(sees(viewer, [jwtOf(from)], 'jwt.subject'), expected);
      assert.equal(sees(viewer, [certOf(from)], 'cert.sha1'), expected);
    });
  }
  test('a token that was refused is not visible', () => {
    const refused = step(
      { type: 'jwt', jwt: jwt({ audiences: new Set(['x']) }) },
      { origin: origin({ name: 'a', audit: true }) },
    );
    assert.equal(sees(origin({ name: 'a', audit: true }), [refused], 'jwt.subject'), false);
  });
  test('of several, the last to pass; steps.<name> is the particular one', () => {
    let calls = 0;
    const tokens = { ...both, source: { token: () => token({ sub: `caller-${(calls += 1)}` }) } };
    const bindings = seenBy(api, [jwtOf(api, 'first'), jwtOf(api, 'second')], tokens);
    assert.equal(read(bindings, 'jwt.subject'), 'caller-2');
    assert.equal(read(bindings, 'caller.id'), 'caller-2');
    assert.equal(read(bindings, 'steps.first.jwt.subject'), 'caller-1');
  });
  test('cert and jwt are told as the variables say', () => {
    const bindings = seenBy(api, [jwtOf(api), certOf(api)], both);
    assert.deepEqual(read(bindings, 'jwt.audience'), ['api://fleet']);
    assert.equal(read(bindings, 'jwt.issuer'), 'https://login.example.com/');
    assert.deepEqual(read(bindings, 'cert.notAfter'), new Date(NOW + 86_400_000));
    assert.deepEqual(read(bindings, 'cert.subjectAltName.uri'), ['urn:device:robot-7']);
    assert.deepEqual([read(bindings, 'caller.kind'), read(bindings, 'caller.id')], ['ClientCertificate', 'robot-7']);
    assert.equal(has(bindings, 'cert.subjectText'), false);
  });
});

suite('E7: names are lexical', () => {
  const device = (from: Origin, name: string) =>
    step(
      {
        type: 'deviceAuth',
        deviceAuth: { service: 's', plan: devicePlan({ allow: expression(() => true) }), deviceId: literal('x') },
      },
      { name, origin: from },
    );
  const cluster = origin({ name: 'base', scope: 'Cluster' });
  const namespace = origin({ name: 'ns', scope: 'Namespace' });
  const sibling = origin({ name: 'sibling' });
  const operation = origin({ name: 'op', scope: 'Operation' });
  const ran = (viewer: Origin, ...steps: CompiledStep[]) => {
    const bindings = seenBy(viewer, [certOf(cluster), ...steps], {
      source: { ...both.source, device: () => ({ state: 'answered', status: 200, body: {} }) },
    });
    return has(bindings, 'steps.device') ? read(bindings, 'steps.device.ran') : 'not in sight';
  };
  const skipped = (from: Origin) => ({ ...device(from, 'device'), when: expression(() => false) });
  test('own steps', () => assert.equal(ran(api, device(api, 'device')), true));
  test('else the nearest broader policy’s', () =>
    assert.equal(ran(api, device(cluster, 'device'), skipped(namespace)), false));
  test('own ones before broader ones, whatever ran', () =>
    assert.equal(ran(api, device(cluster, 'device'), skipped(api)), false));
  test('never those of another policy of the same scope', () =>
    assert.equal(ran(api, device(sibling, 'device')), 'not in sight'));
  test('the same among many that ran', () => {
    const many = Array.from({ length: 40 }, (_, i) => device(cluster, `other-${i}`));
    assert.equal(ran(api, device(cluster, 'device'), ...many), true);
    assert.equal(ran(api, ...many, device(api, 'device')), true);
    assert.equal(ran(api, device(cluster, 'device'), ...many, skipped(namespace)), false);
  });
  test('never a narrower policy’s', () => assert.equal(ran(api, device(operation, 'device')), 'not in sight'));
  test('never an Audit policy’s, but in itself', () => {
    const audit = origin({ name: 'audit', scope: 'Cluster', audit: true });
    assert.equal(ran(api, device(audit, 'device')), 'not in sight');
    assert.equal(ran(audit, device(audit, 'device')), true);
  });
});

suite('E6: the request as expressions see it', () => {
  const lines = [
    ['Authorization', 'Bearer good'],
    ['X-Tenant', 'a'],
    ['x-tenant', 'b'],
    ['Cookie', 'a=1; session=secret; b=2'],
    ['Cookie', 'c=3'],
    ['X_Request_Context_Data', 'forged'],
    ['X-Forwarded-For', '1.2.3.4'],
    ['X-Real-IP', '1.2.3.4'],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['X-Original-URL', '/admin'],
    ['Connection', 'close, X-Hop'],
    ['X-Hop', '1'],
    ['Client-Cert', ':AA==:'],
    ['__proto__', 'p'],
    ['constructor', 'c'],
  ] as const;
  const view = (parts: Partial<RequestView> = {}): Bindings =>
    seenBy(
      api,
      [],
      {
        request: request(lines, { query: 'a=1&a=%32&access_token=secret&b=x+y&%zz', size: 12, ...parts }),
        reserved: new Set(['x-request-context-data']),
      },
      ['authorization', '?access_token', 'cookie:session'],
    );
  const header = (bindings: Bindings, name: string): unknown => {
    const headers = read(bindings, 'request.headers');
    return headers instanceof Map ? headers.get(name) : (headers as Record<string, unknown>)[name];
  };
  const cases: Record<string, unknown> = {
    'x-tenant': 'a, b',
    authorization: undefined,
    cookie: 'a=1; b=2; c=3',
    x_request_context_data: undefined,
    'x-forwarded-for': undefined,
    'x-real-ip': undefined,
    'x-http-method-override': undefined,
    'x-original-url': undefined,
    connection: undefined,
    'x-hop': undefined,
    'client-cert': undefined,
    constructor: 'c',
    tostring: undefined,
  };
  for (const [name, expected] of [...Object.entries(cases), ['__proto__', 'p'] as const]) {
    test(`request.headers[${name}]`, () => assert.equal(header(view(), name), expected));
  }
  test('a Cookie header of credentials alone is absent', () => {
    const given = { request: request([['Cookie', 'session=secret']]) };
    assert.equal(header(seenBy(api, [], given, ['cookie:session']), 'cookie'), undefined);
  });
  test('forwarding headers count from trusted peers', () =>
    assert.equal(header(view({ fromTrustedPeer: true }), 'x-forwarded-for'), '1.2.3.4'));
  test('query values are lists, decoded; what authentication reads is not there', () => {
    const query = read(view(), 'request.query') as Record<string, unknown>;
    assert.deepEqual({ ...query }, { a: ['1', '2'], b: ['x y'], '%zz': [''] });
  });
  test('size, time, host and the rest', () => {
    const bindings = view();
    assert.equal(read(bindings, 'request.size'), 12n);
    assert.deepEqual(read(bindings, 'request.time'), new Date(NOW));
    assert.equal(read(bindings, 'request.path'), '/v1/devices/robot-7/telemetry');
    assert.equal(read(view({ size: -1 }), 'request.size'), -1n);
  });
  test('E1: what steps set does not change what later expressions see', () => {
    const set = step({
      type: 'setHeaders',
      setHeaders: [
        { name: 'X-Tenant', lower: 'x-tenant', ifExists: 'Override', value: literal('z'), overridden: false },
      ],
    });
    assert.equal(header(seenBy(api, [set], { request: request(lines) }), 'x-tenant'), 'a, b');
  });
});
