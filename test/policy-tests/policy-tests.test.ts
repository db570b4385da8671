/** PolicyTest objects through `check`: what passes, and what a failing case tells. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from '../../src/cli/commands.ts';
import type { Io } from '../../src/cli/io.ts';

const POLICY = `
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, namespace: shop}
spec: {discovery: {url: https://login.example.com/.well-known/openid-configuration}, issuer: https://login.example.com}
---
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: other, namespace: shop}
spec: {discovery: {url: https://other.example.com/.well-known/openid-configuration}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: fleet, namespace: shop}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  hosts: ["*.example.com"]
  basePath: /v1
  operations: [{name: device, methods: [GET], path: "/devices/{deviceId}"}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: fleet, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  request:
  - {name: token, jwt: {issuers: [corp], from: [{query: access_token}], audiences: [a], claimHeaders: {x-client: clientId}}}
  - {name: rules, authorize: {deny: [{name: no-lab, expression: "params.deviceId.startsWith('lab-')"}]}}
  - {name: env, when: "request.method == 'GET'", setHeaders: [{name: x-env, value: prod}]}
`;

const cases = (text: string): string => `${POLICY}---
apiVersion: sallyport.dev/v1alpha1
kind: PolicyTest
metadata: {name: t, namespace: shop}
spec:
  cases:
${text}
`;

const GOOD = 'token: {issuer: corp, claims: {aud: a, clientId: portal}}';
const REQUEST = 'request: {path: /v1/devices/robot-7, host: a.example.com}';

async function check(manifests: string, ...flags: string[]) {
  let out = '';
  let err = '';
  const io: Io = {
    stdout: { write: text => (out += text) },
    stderr: { write: text => (err += text) },
    stdin: () => Promise.resolve(manifests),
    isTTY: false,
    columns: 80,
    env: {},
    cwd: process.cwd(),
  };
  const code = await runProgram(['check', '-', ...flags], io, { signal: new AbortController().signal, version: '0' });
  return { code, out, err };
}

const PASSING: Readonly<Record<string, string>> = {
  'a token where the step reads it': `{given: {${REQUEST}, ${GOOD}}, expect: {verdict: Permit}}`,
  'headers that the app gets': `{given: {${REQUEST}, ${GOOD}}, expect: {headers: {x-client: portal, X-Env: prod}}}`,
  'a header that a client forges': `{given: {request: {path: /v1/devices/robot-7, headers: {x_env: dev}}, ${GOOD}}, expect: {headers: {x_env: ""}}}`,
  'no host: the first of the Api': `{given: {request: {path: /v1/devices/robot-7}, ${GOOD}}, expect: {verdict: Permit}}`,
  'a token of an issuer that the step does not take': `{given: {${REQUEST}, token: {issuer: other, claims: {aud: a}}}, expect: {status: 401, reason: TokenNotPresent}}`,
  'an ended token': `{given: {${REQUEST}, token: {issuer: corp, claims: {aud: a}, expired: true}}, expect: {reason: TokenExpired, step: fleet/token}}`,
  'a token that is not valid yet': `{given: {now: "2026-01-01T00:00:00Z", ${REQUEST}, token: {issuer: corp, claims: {aud: a, nbf: 1798761600}}}, expect: {reason: TokenNotYetValid}}`,
  'another audience': `{given: {${REQUEST}, token: {issuer: corp, claims: {aud: b}}}, expect: {reason: TokenAudienceNotAllowed}}`,
  'a rule that denies': `{given: {request: {path: /v1/devices/lab-1}, ${GOOD}}, expect: {status: 403, reason: AuthorizationDenied, step: rules}}`,
  'a token that nobody signed': `{given: {request: {path: /v1/devices/robot-7, query: {access_token: a.b.c}}}, expect: {reason: TokenSignatureInvalid}}`,
  'a path of no operation':
    '{given: {request: {path: /v2}}, expect: {verdict: Deny, status: 404, reason: OperationNotFound}}',
  'an ambiguous path': '{given: {request: {path: /v1/devices/a%2fb}}, expect: {status: 400, reason: AmbiguousPath}}',
  'a host of no Api':
    '{given: {request: {path: /v1/devices/x, host: b.example.org}}, expect: {reason: OperationNotFound}}',
  'nothing given': `{given: {${REQUEST}}, expect: {status: 401, reason: TokenNotPresent}}`,
};

for (const [name, text] of Object.entries(PASSING)) {
  test(`a case may be about ${name}`, async () => {
    const { code, out, err } = await check(cases(`  - ${text.replace('{', '{name: c, ')}`));
    assert.deepEqual({ code, out }, { code: 0, out: '' }, err);
    assert.match(err, /; 1 case of 1 test: all pass\n$/);
  });
}

const FAILING = cases(`  - {name: permitted, given: {${REQUEST}, ${GOOD}}, expect: {verdict: Permit}}
  - name: lab devices are served
    given: {request: {path: /v1/devices/lab-1, host: a.example.com}, ${GOOD}}
    expect: {verdict: Permit, headers: {x-env: prod}}`);

test('a failing case is an error at its line, with what was expected, what came, and the steps', async () => {
  const { code, out, err } = await check(FAILING);
  assert.equal(code, 1);
  assert.equal(
    out,
    '-:40:spec.cases[1].expect.verdict: the case "lab devices are served" fails: verdict is Deny, not Permit; headers.x-env is none, not prod, mend the policy, or what the case expects\n',
  );
  assert.match(err, /FAIL shop\/t: lab devices are served/);
  assert.match(err, /verdict +Permit +Deny/);
  assert.match(err, /Deny 403 AuthorizationDenied by fleet\/rules/);
  assert.match(err, /Api +fleet\/rules +authorize +denied +AuthorizationDenied/);
  assert.match(err, /5 objects checked: 1 error, 0 warnings; 2 cases of 1 test: 1 failed\n$/);
});

test('JSON lists every case', async () => {
  const { out } = await check(FAILING, '-o', 'json');
  const { tests } = JSON.parse(out) as { tests: { cases: { name: string; passed: boolean }[] }[] };
  assert.deepEqual(
    tests.flatMap(each => each.cases.map(({ name, passed }) => [name, passed])),
    [
      ['permitted', true],
      ['lab devices are served', false],
    ],
  );
});

test('JUnit has a suite for each test, and what failed is escaped', async () => {
  const { code, out } = await check(
    FAILING.replaceAll('lab devices are served', 'lab <devices> & "others"'),
    '-o',
    'junit',
  );
  assert.equal(code, 1);
  assert.match(out, /<testsuite name="PolicyTest shop\/t" tests="2" failures="1">/);
  assert.match(
    out,
    /<testcase name="lab &lt;devices&gt; &amp; &quot;others&quot;" classname="PolicyTest"><failure message="verdict: expected Permit, got Deny/,
  );
  assert.match(out, /<testsuite name="manifests" tests="1" failures="0">/);
});

/** Each refused at load, with the field and the fix. */
const WRONG: Readonly<Record<string, readonly [text: string, problem: RegExp]>> = {
  'an issuer that is not there': [
    `{given: {${REQUEST}, token: {issuer: corq}}, expect: {verdict: Deny}}`,
    /spec\.cases\[0\]\.given\.token\.issuer: names the TokenIssuer "corq", which does not exist, did you mean "corp"\?/,
  ],
  'an expectation of nothing': [
    `{given: {${REQUEST}}, expect: {}}`,
    /expect: has none of verdict, status, reason, step and headers, write at least one/,
  ],
  'a reason that is none': [
    `{given: {${REQUEST}}, expect: {reason: TokenExpird}}`,
    /expect\.reason: .*did you mean "TokenExpired"/,
  ],
  'a device answer of two sorts': [
    `{given: {${REQUEST}, deviceAuth: {status: 200, unreachable: true}}, expect: {verdict: Deny}}`,
    /deviceAuth\.unreachable: status and unreachable exclude each other/,
  ],
  'claims that are no object': [
    `{given: {${REQUEST}, token: {issuer: corp, claims: [a]}}, expect: {verdict: Deny}}`,
    /token\.claims: .*an object is wanted/,
  ],
  'claims nested without end': [
    `{given: {${REQUEST}, token: {issuer: corp, claims: ${'{a: '.repeat(20)}1${'}'.repeat(20)}}}, expect: {verdict: Deny}}`,
    /token\.claims: is nested more than 16 levels deep/,
  ],
  'a path that is none': [
    '{given: {request: {path: devices}}, expect: {verdict: Deny}}',
    /request\.path: .*a path that begins with \//,
  ],
  'an address that is none': [`{given: {sourceIp: 10.0.0, ${REQUEST}}, expect: {verdict: Deny}}`, /given\.sourceIp: /],
};

for (const [name, [text, problem]] of Object.entries(WRONG)) {
  test(`refuses ${name}`, async () => {
    const { code, out } = await check(cases(`  - ${text.replace('{', '{name: c, ')}`));
    assert.equal(code, 1);
    assert.match(out, problem);
  });
}

test('claims named __proto__ are claims like any other', async () => {
  const text = `{name: c, given: {${REQUEST}, token: {issuer: corp, claims: {aud: a, __proto__: {clientId: x}}}}, expect: {headers: {x-client: ""}}}`;
  assert.equal((await check(cases(`  - ${text}`))).code, 0);
});
