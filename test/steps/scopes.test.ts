/** The five scopes with every kind of step: rules S1–S8, by manifests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { renderDenial } from '../../src/decision/challenge.ts';
import { describeEffective, summarizeRoutes } from '../../src/policy/effective.ts';
import { listViolations, parseYaml, compileParsed } from '../../src/policy/testing/compile-yaml.ts';
import { compile, judgeText, policyAt, SCOPES, sentOf, tell, type Scope } from './step-table.ts';

const OPEN = policyAt('Namespace', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'open');
/** A policy with one step of its own name. */
const mark = (scope: Scope, name: string, more = ''): string =>
  policyAt(scope, `${more}request: [{name: ${name}, authorize: {allow: [{expression: "true"}]}}]`, 'Enforce', name);
const after = 'inherit: After\n';
const none = 'inherit: None\n';
const unsealed = 'sealed: false\n';

async function orderOf(...texts: readonly string[]): Promise<string> {
  const { verdict, trace } = await judgeText(OPEN + texts.join(''));
  assert.equal(tell(verdict), 'Permit');
  return trace.flatMap(({ step }) => (step === 'open' ? [] : [step])).join(' ');
}

describe('S1, S2: which steps run, and in which order', () => {
  const ALL = SCOPES.map(scope => mark(scope, scope.toLowerCase()));
  const ROWS: Readonly<Record<string, readonly [texts: readonly string[], order: string]>> = {
    'broad to narrow': [ALL.toReversed(), 'cluster namespace product api operation'],
    'within a scope by name, bytewise': [
      [mark('Api', 'b'), mark('Api', 'a'), mark('Api', 'a-b'), mark('Api', 'ab')],
      'a a-b ab b',
    ],
    'After goes before unsealed broader steps': [
      [mark('Cluster', 'c', unsealed), mark('Product', 'p', unsealed), mark('Api', 'a', after)],
      'a c p',
    ],
    'After cannot go before sealed ones': [
      [mark('Cluster', 'c'), mark('Product', 'p', unsealed), mark('Api', 'a', after)],
      'c a p',
    ],
    'None leaves unsealed ones out, and never sealed ones': [
      [mark('Cluster', 'c'), mark('Product', 'p', unsealed), mark('Api', 'a', none)],
      'c a',
    ],
    'After and Before of one scope stand on both sides': [
      [mark('Product', 'p', unsealed), mark('Api', 'x', after), mark('Api', 'a')],
      'x p a',
    ],
    'None of one policy leaves out for its whole scope': [
      [mark('Product', 'p', unsealed), mark('Api', 'a', none), mark('Api', 'b')],
      'a b',
    ],
    'what a middle scope left out stays out below': [
      [mark('Cluster', 'c', unsealed), mark('Product', 'p', none), mark('Operation', 'o', after)],
      'p o',
    ],
    'a sealed one that a middle scope put last is first again below': [
      [mark('Cluster', 'c', unsealed), mark('Product', 'p', after), mark('Operation', 'o', after)],
      'p o c',
    ],
  };
  for (const [name, [texts, order]] of Object.entries(ROWS)) {
    test(name, async () => assert.equal(await orderOf(...texts), order));
  }

  test('S1: a policy with targets at two scopes takes part once, at the broader', async () => {
    const both = mark('Api', 'twice').replace(
      'targetRefs: [{kind: Api, name: fleet}]',
      'targetRefs: [{kind: Api, name: fleet}, {kind: Api, name: fleet, sectionName: device}]\n  targetSelectors: [{kind: Api, matchLabels: {product: gold}}]',
    );
    assert.equal(await orderOf(both, mark('Api', 'api')), 'twice api');
  });
});

describe('S3, S4: the last word', () => {
  test('a header that a sealed step in a branch sets cannot be written below, in a branch either', async () => {
    const set = (value: string) =>
      `request: [{name: c-${value}, choose: {when: [{condition: "true", steps: [{name: ${value}, setHeaders: [{name: X-Zone, value: ${value}}]}]}]}}]`;
    const { verdict } = await judgeText(
      OPEN + policyAt('Cluster', set('broad'), 'Enforce', 'c') + policyAt('Api', set('narrow'), 'Enforce', 'n'),
    );
    assert.deepEqual(sentOf(verdict), { 'x-zone': ['broad'] });
    const { violations } = compile(
      OPEN + policyAt('Cluster', set('broad'), 'Enforce', 'c') + policyAt('Api', set('narrow'), 'Enforce', 'n'),
    );
    assert.deepEqual(
      violations.map(({ object, field, concern }) => [object, field, concern]),
      [['AuthPolicy shop/n', 'spec.request[0].choose.when[0].steps[0]', 'Override']],
    );
  });
});

describe('S5: errors, field by field', () => {
  const DENY = policyAt('Operation', 'request: [{name: d, requireHeader: {name: X-None}}]', 'Enforce', 'deny');
  const errors = (scope: Scope, text: string, name = `e-${scope.toLowerCase()}`, mode = 'Enforce') =>
    policyAt(scope, `errors: ${text}`, mode, name);
  const told = async (...texts: readonly string[]) => {
    const { verdict } = await judgeText([OPEN, DENY, ...texts].join(''));
    if ('edits' in verdict) assert.fail('permitted');
    const { status, headers, body } = renderDenial(verdict, { requestId: 'id', realm: 'fleet' });
    return { status, headers: headers.map(([name, value]) => `${name}: ${value}`), body };
  };

  test('formats: a problem document, a line of text, nothing', async () => {
    const problem = await told();
    assert.deepEqual(JSON.parse(problem.body), {
      type: 'https://sallyport.dev/problems/HeaderNotFound',
      title: 'Header not found',
      status: 403,
      reason: 'HeaderNotFound',
      requestId: 'id',
    });
    assert.equal(
      (await told(errors('Api', '{format: Text, includePolicy: true}'))).body,
      'Header not found\nreason: HeaderNotFound\nstep: deny/d\nrequest: id\n',
    );
    const empty = await told(errors('Api', '{format: Empty}'));
    assert.deepEqual([empty.body, empty.headers.some(line => /^content-type/i.test(line))], ['', false]);
  });

  test('includeReason: false says title, status and id only; includePolicy adds policy and step', async () => {
    assert.deepEqual(JSON.parse((await told(errors('Api', '{includeReason: false, includePolicy: true}'))).body), {
      type: 'about:blank',
      title: 'Forbidden',
      status: 403,
      requestId: 'id',
    });
    const { policy, step } = JSON.parse((await told(errors('Api', '{includePolicy: true}'))).body) as Record<
      string,
      string
    >;
    assert.deepEqual([policy, step], ['shop/deny', 'deny/d']);
  });

  test('the narrowest scope that sets a field wins, each field by itself, whoever denied', async () => {
    const texts = [
      errors(
        'Cluster',
        '{format: Text, headers: {X-Who: cluster}, overrides: [{reasons: [HeaderNotFound], status: 410}]}',
      ),
      errors('Product', '{headers: {X-Who: product}}'),
      errors('Operation', '{overrides: [{reasons: [HeaderNotFound], status: 451, message: "not here"}]}'),
    ];
    const { status, headers, body } = await told(...texts);
    assert.deepEqual(
      [status, headers.filter(line => line.startsWith('X-Who')), body],
      [451, ['X-Who: product'], 'Header not found\nnot here\nreason: HeaderNotFound\nrequest: id\n'],
    );
  });

  test('overrides: the first that names the reason; another reason keeps its own status', async () => {
    const overrides =
      '{overrides: [{reasons: [TokenExpired], status: 499}, {reasons: [HeaderNotFound, TokenExpired], status: 404, message: "nothing here"}, {reasons: [HeaderNotFound], status: 418}]}';
    const { status, body } = await told(errors('Api', overrides));
    assert.deepEqual([status, (JSON.parse(body) as Record<string, unknown>)['detail']], [404, 'nothing here']);
    assert.equal((await told(errors('Api', '{overrides: [{reasons: [TokenExpired], status: 499}]}'))).status, 403);
  });

  test('a 401 that an override makes carries a challenge, and one that is none any more carries none', async () => {
    const made = await told(errors('Api', '{overrides: [{reasons: [HeaderNotFound], status: 401}]}'));
    assert.ok(made.headers.includes('WWW-Authenticate: Bearer realm="fleet"'), made.headers.join());
  });

  test('an Audit policy’s errors have no effect (S8), and headers that frame or are ours cannot be forged', async () => {
    const { headers } = await told(
      errors('Api', '{format: Empty, headers: {X-A: "1"}}', 'audit', 'Audit'),
      errors('Namespace', '{headers: {WWW-Authenticate: Basic, Retry-After: "1", X-B: "2"}}'),
    );
    assert.deepEqual(
      headers.filter(line => !/^(Content-Type|Cache-Control|X-Request-Id)/.test(line)),
      ['X-B: 2'],
    );
  });
});

describe('S6: nothing is skipped', () => {
  const missing = (): undefined => undefined;

  test('a Secret that only a branch reads is missed only there', async () => {
    const policy = `variables: {gone: {secretKeyRef: {name: a, key: gone}}}
request:
- name: c
  choose:
    when: [{condition: "request.method == 'POST'", steps: [{name: s, setHeaders: [{name: x-a, value: "\${vars.gone}"}]}]}]
    otherwise: [{name: t, setHeaders: [{name: x-a, value: other}]}]`;
    const told = async (method: string) =>
      tell((await judgeText(OPEN + policyAt('Api', policy), { method }, {}, { lookup: missing })).verdict);
    assert.equal(await told('POST'), '503 PolicyInvalid p/s');
    assert.equal(await told('GET'), 'Permit');
  });

  test('a choose whose condition reads a missing Secret is 503, and no branch of it runs', async () => {
    const policy = `variables: {gone: {secretKeyRef: {name: a, key: gone}}}
request:
- name: c
  choose: {when: [{condition: "vars.gone == 'a'", steps: [{name: s, respond: {status: 200}}]}], otherwise: [{name: t, respond: {status: 200}}]}`;
    const { verdict, trace } = await judgeText(OPEN + policyAt('Api', policy), {}, {}, { lookup: missing });
    assert.equal(tell(verdict), '503 PolicyInvalid p/c');
    assert.deepEqual(
      trace.slice(-2).map(entry => entry.verdict),
      ['not run', 'not run'],
    );
  });

  test('a value that an earlier step sets is not missed', async () => {
    const policy = `variables: {gone: {secretKeyRef: {name: a, key: gone}}}
request:
- {name: v, setVariables: {gone: set}}
- {name: s, setHeaders: [{name: x-a, value: "\${vars.gone}"}]}`;
    assert.equal(
      tell((await judgeText(OPEN + policyAt('Api', policy), {}, {}, { lookup: missing })).verdict),
      'Permit',
    );
  });

  test('a policy that became invalid keeps its last good steps, branches and variables', async () => {
    const good = policyAt(
      'Api',
      'request: [{name: v, setVariables: {t: good}}, {name: c, choose: {when: [{condition: "vars.t == \'good\'", steps: [{name: s, respond: {status: 210}}]}]}}]',
    );
    const bad = policyAt(
      'Api',
      'request: [{name: c, choose: {when: [{condition: "vars.t ==", steps: [{name: s, respond: {status: 599}}]}]}}]',
    );
    const api =
      'kind: Api\nmetadata: {name: fleet, labels: {product: gold}}\nspec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}\n---\n';
    const first = compileParsed(parseYaml(api + good));
    const second = compileParsed(parseYaml(api + bad), { remembered: first.remembered });
    assert.deepEqual(second.kept, ['AuthPolicy shop/p']);
    const match = second.snapshot.listeners.get(8080)?.match('GET', 'x', '/');
    assert.deepEqual(match?.kind === 'matched' ? match.route.pipeline.steps.map(({ type }) => type) : [], [
      'setVariables',
      'choose',
      'respond',
    ]);
    assert.match(listViolations(second.snapshot).join(), /choose\.when\[0\]\.condition/);
    // Without a last good generation every request it would apply to is 503.
    await assert.rejects(judgeText(OPEN + bad), /choose/);
    const alone = compileParsed(parseYaml(api + bad))
      .snapshot.listeners.get(8080)
      ?.match('GET', 'x', '/');
    assert.deepEqual(alone?.kind === 'matched' ? alone.route.pipeline.steps.map(({ type }) => type) : [], ['invalid']);
  });

  test('a target that names a missing operation widens, and its steps must pass without counting as authentication', async () => {
    const widened = policyAt('Operation', 'request: [{name: s, anyOf: [{anonymous: {}}]}]').replace(
      'sectionName: device',
      'sectionName: devcie',
    );
    assert.equal(tell((await judgeText(widened)).verdict), '403 NoPolicyMatches');
    assert.equal(tell((await judgeText(OPEN + widened)).verdict), 'Permit');
  });
});

describe('S8: Audit', () => {
  const audit = (request: string) =>
    policyAt(
      'Api',
      `request: [${request}]\nresponse: [{name: r, setHeaders: [{name: X-A, value: "1"}]}]\nbackend: {credential: mesh}`,
      'Audit',
      'audit',
    );
  const mesh = 'kind: BackendCredential\nmetadata: {name: mesh}\nspec: {meshCertificate: {managed: {}}}\n---\n';

  test('the first would-deny ends that policy’s steps; respond, headers, response steps and backend have no effect', async () => {
    const { verdict } = await judgeText(
      OPEN +
        mesh +
        audit(
          '{name: h, setHeaders: [{name: x-a, value: "1"}]}, {name: r1, requireHeader: {name: X-None}}, {name: r2, authorize: {deny: [{expression: "true"}]}}',
        ),
    );
    assert.equal(tell(verdict), 'Permit');
    assert.deepEqual(
      verdict.auditDenials.map(({ label, reason }) => `${label} ${reason}`),
      ['audit/r1 HeaderNotFound'],
    );
    if (!('edits' in verdict)) assert.fail();
    assert.deepEqual(sentOf(verdict), {});
    assert.equal(verdict.route.pipeline.response.steps.length, 0);
    assert.equal(verdict.route.pipeline.certificateCredential, undefined);
  });

  test('a respond in an Audit policy ends its steps and is no denial', async () => {
    const { verdict } = await judgeText(
      OPEN + mesh + audit('{name: a, respond: {status: 410}}, {name: b, requireHeader: {name: X-None}}'),
    );
    assert.deepEqual([tell(verdict), verdict.auditDenials], ['Permit', []]);
  });

  test('a choose in an Audit policy is evaluated, and what it would deny is counted', async () => {
    const { verdict } = await judgeText(
      OPEN +
        mesh +
        audit('{name: c, choose: {when: [{condition: "true", steps: [{name: s, requireHeader: {name: X-None}}]}]}}'),
    );
    assert.deepEqual(
      verdict.auditDenials.map(({ label }) => label),
      ['audit/s'],
    );
  });

  test('alone it lets pass as AuditPermit, also when its authentication stands in a branch', async () => {
    const alone = policyAt(
      'Api',
      'request: [{name: c, choose: {when: [{condition: "true", steps: [{name: t, jwt: {issuers: [corp], audiences: [a]}}]}]}}]',
      'Audit',
    );
    const { verdict } = await judgeText(alone);
    assert.deepEqual(
      [tell(verdict), verdict.auditDenials.map(({ reason }) => reason)],
      ['AuditPermit', ['TokenNotPresent']],
    );
  });
});

describe('the effective pipeline', () => {
  const texts = [
    policyAt(
      'Cluster',
      'request: [{name: limit, rateLimit: {calls: 10, period: 1s}}]\nresponse: [{name: hide, hideBackend: {}}]',
      'Enforce',
      'baseline',
    ),
    policyAt('Product', 'sealed: false\nrequest: [{name: env, requireHeader: {name: X-Env}}]', 'Audit', 'gold'),
    policyAt(
      'Api',
      'request: [{name: open, anyOf: [{anonymous: {}}]}, {name: tier, choose: {when: [{condition: "true", steps: [{name: a, setHeaders: [{name: x-a, value: a}]}]}], otherwise: [{name: b, respond: {status: 410}}]}}]',
      'Enforce',
      'fleet',
    ),
  ].join('');
  const routeOf = (text: string) => {
    const [route] = compile(text).listeners.get(8080)?.routes ?? [];
    assert.ok(route !== undefined);
    return route;
  };

  test('names every step with its scope, its policy and its branch', () => {
    assert.deepEqual(
      describeEffective(routeOf(texts)).map(({ part, scope, policy, step, type, branch = '', audit }) =>
        `${part} ${scope} ${policy}/${step} ${type} ${branch}${audit ? 'audit' : ''}`.trim(),
      ),
      [
        'request Cluster ClusterAuthPolicy baseline/limit rateLimit',
        'request Product AuthPolicy shop/gold/env requireHeader audit',
        'request Api AuthPolicy shop/fleet/open anyOf',
        'request Api AuthPolicy shop/fleet/tier choose',
        'request Api AuthPolicy shop/fleet/a setHeaders tier when[0]',
        'request Api AuthPolicy shop/fleet/b respond tier otherwise',
        'response Cluster ClusterAuthPolicy baseline/hide hideBackend',
      ],
    );
  });

  test('fits one line for kubectl', () => {
    assert.equal(
      summarizeRoutes([routeOf(texts)]),
      'Cluster baseline: limit; Product gold (audit) (unsealed): env; Api fleet: open, tier, (a), (b) | answers: Cluster baseline: hide',
    );
    assert.equal(summarizeRoutes([routeOf('')]), 'no steps (nobody is let in: NoPolicyMatches)');
    const many = policyAt(
      'Api',
      `request: [${Array.from({ length: 60 }, (_, i) => `{name: a-rather-long-name-of-a-step-${i}, requireHeader: {name: X-A}}`).join(', ')}]`,
    );
    assert.equal(summarizeRoutes([routeOf(many)]).length, 1024);
  });
});
