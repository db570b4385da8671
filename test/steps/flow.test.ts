/** choose, setVariables, respond: rules P5, E1, E7, E8, S7. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { token, verifiedCertificate } from '../../src/decision/testing/fakes.ts';
import { judgeText, linesOf, policyAt, sentOf, tell, testRows, type Row } from './step-table.ts';

const GOLD = { headers: [['X-Tier', 'gold']] } as const;
const SILVER = { headers: [['X-Tier', 'silver']] } as const;
const BEARER = { headers: [['Authorization', 'Bearer good']] } as const;
const isTier = (tier: string): string => `"request.headers['x-tier'] == '${tier}'"`;

/** Two branches that refuse with different reasons, so that the answer tells which one ran. */
const branches = (otherwise = ''): string => `
request:
- name: c
  choose:
    when:
    - condition: ${isTier('gold')}
      steps: [{name: gold, requireHeader: {name: X-Gold}}]
    - condition: ${isTier('silver')}
      steps: [{name: silver, authorize: {deny: [{expression: "true"}]}}, {name: never, respond: {status: 599}}]
${otherwise}`;

describe('choose', () => {
  testRows({
    'the first branch that is true runs': { policy: branches(), request: GOLD, answer: '403 HeaderNotFound p/gold' },
    'the second runs if the first is false': {
      policy: branches(),
      request: SILVER,
      answer: '403 AuthorizationDenied p/silver',
    },
    'only one runs, though two are true': {
      policy: `request: [{name: c, choose: {when: [
        {condition: "true", steps: [{name: one, setHeaders: [{name: x-a, value: one}]}]},
        {condition: "true", steps: [{name: two, setHeaders: [{name: x-b, value: two}]}]}]}}]`,
      answer: 'Permit',
      sent: { 'x-a': ['one'] },
    },
    'a condition that is not reached does not fail': {
      policy: `request: [{name: c, choose: {when: [
        {condition: "true", steps: [{name: one, setHeaders: [{name: x-a, value: one}]}]},
        {condition: "request.headers['x-none'] == 'a'", steps: [{name: two, respond: {status: 599}}]}]}}]`,
      answer: 'Permit',
      sent: { 'x-a': ['one'] },
    },
    'otherwise runs when none is true': {
      policy: branches('    otherwise: [{name: rest, respond: {status: 410, body: gone}}]'),
      request: { headers: [['X-Tier', 'lead']] },
      answer: 'Respond 410 p/rest',
    },
    'nothing happens when none is true and there is no otherwise': {
      policy: branches(),
      request: { headers: [['X-Tier', 'lead']] },
      answer: 'Permit',
    },
    'a condition that fails is 403 ExpressionFailed (E8)': {
      policy: branches(),
      answer: '403 ExpressionFailed p/c',
    },
    'a choose whose when is false runs no branch, not even otherwise': {
      policy: `request: [{name: c, when: "false", choose: {when: [
        {condition: "true", steps: [{name: a, respond: {status: 599}}]}], otherwise: [{name: b, respond: {status: 598}}]}}]`,
      answer: 'Permit',
    },
    'a step within a branch has its own when': {
      policy: `request: [{name: c, choose: {when: [{condition: "true", steps: [
        {name: a, when: "false", respond: {status: 599}}, {name: b, requireHeader: {name: X-B}}]}]}}]`,
      answer: '403 HeaderNotFound p/b',
    },
    'steps after it run, whichever branch was taken': {
      policy: `request:
- {name: c, choose: {when: [{condition: "true", steps: [{name: a, setHeaders: [{name: x-a, value: "1"}]}]}]}}
- {name: s, requireHeader: {name: X-After}}`,
      answer: '403 HeaderNotFound p/s',
    },
    'later expressions see whether a step within it ran (E4)': {
      policy: `request:
- {name: c, choose: {when: [{condition: "false", steps: [{name: a, setHeaders: [{name: x-a, value: "1"}]}]}],
    otherwise: [{name: b, setHeaders: [{name: x-b, value: "1"}]}]}}
- {name: s, authorize: {allow: [{expression: "!steps.a.ran && steps.b.ran && steps.c.ran"}]}}`,
      answer: 'Permit',
      sent: { 'x-b': ['1'] },
    },
  } satisfies Readonly<Record<string, Row>>);

  const AUTHENTICATING = `
request:
- name: c
  choose:
    when:
    - condition: "'authorization' in request.headers || request.method == 'POST'"
      steps: [{name: token, jwt: {issuers: [corp], audiences: ["api://fleet"]}}]
`;

  test('S7: a forgotten otherwise ends in NoPolicyMatches, since nothing has authenticated', async () => {
    const alone = (method: string, evidence = {}) =>
      judgeText(policyAt('Api', AUTHENTICATING), { ...BEARER, method }, evidence);
    assert.equal(tell((await alone('POST', { token: () => token() })).verdict), 'Permit');
    assert.equal(tell((await alone('GET', { token: () => token() })).verdict), '403 NoPolicyMatches');
  });

  test('what a step within a branch binds is bound (E5), and its header is hidden and removed like any other', async () => {
    const policy = `
request:
- {name: c, choose: {when: [{condition: "true", steps: [{name: token, jwt: {issuers: [corp], audiences: ["api://fleet"], claimHeaders: {x-sub: sub}}}]}]}}
- {name: s, setHeaders: [{name: x-who, value: "\${jwt.subject} \${steps.token.jwt.subject} \${has(request.headers.authorization)}"}]}`;
    const { verdict } = await judgeText(policyAt('Api', policy), BEARER, { token: () => token() });
    assert.equal(tell(verdict), 'Permit');
    assert.deepEqual(sentOf(verdict), { authorization: [], 'x-sub': ['alice'], 'x-who': ['alice alice false'] });
  });

  test('the trace says which branch was taken and what did not run', async () => {
    const { trace } = await judgeText(
      policyAt('Api', branches('    otherwise: [{name: rest, requireHeader: {name: A}}]')),
      SILVER,
    );
    assert.deepEqual(
      trace.map(({ step, verdict, detail }) => `${step} ${verdict}${detail === undefined ? '' : `: ${detail}`}`),
      [
        'c passed: when[1] is true',
        'gold skipped: its branch was not chosen',
        'silver denied: deny rule deny-0',
        'never not run',
        'rest not run',
      ],
    );
  });

  test('after respond (P5) a sealed choose still runs its steps that can deny, and they must pass', async () => {
    const responding = policyAt(
      'Api',
      'request: [{name: r, respond: {status: 200, body: hi}}, {name: c, choose: {when: [{condition: "true", steps: [{name: s, requireHeader: {name: X-Env}}, {name: t, setHeaders: [{name: x-a, value: "1"}]}]}]}}]',
    );
    assert.equal(tell((await judgeText(responding)).verdict), '403 HeaderNotFound p/s');
    assert.equal(tell((await judgeText(responding, { headers: [['X-Env', 'a']] })).verdict), 'Respond 200 p/r');
  });

  test('a certificate that only a branch asks for is judged there', async () => {
    const policy =
      'request: [{name: c, choose: {when: [{condition: "true", steps: [{name: d, clientCertificate: {trust: devices}}]}]}}]';
    const { verdict } = await judgeText(policyAt('Api', policy), {}, { certificate: () => verifiedCertificate() });
    assert.equal(tell(verdict), 'Permit');
    assert.equal(verdict.principal?.kind, 'ClientCertificate');
  });
});

const vars = (set: string, read: string): string => `
variables: {name: {value: static}, other: {value: other}}
request:
- {name: v, setVariables: {${set}}}
- {name: h, setHeaders: [{name: x-out, value: "${read}"}]}`;

describe('setVariables', () => {
  testRows({
    'later expressions read what was set': {
      policy: vars('tier: "${request.method.lowerAscii()}-${params.deviceId}"', '${vars.tier}'),
      answer: 'Permit',
      sent: { 'x-out': ['post-robot-7'] },
    },
    'the policy’s own name is replaced, others stay': {
      policy: vars('name: "set"', '${vars.name} ${vars.other}'),
      answer: 'Permit',
      sent: { 'x-out': ['set other'] },
    },
    'an int and a bool become text': {
      policy: vars('a: "${request.size}", b: "${1 == 1}"', '${vars.a} ${vars.b} ${size(vars.a)}'),
      answer: 'Permit',
      sent: { 'x-out': ['0 true 1'] },
    },
    'a later step sets it anew, from itself': {
      policy: `request:
- {name: a, setVariables: {t: "1"}}
- {name: b, setVariables: {t: "\${vars.t}2"}}
- {name: h, setHeaders: [{name: x-out, value: "\${vars.t}"}]}`,
      answer: 'Permit',
      sent: { 'x-out': ['12'] },
    },
    'all are worked out before one is set': {
      policy: `variables: {t: {value: "0"}}
request:
- {name: a, setVariables: {t: "1", u: "\${vars.t}"}}
- {name: h, setHeaders: [{name: x-out, value: "\${vars.t}\${vars.u}"}]}`,
      answer: 'Permit',
      sent: { 'x-out': ['10'] },
    },
    'a value that cannot be worked out is 403 ExpressionFailed': {
      policy: 'request: [{name: s, setVariables: {t: "${request.headers[\'x-none\']}"}}]',
      answer: '403 ExpressionFailed p/s',
    },
    'a value with a control character is 403 ExpressionFailed': {
      policy: 'request: [{name: s, setVariables: {t: "${request.query.q[0]}"}}]',
      request: { query: 'q=a%0d%0aX-Admin:%201' },
      answer: '403 ExpressionFailed p/s',
    },
    'a value that grows without end is 403 ExpressionFailed': {
      policy: `request:
- {name: a, setVariables: {t: "${'x'.repeat(4000)}"}}
- {name: b, setVariables: {t: "${'${vars.t}'.repeat(16)}"}}
- {name: s, setVariables: {t: "${'${vars.t}'.repeat(16)}"}}`,
      answer: '403 ExpressionFailed p/s',
    },
    'what a skipped step would have set is absent': {
      policy: `request:
- {name: a, when: "false", setVariables: {t: "1"}}
- {name: s, authorize: {allow: [{expression: "!has(vars.t)"}]}}`,
      answer: 'Permit',
    },
    'names of Object.prototype are names like any other': {
      policy: `request:
- {name: a, setVariables: {constructor: "1", __proto__: "2"}}
- {name: h, setHeaders: [{name: x-out, value: "\${vars.constructor}"}]}`,
      answer: 'Permit',
      sent: { 'x-out': ['1'] },
    },
  });

  const broad = (name: string, value: string, scope: Parameters<typeof policyAt>[0]) =>
    policyAt(
      scope,
      `request: [{name: set, setVariables: {${name}: "${value}"}}]`,
      'Enforce',
      `at-${scope.toLowerCase()}`,
    );
  const OPEN = policyAt('Namespace', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'a-open');
  const reading = policyAt('Operation', 'request: [{name: h, setHeaders: [{name: x-out, value: "${vars.t}"}]}]');

  test('E7: narrower policies read the nearest broader one’s, never a narrower one’s nor one’s of their scope', async () => {
    const out = async (...texts: readonly string[]) =>
      sentOf((await judgeText([OPEN, ...texts].join(''))).verdict)['x-out'];
    assert.deepEqual(await out(broad('t', 'cluster', 'Cluster'), reading), ['cluster']);
    assert.deepEqual(await out(broad('t', 'cluster', 'Cluster'), broad('t', 'api', 'Api'), reading), ['api']);
    const written = policyAt('Product', 'variables: {t: {value: written}}', 'Enforce', 'written');
    assert.deepEqual(
      await out(broad('t', 'cluster', 'Cluster'), written, reading),
      ['written'],
      'written nearer wins over set farther',
    );
    const own = policyAt(
      'Operation',
      'variables: {t: {value: own}}\nrequest: [{name: h, setHeaders: [{name: x-out, value: "${vars.t}"}]}]',
    );
    assert.deepEqual(await out(broad('t', 'api', 'Api'), own), ['own']);
    // A narrower policy cannot redefine what a broader one reads.
    const readsLate = policyAt(
      'Cluster',
      'variables: {t: {value: safe}}\nrequest: [{name: h, setHeaders: [{name: x-out, value: "${vars.t}"}]}]',
    );
    assert.deepEqual(await out(readsLate, broad('t', 'narrow', 'Operation')), ['safe']);
  });

  test('S8: what an Audit policy sets is seen by itself only', async () => {
    const audit = policyAt(
      'Cluster',
      'request: [{name: set, setVariables: {t: audit}}, {name: see, authorize: {deny: [{expression: "vars.t == \'audit\'"}]}}]',
      'Audit',
      'audit',
    );
    const written = policyAt('Namespace', 'variables: {t: {value: written}}', 'Enforce', 'written');
    const { verdict } = await judgeText(OPEN + audit + written + reading);
    assert.deepEqual(sentOf(verdict)['x-out'], ['written']);
    assert.deepEqual(
      verdict.auditDenials.map(({ label }) => label),
      ['audit/see'],
    );
  });

  test('the response part and counters read them too, and equal tokens do not share what differs (regression)', async () => {
    const policy = `
request:
- {name: token, jwt: {issuers: [corp], audiences: ["api://fleet"]}}
- {name: v, setVariables: {m: "\${request.method}"}}
- {name: h, setHeaders: [{name: x-out, value: "\${vars.m}"}]}`;
    const same = token();
    for (const method of ['GET', 'PUT', 'GET']) {
      const { verdict } = await judgeText(policyAt('Api', policy), { ...BEARER, method }, { token: () => same });
      assert.deepEqual(sentOf(verdict)['x-out'], [method]);
    }
  });
});

const responding = (respond: string): string => `request: [{name: s, respond: {${respond}}}]`;

describe('respond (P5)', () => {
  testRows({
    'answers with status, headers, type and body': {
      policy: responding(
        'status: 410, headers: {X-B: "2", X-A: "${request.method}"}, body: "gone: ${params.deviceId}"',
      ),
      answer: 'Respond 410 p/s',
      lines: ['X-A: POST', 'X-B: 2', 'Content-Type: text/plain'],
    },
    'an own Content-Type header wins': {
      policy: responding('status: 200, headers: {Content-Type: text/html}, body: "<p>hi</p>"'),
      answer: 'Respond 200 p/s',
      lines: ['Content-Type: text/html'],
    },
    'without a body there is no type': { policy: responding('status: 204'), answer: 'Respond 204 p/s', lines: [] },
    'a text that cannot be rendered is 403 ExpressionFailed': {
      policy: responding('status: 200, body: "${request.headers[\'x-none\']}"'),
      answer: '403 ExpressionFailed p/s',
    },
    'a header that may not be sent is 403 ExpressionFailed': {
      policy: responding('status: 200, headers: {X-A: "${request.query.q[0]}"}'),
      request: { query: 'q=%C3%A9' },
      answer: '403 ExpressionFailed p/s',
    },
    'a value cannot end the JSON text that it stands in': {
      policy: responding('status: 200, contentType: application/json, body: \'{"id": "${request.query.q[0]}"}\''),
      request: { query: 'q=%22,%22admin%22:%22' },
      answer: 'Respond 200 p/s',
    },
  });

  test('a value cannot end the JSON string, element or form field that it stands in', async () => {
    const body = async (contentType: string, text: string) => {
      const policy = responding(`status: 200, contentType: "${contentType}", body: '${text}'`);
      const { verdict } = await judgeText(policyAt('Api', policy), { query: 'q=%22%3Cb%3E%26a' });
      return verdict.verdict === 'Respond' ? verdict.body : tell(verdict);
    };
    assert.equal(await body('application/json', '{"id": "${request.query.q[0]}"}'), '{"id": "\\"<b>&a"}');
    assert.equal(
      await body('text/html; charset=utf-8', '<i>${request.query.q[0]}</i>'),
      '<i>&quot;&lt;b&gt;&amp;a</i>',
    );
    assert.equal(await body('application/x-www-form-urlencoded', 'a=${request.query.q[0]}'), 'a=%22%3Cb%3E%26a');
  });

  test('the remaining sealed steps of broader and the same scope that can deny still run, transformations do not', async () => {
    const later = (scope: 'Cluster' | 'Api' | 'Operation', sealed: boolean) =>
      policyAt(
        scope,
        `sealed: ${sealed}\nrequest: [{name: s, requireHeader: {name: X-Env}}, {name: t, setHeaders: [{name: x-a, value: "1"}]}]`,
        'Enforce',
        'z',
      );
    const answer = policyAt('Api', 'inherit: After\nrequest: [{name: r, respond: {status: 200}}]', 'Enforce', 'a');
    const told = async (...texts: readonly string[]) => tell((await judgeText(texts.join(''))).verdict);
    assert.equal(await told(answer), 'Respond 200 a/r');
    assert.equal(await told(answer, later('Api', true)), '403 HeaderNotFound z/s');
    assert.equal(await told(answer, later('Api', false)), 'Respond 200 a/r');
    assert.equal(await told(answer, later('Operation', true)), 'Respond 200 a/r');
    // Sealed steps of broader scopes run before it in any case (S2); unsealed ones come after and do not run.
    assert.equal(await told(answer, later('Cluster', true)), '403 HeaderNotFound z/s');
    assert.equal(await told(answer, later('Cluster', false)), 'Respond 200 a/r');
  });

  test('the default stance does not apply to it', async () => {
    const { verdict } = await judgeText(policyAt('Api', responding('status: 200')));
    assert.equal(tell(verdict), 'Respond 200 p/s');
    assert.deepEqual(linesOf(verdict), []);
  });
});
