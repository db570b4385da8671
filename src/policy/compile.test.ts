import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hideBackendStep } from '../api/kinds/steps.ts';
import type { Bindings } from './expression.ts';
import { describeEffective } from './effective.ts';
import { HIDDEN_HEADERS } from './response-steps.ts';
import type { CompiledStep } from './steps.ts';
import {
  API,
  compileParsed,
  compileYaml,
  listViolations,
  match,
  parseYaml,
  policy,
  routeOf,
  stepsOf,
} from './testing/compile-yaml.ts';

const SUPPORT = `
kind: TokenIssuer
metadata: {name: corp}
spec: {discovery: {url: "https://login.example.com/.well-known/openid-configuration"}}
---
kind: ClientTrust
metadata: {name: devices}
spec:
  anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}]
  revocation: {mode: Disabled}
  sources: [{header: {name: Client-Cert, format: RFC9440}}, {tls: {}}]
---
kind: BackendCredential
metadata: {name: mesh}
spec: {meshCertificate: {managed: {}}}
---
kind: BackendCredential
metadata: {name: other}
spec: {meshCertificate: {secretName: other-tls}}
---
kind: DeviceAuthService
metadata: {name: devices}
spec: {url: "https://auth.shop.svc:8443/check"}
---
`;

const JWT = 'jwt: {issuers: [corp], audiences: [api]}';

const authPolicy = (name: string, body: string, target = 'targetRefs: [{kind: Api, name: fleet}]'): string => `
kind: AuthPolicy
metadata: {name: ${name}}
spec:
  ${target}
${body.replace(/^/gm, '  ')}
---
`;

const pipelineOf = (text: string, path = '/a') => routeOf(compileYaml(text).snapshot, 'GET', path).pipeline;
const violationsOf = (text: string): readonly string[] => listViolations(compileYaml(text).snapshot);
const everywhere = 'inherit: Before';

describe('S3: response steps', () => {
  const respond = (name: string): string => `response: [{name: ${name}, setHeaders: [{name: X-${name}, value: "1"}]}]`;

  test('run narrowest first, the broadest last, whatever inherit says', () => {
    const text = [
      API,
      authPolicy('op', respond('op'), 'targetRefs: [{kind: Api, name: fleet, sectionName: a}]'),
      authPolicy('api', `${respond('api')}\ninherit: None`),
      authPolicy('b', respond('ns-b'), 'sealed: false'),
      authPolicy('a', respond('ns-a'), 'sealed: false'),
    ].join('');
    const { response } = pipelineOf(text);
    assert.deepEqual(
      response.steps.map(({ label }) => label),
      ['op/op', 'api/api', 'a/ns-a', 'b/ns-b'],
    );
    assert.equal(response.dynamic, false);
  });

  test('are dynamic when one reads an expression or rewrites hosts', () => {
    const set = 'response: [{name: r, setHeaders: [{name: X, value: "${response.status}"}]}]';
    assert.equal(pipelineOf(API + authPolicy('p', set)).response.dynamic, true);
    assert.equal(pipelineOf(API + authPolicy('p', 'response: [{name: r, hideBackend: {}}]')).response.dynamic, true);
  });

  test('hideBackend knows the built-in list, what is kept and the app’s own names', () => {
    const hide = 'response: [{name: r, hideBackend: {removeHeaders: [X-Internal], keepHeaders: [Via, X-Envoy-Peer]}}]';
    const [step] = pipelineOf(
      API.replace(
        'port: 8080',
        'port: 8080\n  app: {serverName: fleet.shop.svc, scheme: https, trust: {systemRoots: true}}',
      ) + authPolicy('p', hide),
    ).response.steps;
    assert.ok(step?.type === 'hideBackend');
    const { removes, from } = step.hideBackend;
    const names = [
      'server',
      'x-powered-by',
      'x-envoy-x',
      'x-backend-y',
      'x-internal',
      'via',
      'x-envoy-peer',
      'x-other',
    ];
    assert.deepEqual(names.filter(removes), ['server', 'x-powered-by', 'x-envoy-x', 'x-backend-y', 'x-internal']);
    assert.deepEqual(from, [
      'fleet.shop.svc:8080',
      '127.0.0.1:8080',
      'fleet.shop.svc',
      'localhost:8080',
      '127.0.0.1',
      'localhost',
    ]);
  });

  test('hideBackend knows the host of app.url without its port too', () => {
    const api = API.replace('port: 8080', 'port: 8080\n  app: {url: "http://Back.internal:37503/base"}');
    const [step] = pipelineOf(api + authPolicy('p', 'response: [{name: r, hideBackend: {}}]')).response.steps;
    assert.ok(step?.type === 'hideBackend');
    assert.ok(step.hideBackend.from.includes('back.internal:37503'));
    assert.ok(step.hideBackend.from.includes('back.internal'));
  });

  test('the reference names every header of the built-in list', () => {
    const description = hideBackendStep.fields['removeHeaders']?.schema.description;
    const told =
      /list: (.*)\.$/
        .exec(description ?? '')?.[1]
        ?.toLowerCase()
        .split(', ') ?? [];
    assert.deepEqual([...told].sort(), [...HIDDEN_HEADERS].sort());
  });

  test('see the response, and the steps of the request', () => {
    const text = `request: [{name: caller, anyOf: [{anonymous: {}}]}]
response: [{name: r, when: "response.status == 200 && steps.caller.ran", removeHeaders: [X-A]}]`;
    assert.deepEqual(violationsOf(API + authPolicy('p', text)), []);
    const early = 'request: [{name: r, when: "response.status == 200", removeHeaders: [X-A]}]';
    assert.match(
      violationsOf(API + authPolicy('p', early)).join(),
      /uses the variable "response", which does not exist here/,
    );
  });
});

describe('S4: headers of sealed policies', () => {
  const setter = (name: string, header: string): string =>
    `request: [{name: set, setHeaders: [{name: ${header}, value: ${name}}, {name: X-Own-${name}, value: "1"}]}]`;

  test('cannot be written by a narrower policy, in any spelling an app may fold', () => {
    const text =
      API + authPolicy('ns', setter('ns', 'X-Context'), everywhere) + authPolicy('api', setter('api', 'x_context'));
    const steps = describeEffective(routeOf(compileYaml(text).snapshot, 'GET', '/a'));
    assert.deepEqual(
      steps.map(({ policy: of, overridden }) => [of, overridden]),
      [
        ['AuthPolicy shop/ns', []],
        ['AuthPolicy shop/api', ['x_context']],
      ],
    );
    assert.deepEqual(violationsOf(text), [
      'AuthPolicy shop/api spec.request[0]: writes the header "x_context", which the sealed AuthPolicy shop/ns sets or removes: it has no effect, remove it',
    ]);
  });

  test('can be written where the broader policy is not sealed, or is in Audit mode', () => {
    for (const open of ['sealed: false', 'mode: Audit']) {
      const text =
        API + authPolicy('ns', setter('ns', 'X-Context'), open) + authPolicy('api', setter('api', 'X-Context'));
      const steps = describeEffective(routeOf(compileYaml(text).snapshot, 'GET', '/a'));
      assert.deepEqual(
        steps.flatMap(({ overridden }) => overridden),
        [],
      );
    }
  });

  test('claimHeaders and removeHeaders of the narrower policy lose that header too', () => {
    const narrower = `request:
- {name: who, jwt: {issuers: [corp], audiences: [api], claimHeaders: {X-Context: sub, X-Mine: sub}}}
- {name: any, anyOf: [{jwt: {issuers: [corp], audiences: [api], claimHeaders: {X-Context: sub}}}]}
- {name: rm, removeHeaders: [X-Context, X-Mine]}`;
    const steps = pipelineOf(
      API + SUPPORT + authPolicy('ns', setter('ns', 'X-Context'), everywhere) + authPolicy('api', narrower),
    ).steps;
    const [, who, any, rm] = steps;
    assert.ok(who?.type === 'jwt' && any?.type === 'anyOf' && rm?.type === 'removeHeaders');
    assert.deepEqual(
      who.jwt.claimHeaders.map(({ name }) => name),
      ['X-Mine'],
    );
    assert.ok(any.alternatives[0]?.type === 'jwt');
    assert.deepEqual(any.alternatives[0].jwt.claimHeaders, []);
    assert.deepEqual(rm.removeHeaders, ['x-mine']);
  });

  test('of answers: what a sealed hideBackend removes cannot be set below', () => {
    const text =
      API +
      authPolicy('ns', 'response: [{name: hide, hideBackend: {}}]', everywhere) +
      authPolicy('api', 'response: [{name: set, setHeaders: [{name: Server, value: x}, {name: X-Ok, value: x}]}]');
    const steps = describeEffective(routeOf(compileYaml(text).snapshot, 'GET', '/a'));
    assert.deepEqual(
      steps.map(({ step, overridden }) => [step, overridden]),
      [
        ['set', ['Server']],
        ['hide', []],
      ],
    );
  });
});

describe('S5: errors and backend', () => {
  test('per field, the narrowest scope that sets it', () => {
    const text = [
      API,
      SUPPORT,
      authPolicy(
        'ns',
        'errors: {format: Text, includeReason: false, headers: {X-A: "1"}}\nbackend: {credential: mesh}',
        everywhere,
      ),
      authPolicy(
        'api',
        'errors: {includeReason: true, overrides: [{reasons: [TokenExpired], status: 403}]}\nbackend: {credential: other}',
      ),
    ].join('');
    const { errors, certificateCredential } = pipelineOf(text);
    assert.equal(errors.format, 'Text');
    assert.equal(errors.includeReason, true);
    assert.deepEqual(
      errors.headers.map(({ name, value }) => [name, value.literal]),
      [['X-A', '1']],
    );
    assert.deepEqual(errors.overrides.get('TokenExpired'), { status: 403 });
    assert.equal(certificateCredential, 'shop/other');
  });

  test('Api.app.credential is the broadest credential', () => {
    const api = API.replace(
      'port: 8080',
      'port: 8080\n  app: {scheme: https, credential: mesh, trust: {systemRoots: true}}',
    );
    assert.equal(pipelineOf(api + SUPPORT).certificateCredential, 'shop/mesh');
    const text = api + SUPPORT + authPolicy('ns', 'backend: {credential: other}', everywhere);
    assert.equal(pipelineOf(text).certificateCredential, 'shop/other');
  });

  test('before a match is known: cluster and namespace scope only', () => {
    const text = [
      API,
      authPolicy('ns', 'errors: {format: Text}', everywhere),
      authPolicy('api', 'errors: {format: Empty}'),
      authPolicy('audit', 'errors: {includePolicy: true}', 'mode: Audit'),
    ].join('');
    const { snapshot } = compileYaml(text);
    const found = match(snapshot, 'GET', '/nothing');
    assert.ok(found.kind === 'refused');
    assert.equal(found.reason, 'OperationNotFound');
    assert.equal(found.errors.format, 'Text');
    assert.equal(found.errors.includePolicy, false);
    assert.equal(snapshot.errorsBeforeMatch, found.errors);
    assert.equal(routeOf(snapshot, 'GET', '/a').pipeline.errors.format, 'Empty');
  });

  test('headers of denials are literal', () => {
    const text = API + authPolicy('p', 'errors: {headers: {X-A: "${request.path}"}}');
    assert.deepEqual(violationsOf(text), [
      'AuthPolicy shop/p spec.errors.headers.X-A: in ${…} uses the variable "request", which does not exist here, remove it: nothing is known here',
    ]);
  });

  test('two policies of one scope that set the same field are in conflict: the younger loses that field only', () => {
    const text =
      API +
      SUPPORT +
      authPolicy('a', 'errors: {format: Text}\nbackend: {credential: mesh}').replace(
        '{name: a}',
        '{name: a, creationTimestamp: "2026-02-01T00:00:00Z"}',
      ) +
      authPolicy(
        'b',
        'errors: {format: Empty, includePolicy: true}\nbackend: {credential: other}\nrequest: [{name: s, removeHeaders: [X]}]',
      ).replace('{name: b}', '{name: b, creationTimestamp: "2026-01-01T00:00:00Z"}');
    const { snapshot } = compileYaml(text);
    const { errors, certificateCredential, steps } = routeOf(snapshot, 'GET', '/a').pipeline;
    assert.equal(errors.format, 'Empty');
    assert.equal(errors.includePolicy, true);
    assert.equal(certificateCredential, 'shop/other');
    assert.equal(steps.length, 1);
    assert.deepEqual(listViolations(snapshot).toSorted(), [
      'AuthPolicy shop/a spec.backend.credential: conflicts with AuthPolicy shop/b, which sets it at the same scope, set it in one of the two',
      'AuthPolicy shop/a spec.errors.format: conflicts with AuthPolicy shop/b, which sets it at the same scope, set it in one of the two',
    ]);
    const severities = compileYaml(text, { source: 'files' }).snapshot.violations.map(({ severity }) => severity);
    assert.deepEqual(severities, ['error', 'error'], 'in files a conflict is an error');
    assert.deepEqual(
      snapshot.violations.map(({ severity }) => severity),
      ['warning', 'warning'],
    );
  });
});

describe('S6: never skipped', () => {
  const good = authPolicy('p', 'request: [{name: good, removeHeaders: [X]}]');
  const bad = authPolicy('p', 'request: [{name: bad, authorize: {allow: [{expression: "nonsense"}]}}]');

  test('an invalid policy without a last good generation stops what it applies to', () => {
    const { snapshot } = compileYaml(API + bad);
    const [step] = routeOf(snapshot, 'GET', '/a').pipeline.steps;
    assert.equal(step?.type, 'invalid');
    assert.equal(step.label, 'p/invalid');
    assert.match(snapshot.notices.join(), /AuthPolicy shop\/p is invalid and has no last good generation/);
  });

  test('an invalid policy keeps its last good generation, over many compilations', () => {
    const first = compileYaml(API + good);
    const second = compileYaml(API + bad, { remembered: first.remembered });
    const third = compileYaml(API + bad, { remembered: second.remembered });
    assert.deepEqual(stepsOf(third.snapshot), ['p/good']);
    assert.equal(third.snapshot.violations[0]?.severity, 'error');
  });

  test('a policy that is deleted is forgotten', () => {
    const first = compileYaml(API + good);
    const second = compileYaml(API, { remembered: first.remembered });
    assert.deepEqual(stepsOf(second.snapshot), []);
    const third = compileYaml(API + bad, { remembered: second.remembered });
    assert.equal(routeOf(third.snapshot, 'GET', '/a').pipeline.steps[0]?.type, 'invalid');
  });

  test('a policy whose issuer is gone keeps its last good generation, the issuer included', () => {
    const text = authPolicy('p', `request: [{name: who, ${JWT}}]`);
    const first = compileYaml(API + SUPPORT + text);
    const second = compileYaml(API + text, { remembered: first.remembered });
    const third = compileYaml(API + text, { remembered: second.remembered });
    assert.deepEqual(stepsOf(third.snapshot), ['p/who']);
    assert.deepEqual([...third.snapshot.issuers.keys()], ['shop/corp']);
    assert.deepEqual(listViolations(third.snapshot), [
      'AuthPolicy shop/p spec.request[0].jwt.issuers[0]: names the TokenIssuer "corp", which does not exist, create it, or name one that exists',
    ]);
  });

  test('a policy that names what never existed stops what it applies to', () => {
    const { snapshot } = compileYaml(
      API + SUPPORT + authPolicy('p', 'request: [{name: c, clientCertificate: {trust: devises}}]'),
    );
    assert.equal(routeOf(snapshot, 'GET', '/a').pipeline.steps[0]?.type, 'invalid');
    assert.deepEqual(listViolations(snapshot), [
      'AuthPolicy shop/p spec.request[0].clientCertificate.trust: names the ClientTrust "devises", which does not exist, write "devices"',
    ]);
  });

  test('an unparsable policy stops what can be told of its targets', () => {
    const broken = authPolicy(
      'p',
      'request: [{name: s, teleport: {}}]',
      'targetRefs: [{kind: Api, name: fleet, sectionName: a}]',
    );
    const { snapshot } = compileYaml(API + broken);
    assert.equal(routeOf(snapshot, 'GET', '/a').pipeline.steps[0]?.type, 'invalid');
    assert.deepEqual(stepsOf(snapshot, 'GET', '/b/1'), []);
  });

  test('an unparsable policy without readable targets stops everything in its namespace', () => {
    for (const target of ['targetRefs: everything', 'targetSelectors: [{matchLabels: 7}]']) {
      const { snapshot } = compileYaml(API + authPolicy('p', 'request: []', target));
      assert.equal(routeOf(snapshot, 'GET', '/a').pipeline.steps[0]?.type, 'invalid', target);
    }
  });

  test('an unparsable policy keeps its last good generation', () => {
    const first = compileYaml(API + good);
    const broken = authPolicy('p', 'request: [{name: s, teleport: {}}]');
    assert.deepEqual(stepsOf(compileYaml(API + broken, { remembered: first.remembered }).snapshot), ['p/good']);
  });

  test('a target that names a missing operation applies to the whole Api, and does not count as authentication', () => {
    const text = authPolicy(
      'p',
      `request: [{name: who, ${JWT}}]`,
      'targetRefs: [{kind: Api, name: fleet, sectionName: c}]',
    );
    const { snapshot } = compileYaml(API + SUPPORT + text);
    const { steps } = routeOf(snapshot, 'GET', '/b/1').pipeline;
    assert.equal(steps[0]?.widened, true);
    assert.deepEqual(listViolations(snapshot), [
      'AuthPolicy shop/p spec.targetRefs[0].sectionName: names the operation "c", which the Api fleet does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication, name one of its operations: a, b',
    ]);
  });

  test('a target that names a missing Api has no effect', () => {
    const { snapshot, idle } = compileYaml(API + policy('p', 'targetRefs: [{kind: Api, name: fleed}]'));
    assert.deepEqual(stepsOf(snapshot), []);
    assert.deepEqual(listViolations(snapshot), [
      'AuthPolicy shop/p spec.targetRefs[0].name: names the Api "fleed", which does not exist: this target has no effect, write "fleet"',
    ]);
    assert.deepEqual(idle, [{ object: 'AuthPolicy shop/p', why: 'targets no Api of this workload' }]);
  });

  test('a missing Secret or ConfigMap is a warning, and what reads the variable is 503', () => {
    const text = `variables: {tier: {configMapKeyRef: {name: cm, key: k}}, known: {value: v}}
request:
- {name: one, setHeaders: [{name: X-Tier, value: "\${vars.tier}"}]}
- {name: two, setHeaders: [{name: X-Known, value: "\${vars.known}"}]}`;
    const { snapshot } = compileYaml(API + authPolicy('p', text), { lookup: () => undefined });
    assert.deepEqual(
      routeOf(snapshot, 'GET', '/a').pipeline.steps.map(({ type }) => type),
      ['invalid', 'setHeaders'],
    );
    assert.deepEqual(
      snapshot.violations.map(({ severity, field, problem }) => [severity, field, problem]),
      [
        [
          'warning',
          'spec.variables.tier.configMapKeyRef',
          'names the key "k" of the ConfigMap "cm", which does not exist',
        ],
      ],
    );
  });

  test('an invalid Api without a last good generation is 503, others of its port serve', () => {
    const broken = API.replace('name: fleet', 'name: broken').replace(
      'operations: [',
      'hosts: [b.example]\n  app: {scheme: https, credential: gone, trust: {systemRoots: true}}\n  operations: [',
    );
    const { snapshot } = compileYaml(API + broken);
    assert.deepEqual(match(snapshot, 'GET', '/a', 'b.example').kind, 'refused');
    const held = match(snapshot, 'GET', '/other', 'b.example');
    assert.ok(held.kind === 'refused' && held.reason === 'PolicyInvalid');
    assert.equal(match(snapshot, 'GET', '/a', 'c.example').kind, 'matched');
  });

  test('an invalid Api keeps its last good generation', () => {
    const first = compileYaml(API);
    const broken = API.replace(
      'port: 8080',
      'port: 8080\n  app: {scheme: https, credential: gone, trust: {systemRoots: true}}',
    );
    const { snapshot } = compileYaml(broken, { remembered: first.remembered });
    assert.equal(match(snapshot, 'GET', '/a').kind, 'matched');
  });

  test('an unparsable Api is 503 where it can be told to be', () => {
    const broken = API.replace('name: fleet', 'name: broken').replace(
      'operations: [',
      'hosts: [b.example]\n  basePath: /v1\n  unknown: 1\n  operations: [',
    );
    const { snapshot } = compileYaml(API + broken);
    const held = match(snapshot, 'GET', '/v1/x', 'b.example');
    assert.ok(held.kind === 'refused' && held.reason === 'PolicyInvalid');
    assert.equal(match(snapshot, 'GET', '/a', 'b.example').kind, 'matched');
  });

  test('a service whose template is wrong keeps its last good generation', () => {
    const uses = authPolicy(
      'p',
      'request: [{name: c, clientCertificate: {trust: devices}}, {name: d, deviceAuth: {service: devices, deviceId: x}}]',
    );
    const wrong = SUPPORT.replace('/check"', '/${cert.sha11}"');
    const first = compileYaml(API + SUPPORT + uses);
    const second = compileYaml(API + wrong + uses, { remembered: first.remembered });
    assert.deepEqual(stepsOf(second.snapshot), ['p/c', 'p/d']);
    assert.deepEqual(listViolations(second.snapshot), [
      'DeviceAuthService shop/devices spec.url: in ${…} reads cert.sha11, which does not exist here, write cert.sha1',
    ]);
    assert.equal(routeOf(compileYaml(API + wrong + uses).snapshot, 'GET', '/a').pipeline.steps[0]?.type, 'invalid');
  });

  test('a named port that the workload does not have is an error of the Api', () => {
    const { snapshot } = compileYaml(API.replace('port: 8080', 'port: web'));
    assert.equal(snapshot.listeners.size, 0);
    assert.deepEqual(listViolations(snapshot), [
      'Api shop/fleet spec.port: names the container port "web", which this workload does not have, write the number of the port',
    ]);
    const named = { namespace: 'shop', namespaceLabels: {}, labels: { app: 'fleet' }, ports: { web: 8080 } };
    assert.deepEqual(
      [...compileYaml(API.replace('port: 8080', 'port: web'), { workload: named }).snapshot.listeners.keys()],
      [8080],
    );
  });
});

describe('S7 and S8: what authenticates', () => {
  const rows: Readonly<Record<string, readonly [string, string]>> = {
    'a jwt step': [authPolicy('p', `request: [{name: s, ${JWT}}]`), 'Enforced'],
    'anyOf with anonymous': [authPolicy('p', 'request: [{name: s, anyOf: [{anonymous: {}}]}]'), 'Enforced'],
    'a step with a condition': [authPolicy('p', `request: [{name: s, when: "false", ${JWT}}]`), 'Enforced'],
    'an Audit policy alone': [authPolicy('p', `mode: Audit\nrequest: [{name: s, ${JWT}}]`), 'AuditOnly'],
    'an Audit policy beside an enforced one': [
      authPolicy('p', `mode: Audit\nrequest: [{name: s, ${JWT}}]`) + authPolicy('q', `request: [{name: s, ${JWT}}]`),
      'Enforced',
    ],
    'deviceAuth, authorize and rateLimit': [
      authPolicy(
        'p',
        'request: [{name: d, deviceAuth: {service: devices, deviceId: x}}, {name: z, authorize: {allow: [{expression: "true"}]}}, {name: r, rateLimit: {calls: 1, period: 1s}}]',
      ),
      'Never',
    ],
    nothing: ['', 'Never'],
  };
  for (const [sentence, [text, expected]] of Object.entries(rows)) {
    test(`${sentence}: ${expected}`, () => assert.equal(pipelineOf(API + SUPPORT + text).authenticates, expected));
  }

  test('response steps, errors and backend of an Audit policy have no effect', () => {
    const text =
      'mode: Audit\nresponse: [{name: h, hideBackend: {}}]\nerrors: {format: Empty}\nbackend: {credential: other}';
    const pipeline = pipelineOf(API + SUPPORT + authPolicy('p', text));
    assert.deepEqual(pipeline.response.steps, []);
    assert.equal(pipeline.errors.format, 'Problem');
    assert.equal(pipeline.certificateCredential, undefined);
  });

  test('what authentication steps read is hidden from expressions', () => {
    const text = `request:
- {name: who, anyOf: [{jwt: {issuers: [corp], audiences: [api], from: [{header: X-Token}, {query: access_token}, {cookie: session}]}}, {clientCertificate: {trust: devices}}]}`;
    assert.deepEqual([...pipelineOf(API + SUPPORT + authPolicy('p', text)).credentialHeaders].sort(), [
      '?access_token',
      'authorization',
      'client-cert',
      'cookie:session',
      'x-token',
    ]);
  });

  test('P9, P10: no trailer may be called like a header that authentication steps read, in any spelling', () => {
    const signed = `header: X_Sig, payload: '\${timestamp}.\${id}.\${body}', timestampHeader: X-Ts, idHeader: X-Id`;
    const text = `request:
- {name: key, subscription: {query: key}}
- {name: who, anyOf: [{hmacSignature: {${signed}, keys: [{secretKeyRef: {name: a, key: k}}]}}, {anonymous: {}}]}`;
    assert.deepEqual([...pipelineOf(API + SUPPORT + authPolicy('p', text)).barredTrailers].sort(), [
      'authorization',
      'ocp-apim-subscription-key',
      'x-id',
      'x-sig',
      'x-ts',
    ]);
  });
});

test('500 policies of an Api with 50 operations that have one of their own: each route runs all that apply', () => {
  const count = 50;
  const operations = Array.from({ length: count }, (_, i) => `{name: o${i}, path: /o${i}}`).join(', ');
  const api = `
kind: Api
metadata: {name: fleet}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080, operations: [${operations}]}
---
`;
  const policies = Array.from({ length: 500 }, (_, i) =>
    authPolicy(
      `p${i}`,
      'request: [{name: s, requireHeader: {name: x-a}}]',
      `targetRefs: [{kind: Api, name: fleet${i < count ? `, sectionName: o${i}` : ''}}]`,
    ),
  );
  const { snapshot } = compileYaml([api, ...policies].join(''));
  assert.deepEqual(listViolations(snapshot), []);
  const steps = stepsOf(snapshot, 'GET', '/o7');
  assert.equal(steps.length, 500 - count + 1);
  assert.deepEqual([steps[0], steps.at(-1)], ['p100/s', 'p7/s']);
});

describe('E7: names are lexical', () => {
  const anonymous = 'anyOf: [{anonymous: {}}]';
  const reader = (expression: string, before = ''): string =>
    `request: [${before}{name: last, authorize: {deny: [{expression: "${expression}"}]}}]`;
  const named = (text: string): string => `request: [{name: who, ${text}}]`;
  const idOf = (step: CompiledStep | undefined): string => `${step?.origin.key ?? ''}/${step?.name ?? ''}`;

  test('steps.x is this policy’s, else the nearest broader policy’s', () => {
    const text = [
      API,
      authPolicy('ns', named(anonymous), everywhere),
      authPolicy('product', named(anonymous), 'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]'),
      authPolicy('api', reader('steps.who.ran')),
      authPolicy(
        'own',
        reader('steps.who.ran', `{name: who, ${anonymous}}, `),
        'targetRefs: [{kind: Api, name: fleet, sectionName: a}]',
      ),
    ].join('');
    const { snapshot } = compileYaml(text);
    assert.deepEqual(listViolations(snapshot), []);
    const { sight } = routeOf(snapshot, 'GET', '/a').pipeline;
    const seen = [...sight].map(([{ key }, { steps }]) => [key, idOf(steps.get('who'))]);
    assert.deepEqual(Object.fromEntries(seen), {
      'shop/ns': 'shop/ns/who',
      'shop/product': 'shop/product/who',
      'shop/api': 'shop/product/who',
      'shop/own': 'shop/own/who',
    });
  });

  test('never a narrower policy’s, nor another of the same scope, nor an Audit policy’s', () => {
    const unseen = [
      authPolicy('narrow', named(anonymous), 'targetRefs: [{kind: Api, name: fleet, sectionName: a}]'),
      authPolicy('beside', named(anonymous)),
      authPolicy('audit', `mode: Audit\n${named(anonymous)}`, everywhere),
    ];
    for (const other of unseen) {
      assert.deepEqual(violationsOf(API + other + authPolicy('p', reader('steps.who.ran'))), [
        'AuthPolicy shop/p spec.request[0].authorize.deny[0].expression: reads steps.who, which does not exist here, remove it: nothing is known here',
      ]);
    }
  });

  test('a step cannot be read before it ran', () => {
    const text = authPolicy(
      'p',
      `request: [{name: first, when: "steps.who.ran || steps.first.ran", removeHeaders: [X]}, {name: who, ${anonymous}}]`,
    );
    assert.deepEqual(violationsOf(API + text), [
      'AuthPolicy shop/p spec.request[0].when: reads steps.who, which runs later in this policy, read what is known at this place',
    ]);
  });

  test('a broader policy that runs later (After) is not in sight', () => {
    const text =
      API +
      authPolicy('ns', named(anonymous), 'sealed: false') +
      authPolicy('p', `inherit: After\n${reader('steps.who.ran')}`);
    assert.match(violationsOf(text).join(), /reads steps.who, which does not exist here/);
  });

  test('vars.x is this policy’s, else the nearest broader policy’s', () => {
    const set = (vars: string): string => `variables: ${vars}`;
    const text = [
      API,
      authPolicy('ns', set('{a: {value: ns}, b: {value: ns}}'), everywhere),
      authPolicy(
        'product',
        set('{b: {value: product}}'),
        'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]',
      ),
      authPolicy('api', `${set('{c: {value: api}}')}\n${reader("vars.a == vars.b && vars.c == 'x'")}`),
    ].join('');
    const { snapshot } = compileYaml(text);
    assert.deepEqual(listViolations(snapshot), []);
    const { sight } = routeOf(snapshot, 'GET', '/a').pipeline;
    const vars = [...sight].find(([{ key }]) => key === 'shop/api')?.[1].vars;
    assert.deepEqual({ ...vars }, { a: 'ns', b: 'product', c: 'api' });
  });

  test('values come from Secrets and ConfigMaps, of a cluster policy only with shareSecrets', () => {
    const text = (share: string): string => `
kind: ClusterAuthPolicy
metadata: {name: c}
spec:
  ${share}
  variables: {s: {secretKeyRef: {name: n, key: k, namespace: system}}}
---
`;
    const lookup = (kind: string, key: string, dataKey: string): string => `${kind} ${key} ${dataKey}`;
    const { snapshot } = compileYaml(API + text('shareSecrets: true'), { lookup });
    const [sight] = routeOf(snapshot, 'GET', '/a').pipeline.sight.values();
    assert.equal(sight?.vars['s'], 'Secret system/n k');
    assert.match(
      violationsOf(API + text('sealed: true')).join(),
      /spec.variables.s.secretKeyRef: would bring a Secret of the cluster policy/,
    );
  });
});

describe('E10: what targets have', () => {
  const deny = (expression: string): string =>
    `request: [{name: s, authorize: {deny: [{expression: "${expression}"}]}}]`;

  test('a parameter that no target has is an error', () => {
    assert.deepEqual(violationsOf(API + authPolicy('p', deny("params.idd == 'x'"))), [
      'AuthPolicy shop/p spec.request[0].authorize.deny[0].expression: reads params.idd, which does not exist here, write params.id',
    ]);
  });

  test('a parameter that some targets lack is a warning', () => {
    const { snapshot } = compileYaml(API + authPolicy('p', deny("params.id == 'x'")));
    assert.deepEqual(
      snapshot.violations.map(({ severity }) => severity),
      ['warning'],
    );
    assert.deepEqual(listViolations(snapshot), [
      'AuthPolicy shop/p spec.request[0].authorize.deny[0].expression: reads params.id, which some targets lack, test has(params.id) first, or narrow the targets',
    ]);
  });

  test('a parameter that the only target has is fine', () => {
    const text = authPolicy('p', deny("params.id == 'x'"), 'targetRefs: [{kind: Api, name: fleet, sectionName: b}]');
    assert.deepEqual(violationsOf(API + text), []);
  });

  test('a broader step that some targets lack never ran there', () => {
    const other = API.replace('name: fleet, labels: {product: gold}', 'name: other').replace(
      'port: 8080',
      'port: 8081',
    );
    const product = authPolicy(
      'prod',
      'request: [{name: who, anyOf: [{anonymous: {}}]}]',
      'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]',
    );
    const text =
      API +
      other +
      product +
      authPolicy('p', deny('steps.who.ran'), 'targetRefs: [{kind: Api, name: fleet}, {kind: Api, name: other}]');
    const { snapshot } = compileYaml(text);
    assert.match(listViolations(snapshot).join(), /reads steps.who, which some targets lack/);
    const found = match(snapshot, 'GET', '/a', 'h', 8081);
    assert.ok(found.kind === 'matched');
    const [sight] = found.route.pipeline.sight.values();
    const step = sight?.steps.get('who');
    assert.ok(step !== undefined && !found.route.pipeline.steps.includes(step));
  });

  test('a policy that applies to nothing yet is checked as far as it can be', () => {
    const nowhere = 'targetRefs: [{kind: Api, name: later}]';
    assert.equal(violationsOf(API + authPolicy('p', deny("params.any == 'x' && steps.any.ran"), nowhere)).length, 1);
    assert.match(violationsOf(API + authPolicy('p', deny('cert.nothing'), nowhere)).join(), /reads cert.nothing/);
  });
});

describe('E9: settings of headers', () => {
  test('are rendered for their place', () => {
    const text = `request:
- name: s
  setHeaders:
  - {name: X-Context, pairs: {b: "\${params.id}", a: lit}}
  - {name: X-Dict, dictionary: {n: "\${request.size}"}}
  - {name: X-Plain, value: "v \${request.method}", ifExists: Append}`;
    const { steps } = pipelineOf(
      API + authPolicy('p', text, 'targetRefs: [{kind: Api, name: fleet, sectionName: b}]'),
      '/b/1',
    );
    const [step] = steps;
    assert.ok(step?.type === 'setHeaders');
    const bindings: Bindings = { params: { id: 'x;y' }, request: { size: 3n, method: 'GET' } };
    assert.deepEqual(
      step.setHeaders.map(({ lower, ifExists, value }) => [lower, ifExists, value.render(bindings)]),
      [
        ['x-context', 'Override', 'a=lit;b=x%3By;'],
        ['x-dict', 'Override', 'n=3'],
        ['x-plain', 'Append', 'v GET'],
      ],
    );
  });

  test('what is set is reserved: removed from every request under its folded name', () => {
    const text = `request:
- {name: who, jwt: {issuers: [corp], audiences: [api], claimHeaders: {X_Client.Id: sub}}}
- {name: s, setHeaders: [{name: X-Context, value: "1"}, {name: X-Add, value: "1", ifExists: Append}]}`;
    const { snapshot } = compileYaml(API + SUPPORT + authPolicy('p', text));
    assert.deepEqual([...snapshot.reservedHeaders].sort(), ['x-client-id', 'x-context']);
  });
});

describe('P13: a header that an authentication step reads', () => {
  const reads = (header: string): string =>
    `{name: who, jwt: {issuers: [corp], audiences: [api], from: [{header: ${header}}]}}`;
  const sets = (header: string): string => `{name: set, setHeaders: [{name: ${header}, value: "1"}]}`;

  test('cannot be set by the same policy', () => {
    const text = API + SUPPORT + authPolicy('p', `request: [${reads('X-Token')}, ${sets('x_token')}]`);
    assert.deepEqual(violationsOf(text), [
      'AuthPolicy shop/p spec.request[1].setHeaders[0].name: sets the header "x_token", from which an authentication step reads its credential, use another header',
    ]);
  });

  test('across policies the narrower is at fault, so that no tenant undoes a broader policy', () => {
    const setter =
      API +
      SUPPORT +
      authPolicy('a', `request: [${reads('X-Token')}]`, everywhere) +
      authPolicy('b', `request: [${sets('X-Token')}]`);
    assert.match(
      violationsOf(setter).join(),
      /^AuthPolicy shop\/b spec.request\[0\].setHeaders\[0\].name: sets the header "X-Token"/,
    );
    const reader =
      API +
      SUPPORT +
      authPolicy('a', `request: [${sets('X-Token')}]`, everywhere) +
      authPolicy('b', `request: [${reads('X-Token')}]`);
    assert.match(
      violationsOf(reader).join(),
      /^AuthPolicy shop\/b spec.request: reads a credential from the header "x-token", which AuthPolicy shop\/a sets/,
    );
    assert.deepEqual(stepsOf(compileYaml(reader).snapshot), ['a/set', 'b/invalid']);
  });
});

describe('M1: what operations leave over', () => {
  test('without operations everything under basePath is served at API scope', () => {
    const api = API.replace(/operations: .*/, 'basePath: /v1');
    const { snapshot } = compileYaml(api + policy('p', 'targetRefs: [{kind: Api, name: fleet}]'));
    const route = routeOf(snapshot, 'PUT', '/v1/x/y');
    assert.equal(route.operation, undefined);
    assert.equal(route.template, '/v1/*');
    assert.deepEqual(
      route.pipeline.steps.map(({ label }) => label),
      ['p/s'],
    );
    assert.equal(match(snapshot, 'GET', '/other').kind, 'refused');
  });

  test('unmatched: Forward serves the rest with API and broader scopes', () => {
    const api = API.replace('port: 8080', 'port: 8080\n  unmatched: Forward');
    const text = api + policy('ns') + policy('op', 'targetRefs: [{kind: Api, name: fleet, sectionName: a}]');
    const { snapshot } = compileYaml(text);
    assert.deepEqual(stepsOf(snapshot, 'GET', '/a'), ['ns/s', 'op/s']);
    assert.deepEqual(stepsOf(snapshot, 'GET', '/q'), ['ns/s']);
  });

  test('the template names basePath and path as written, never the request’s', () => {
    const { snapshot } = compileYaml(API.replace('port: 8080', 'port: 8080\n  basePath: /V1/'));
    assert.equal(routeOf(snapshot, 'GET', '/v1/b/Secret').template, '/V1/b/{id}');
  });
});

describe('M5: shared ports', () => {
  const api = (name: string, extra: string, created: string): string => `
kind: Api
metadata: {name: ${name}, creationTimestamp: "${created}T00:00:00Z"}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  ${extra}
---
`;
  const TLS = (secret: string): string => `tls: {certificate: {secretName: ${secret}}}`;

  test('certificates are chosen by name; trusts of policies and trusted peers are asked for', () => {
    const text =
      SUPPORT +
      api('old', `${TLS('old')}\n  hosts: [A.example., "*.a.example"]`, '2026-01-01') +
      api('new', `${TLS('new')}\n  hosts: [b.example]`, '2026-02-01') +
      authPolicy(
        'p',
        'request: [{name: c, clientCertificate: {trust: devices}}]',
        'targetRefs: [{kind: Api, name: new}]',
      );
    const { snapshot } = compileYaml(text);
    const listener = snapshot.listeners.get(8080);
    assert.deepEqual(listener?.tls, {
      mode: 'Terminate',
      minVersion: '1.2',
      certificates: [
        { hosts: ['a.example', '*.a.example'], secret: 'shop/old' },
        { hosts: ['b.example'], secret: 'shop/new' },
      ],
      clientTrusts: ['shop/devices'],
    });
    assert.deepEqual(listener.hosts, ['*.a.example', 'a.example', 'b.example']);
    assert.deepEqual(listViolations(snapshot), []);
  });

  test('the younger of two that differ is 503 where only it would match', () => {
    const text =
      api('old', 'hosts: [a.example]', '2026-01-01') +
      api('new', 'limits: {headers: 50}\n  hosts: [b.example]', '2026-02-01');
    const { snapshot } = compileYaml(text);
    assert.equal(match(snapshot, 'GET', '/', 'a.example').kind, 'matched');
    const lost = match(snapshot, 'GET', '/', 'b.example');
    assert.ok(lost.kind === 'refused' && lost.reason === 'PolicyInvalid');
    assert.deepEqual(listViolations(snapshot), [
      'Api shop/new spec.limits: differs from Api shop/old, which shares port 8080, write the same in both, or use another port',
    ]);
  });

  test('who speaks the PROXY protocol is of the port', () => {
    const spoken = 'proxyProtocol: {from: [10.0.9.0/24]}';
    const { snapshot } = compileYaml(
      api('old', spoken, '2026-01-01') +
        api('same', `${spoken}\n  hosts: [a.example]`, '2026-02-01') +
        api('new', 'hosts: [b.example]', '2026-03-01'),
    );
    assert.deepEqual(snapshot.listeners.get(8080)?.proxyProtocol, { from: ['10.0.9.0/24'] });
    assert.deepEqual(listViolations(snapshot), [
      'Api shop/new spec.proxyProtocol: differs from Api shop/old, which shares port 8080, write the same in both, or use another port',
    ]);
  });

  test('bodyBytes, bodyIdle and the certificate may differ', () => {
    const text =
      api('old', `${TLS('a')}\n  limits: {bodyBytes: 1Mi}`, '2026-01-01') +
      api('new', `${TLS('b')}\n  hosts: [b.example]\n  limits: {bodyIdle: 5s}`, '2026-02-01');
    assert.deepEqual(violationsOf(text), []);
    assert.deepEqual(compileYaml(text).snapshot.listeners.get(8080)?.hosts, []);
  });

  test('two operations that match the same requests are in conflict unless the same policies apply', () => {
    const text =
      api('old', 'operations: [{name: x, path: "/d/{a}", methods: [GET]}]', '2026-01-01') +
      api('new', 'operations: [{name: x, path: "/D/{b}/", methods: [GET, PUT]}, {name: y, path: /y}]', '2026-02-01');
    assert.deepEqual(violationsOf(text), []);
    const { snapshot } = compileYaml(text + policy('p', 'targetRefs: [{kind: Api, name: new}]'));
    assert.deepEqual(listViolations(snapshot), [
      'Api shop/new spec.operations[0].path: matches the same requests as Api shop/old, to which other policies apply, give one of them another host, path or method',
    ]);
    assert.equal(routeOf(snapshot, 'GET', '/d/1').api.name, 'old');
    const lost = match(snapshot, 'GET', '/y');
    assert.ok(lost.kind === 'refused' && lost.reason === 'PolicyInvalid');
  });

  test('in files both conflicts are errors', () => {
    const text = api('old', 'hosts: [a.example]', '2026-01-01') + api('new', 'limits: {headers: 50}', '2026-02-01');
    assert.deepEqual(
      compileYaml(text, { source: 'files' }).snapshot.violations.map(({ severity }) => severity),
      ['error'],
    );
  });
});

describe('warnings and notices', () => {
  test('a child that tries to leave a sealed parent out is told', () => {
    const text =
      API +
      policy('base', '', 'ClusterAuthPolicy') +
      policy('p', 'targetRefs: [{kind: Api, name: fleet}]\n  inherit: None');
    assert.deepEqual(violationsOf(text), [
      'AuthPolicy shop/p spec.inherit: None does not leave out ClusterAuthPolicy base, which is sealed: its steps still run, remove inherit: None, or set sealed: false on the broader policy',
    ]);
  });

  test('everything that is allowed and should be seen is in the notices', () => {
    const text =
      SUPPORT.replace('format: RFC9440', 'format: RFC9440, acceptAddressTrust: true') +
      API +
      authPolicy(
        'p',
        'mode: Audit\nrequest: [{name: who, anyOf: [{jwt: {issuers: [corp], audiences: [Any]}}, {clientCertificate: {trust: devices}}, {anonymous: {}}]}]',
      );
    assert.deepEqual(compileYaml(text).snapshot.notices, [
      'AuthPolicy shop/p is in Audit mode: it denies nothing',
      'AuthPolicy shop/p, step who: requests without credentials pass',
      'AuthPolicy shop/p, step who: tokens for any audience pass',
      'ClientTrust shop/devices: certificates forwarded in Client-Cert count from peers known by their address alone',
      'ClientTrust shop/devices: revocation is not checked',
    ]);
  });
});

describe('what a snapshot holds', () => {
  test('only what the policies and Apis of this workload name', () => {
    const text = API + SUPPORT + SUPPORT.replaceAll('metadata: {name: ', 'metadata: {namespace: other, name: ');
    assert.equal(compileYaml(text).snapshot.issuers.size, 0);
    const { snapshot } = compileYaml(text + authPolicy('p', `request: [{name: who, ${JWT}}]`));
    assert.deepEqual([...snapshot.issuers.keys()], ['shop/corp']);
    assert.equal(snapshot.trusts.size + snapshot.credentials.size + snapshot.deviceServices.size, 0);
  });

  test('two operations of one Api that match the same requests are an error', () => {
    const twice = API.replace(
      ']\n---',
      ', {name: c, path: "/B/{other}/", methods: [GET]}, {name: d, path: "/b/{x}"}]\n---',
    );
    assert.deepEqual(violationsOf(twice), [
      'Api shop/fleet spec.operations[3].path: matches the same requests as the operation "b", merge the two, or give one another path or method',
    ]);
  });
});

describe('sharing and order', () => {
  test('10,000 operations with the same policies share one pipeline', () => {
    const operations = Array.from({ length: 10_000 }, (_, i) => `{name: o${i}, path: /o${i}}`).join(', ');
    const text = API.replace(/operations: .*/, `operations: [${operations}]`) + policy('p');
    const { snapshot } = compileYaml(text);
    assert.equal(routeOf(snapshot, 'GET', '/o1').pipeline, routeOf(snapshot, 'GET', '/o9999').pipeline);
  });

  test('Apis share the compiled steps of their common policies', () => {
    const other = API.replace('name: fleet', 'name: other').replace('port: 8080', 'port: 8081');
    const { snapshot } = compileYaml(API + other + policy('p'));
    const found = match(snapshot, 'GET', '/a', 'h', 8081);
    assert.ok(found.kind === 'matched');
    assert.equal(found.route.pipeline.steps[0], routeOf(snapshot, 'GET', '/a').pipeline.steps[0]);
  });

  test('the order of the input does not change the result', () => {
    const text =
      SUPPORT +
      API +
      API.replace('name: fleet', 'name: rival') +
      authPolicy('a', `request: [{name: s, ${JWT}}]\nerrors: {format: Text}`) +
      authPolicy('b', 'errors: {format: Empty}') +
      policy('c') +
      policy('d', 'inherit: After') +
      policy('base', 'sealed: false', 'ClusterAuthPolicy') +
      authPolicy('bad', 'request: [{name: s, authorize: {allow: [{expression: "x"}]}}]');
    const parsed = parseYaml(text);
    const summarize = (objects: typeof parsed.objects): unknown => {
      const { snapshot, idle } = compileParsed({ ...parsed, objects });
      const routes = ['/a', '/b/1']
        .map(path => match(snapshot, 'GET', path))
        .map(found =>
          found.kind === 'matched'
            ? [found.route.api.name, describeEffective(found.route), found.route.pipeline.errors.format]
            : found.reason,
        );
      return {
        routes,
        violations: listViolations(snapshot),
        notices: snapshot.notices,
        reserved: [...snapshot.reservedHeaders],
        idle,
      };
    };
    const expected = summarize(parsed.objects);
    fc.assert(
      fc.property(fc.shuffledSubarray([...parsed.objects], { minLength: parsed.objects.length }), objects => {
        assert.deepEqual(summarize(objects), expected);
      }),
      { numRuns: 50 },
    );
  });
});
