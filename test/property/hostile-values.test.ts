/**
 * Whatever a request, a token, a certificate, a device's answer or an app's answer holds, the evaluator ends with a verdict
 * of the closed list, writes nothing that a header cannot carry, tells nothing of it, and an Audit policy changes nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { requestStep, responseStep } from '../../src/api/kinds/steps.ts';
import { REASONS } from '../../src/api/reasons.ts';
import { renderDenial } from '../../src/decision/challenge.ts';
import type { EvidenceSource } from '../../src/decision/evidence.ts';
import { judgeMatched, matchRequest } from '../../src/decision/judge-request.ts';
import { evaluateResponse } from '../../src/decision/response.ts';
import { facts, fields, NOW, source, token } from '../../src/decision/testing/fakes.ts';
import { createTrace } from '../../src/decision/trace.ts';
import type { Verdict } from '../../src/decision/verdict.ts';
import type { Snapshot } from '../../src/policy/model.ts';
import { compile, policyAt, tell, viewOf, type Asked } from '../steps/step-table.ts';

const RUNS = 150;
const V = "request.headers['x-v']";
const KEYS = 'keys: [{secretKeyRef: {name: keys, key: a}}]';

/** One of every step, which reads as much as it can of what is hostile. */
const REQUEST: Readonly<Record<string, string>> = {
  jwt: 'jwt: {issuers: [corp], audiences: [Any], from: [{header: Authorization, scheme: Bearer}, {query: access_token}, {cookie: session}], requiredClaims: [{name: scope, match: Any, values: [a]}], claimHeaders: {x-sub: sub, x-list: list, x-proto: __proto__}}',
  clientCertificate:
    'clientCertificate: {trust: devices, identities: [{commonName: robot-7}, {subject: "CN=robot-7"}]}',
  subscription: 'subscription: {header: X-V, query: a}',
  hmacSignature: `hmacSignature: {header: X-V, payload: "\${timestamp}.\${body}", timestampHeader: X-Time, ${KEYS}}`,
  anyOf:
    'anyOf: [{jwt: {issuers: [corp], audiences: [Any]}}, {clientCertificate: {trust: devices}}, {subscription: {header: X-V}}, {anonymous: {}}]',
  deviceAuth: `deviceAuth: {service: devices, deviceId: "\${${V}}", certificateIdentity: "\${cert.subject.CN}"}`,
  authorize: `authorize: {allow: [{expression: "${V}.matches('^(a+)+$') || request.query.exists(a, request.query.exists(b, a == b && b == ${V}))"}, {expression: "jwt.claims == jwt.claims && size(jwt.claims) < 5"}]}`,
  ipFilter: 'ipFilter: {allow: [203.0.113.0/24]}',
  rateLimit: `rateLimit: {calls: 1, period: 1s, key: "\${${V}}", headers: true, countWhen: "response.headers['x-v'] == ${V}"}`,
  quota: `quota: {calls: 1, period: 1s, key: "\${${V}}"}`,
  requireHeader: 'requireHeader: {name: X-V, values: [a], ignoreCase: true}',
  concurrency: `concurrency: {max: 1, key: "\${${V}}"}`,
  cors: 'cors: {allowOrigins: ["https://a.example"], allowCredentials: true}',
  setHeaders: `setHeaders: [{name: x-value, value: "\${${V}}"}, {name: x-pairs, pairs: {a: "\${${V}}"}}, {name: x-dictionary, dictionary: {a: "\${${V}}"}}]`,
  removeHeaders: 'removeHeaders: [X-V]',
  setVariables: `setVariables: {a: "\${${V}.replace('a', 'aaaaaaaa').upperAscii()}", b: "\${int(${V})}", c: "\${${V}.substring(1, 2)}"}`,
  choose:
    `choose: {when: [{condition: "${V}.split(',').exists(a, a in request.headers)", steps: [{name: in, setHeaders: [{name: x-in, value: "\${vars.nothing}"}]}]}]}`.replace(
      '${vars.nothing}',
      `\${${V}}`,
    ),
  respond: `respond: {status: 200, contentType: application/json, headers: {x-value: "\${${V}}"}, body: "{\\"a\\":\\"\${${V}}\\"}"}`,
};

const RESPONSE: Readonly<Record<string, string>> = {
  hideBackend: 'hideBackend: {rewriteHosts: {from: ["a.internal"]}, bodies: {mediaTypes: [text/*], maxBytes: 1Ki}}',
  setHeaders: `setHeaders: [{name: x-out, value: "\${${V}}"}, {name: x-echo, value: "\${response.headers['x-v']}"}]`,
  removeHeaders: 'removeHeaders: [X-V]',
  replaceText: `replaceText: {from: a, to: ${'b'.repeat(1000)}, mediaTypes: [text/*], maxBytes: 64Ki}`,
  choose: `choose: {when: [{condition: "response.headers['x-v'] == ${V}", steps: [{name: in, removeHeaders: [X-V]}]}]}`,
  respond: `respond: {status: 200, contentType: text/html, body: "<p>\${${V}}</p>"}`,
};

const OPEN = policyAt('Cluster', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'open');
const CERTIFICATE = '{name: who, clientCertificate: {trust: devices}}, ';

interface Prepared {
  readonly sentence: string;
  readonly enforced: Snapshot;
  readonly audit: Snapshot;
}

function prepare(part: 'request' | 'response', table: Readonly<Record<string, string>>): readonly Prepared[] {
  return Object.entries(table).map(([name, step]) => {
    const before = name === 'deviceAuth' ? CERTIFICATE : '';
    const body = `${part}: [${before}{name: s, ${step}}]`;
    return {
      sentence: `${part} ${name}`,
      enforced: compile(OPEN + policyAt('Api', body)),
      audit: compile(OPEN + policyAt('Api', body, 'Audit')),
    };
  });
}

const PREPARED = [...prepare('request', REQUEST), ...prepare('response', RESPONSE)];

// --- values

/** In every value that is long enough to be told by. */
const MARK = 'kanarie7f3a';
const character = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)),
  fc.constantFrom('a', ',', ';', '=', '"', '\\', '%', '\ud800', '\udc00', '😀', '\u2028', '$', '{', '}', '.', '/', ':'),
);
const special = fc.constantFrom(
  ...[
    '',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    '1e400',
    '-0',
    'NaN',
    '9'.repeat(400),
    '\xc0\xaf',
    '${a}',
    'null',
  ],
  ...[
    'a'.repeat(60_000),
    '['.repeat(30_000),
    ','.repeat(30_000),
    '😀'.repeat(15_000),
    'a=;'.repeat(20_000),
    '"'.repeat(30_000),
  ],
);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.array(character, { maxLength: 40 }).map(all => MARK + all.join('')) },
  { weight: 2, arbitrary: special },
  { weight: 1, arbitrary: special.map(text => MARK + text) },
);
const names = ['X-V', 'Authorization', 'Cookie', 'Origin', 'X-Time', 'x_v', '__proto__', 'constructor', 'Content-Type'];
const lines = fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 12 });
const many = fc.tuple(fc.constantFrom(...names), value).map(line => Array.from({ length: 90 }, () => line));
const query = fc.oneof(
  fc
    .array(fc.tuple(fc.constantFrom('a', 'access_token', '__proto__', 'constructor', '%zz'), value), { maxLength: 4 })
    .map(all =>
      all.map(([name, text]) => `${name}=${encodeURIComponent(text.toWellFormed()).slice(0, 4000)}`).join('&'),
    ),
  fc.constant(Array.from({ length: 4000 }, (_, at) => at.toString(36)).join('&')),
  fc.constant('&'.repeat(16_000)),
);
const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
  path: fc.constantFrom(
    '/devices/robot-7',
    '/devices/__proto__',
    '/devices/%F0%9F%98%80',
    `/devices/${'a'.repeat(16_000)}`,
  ),
  query,
  headers: fc.oneof({ weight: 4, arbitrary: lines }, { weight: 1, arbitrary: many }),
  sourceIp: fc.constantFrom('203.0.113.9', '::', '::ffff:203.0.113.9', ''),
  size: fc.constantFrom(-1, 0, Number.MAX_SAFE_INTEGER),
});

const deep = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const json: fc.Arbitrary<unknown> = fc.oneof(
  value,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(deep(31), deep(20_000), 1e308, -1e308, Number.MIN_VALUE, [], {}, null),
);
const members = fc
  .array(fc.tuple(fc.constantFrom('sub', 'scope', 'list', 'deviceId', '__proto__', 'constructor', 'toString'), json), {
    maxLength: 5,
  })
  .map(all => {
    const made = Object.create(null) as Record<string, unknown>;
    for (const [name, one] of all) made[name] = one;
    return made;
  });

const evidence: fc.Arbitrary<Partial<EvidenceSource>> = fc
  .record({ claims: members, body: members, name: value })
  .map(({ claims, body, name }) => ({
    token: () => token(claims),
    certificate: () => ({
      state: 'verified',
      certificate: facts({ subject: { CN: name, ['__proto__']: name }, subjectText: `CN=${name}` }),
    }),
    device: () => ({ state: 'answered', status: 200, body }),
  }));

// --- properties

function judge(
  snapshot: Snapshot,
  request: Asked,
  given: Partial<EvidenceSource>,
  trace?: ReturnType<typeof createTrace>,
) {
  const listener = snapshot.listeners.get(8080);
  assert.ok(listener !== undefined);
  const context = { now: NOW, ...(trace === undefined ? {} : { trace }) };
  const view = viewOf(request);
  const matched = matchRequest(listener.match, view, snapshot.reservedHeaders, context);
  if (matched.kind === 'refused') return undefined;
  return judgeMatched(matched, view, snapshot.reservedHeaders, source(given), context);
}

const LINE = /^[\t\x20-\x7e]*$/;

/** Closed reasons; what of it goes out can be carried, and is not what came in. */
function assertAnswer(verdict: Verdict): void {
  if ('edits' in verdict) {
    for (const { values } of verdict.edits.headers.values()) for (const one of values) assert.match(one, LINE);
    return;
  }
  const { headers, body } = renderDenial(verdict, { requestId: 'id', realm: 'fleet' });
  for (const [name, one] of headers) assert.match(`${name}${one}`, LINE);
  if (verdict.verdict !== 'Deny') return;
  assert.ok(Object.hasOwn(REASONS, verdict.reason), verdict.reason);
  // What the evaluator did not foresee.
  assert.notEqual(verdict.reason, 'Overloaded', JSON.stringify(verdict.detail));
  assert.ok(!`${JSON.stringify(headers)}${body}${verdict.detail ?? ''}`.includes(MARK), 'a value is echoed');
}

test('every step of the schema is among them', () => {
  const sorted = (all: readonly string[] | undefined): readonly string[] => [...(all ?? [])].sort();
  assert.deepEqual(sorted(Object.keys(REQUEST)), sorted(requestStep.exactlyOneOf?.[0]));
  assert.deepEqual(sorted(Object.keys(RESPONSE)), sorted(responseStep.exactlyOneOf?.[0]));
});

test('hostile requests and evidence end in a verdict of the closed list, told alike with a trace', async () => {
  const any = fc.constantFrom(...PREPARED);
  await fc.assert(
    fc.asyncProperty(any, asked, evidence, async ({ sentence, enforced }, request, given) => {
      const verdict = await judge(enforced, request, given);
      if (verdict === undefined) return;
      assertAnswer(verdict);
      const trace = createTrace(() => 0);
      const explained = await judge(enforced, request, given, trace);
      assert.equal(explained && tell(explained), tell(verdict), sentence);
      assert.ok(!trace.entries.some(({ detail }) => detail?.includes(MARK)), `${sentence}: the trace holds a value`);
    }),
    { numRuns: RUNS },
  );
});

test('hostile values change nothing where the policy is Audit (S8)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...PREPARED), asked, evidence, async ({ audit, sentence }, request, given) => {
      const verdict = await judge(audit, request, given);
      const plain = await judge(PLAIN, request, given);
      assert.equal(verdict && tell(verdict), plain && tell(plain), sentence);
    }),
    { numRuns: RUNS },
  );
});
const PLAIN = compile(OPEN);

const answered = fc.record({
  status: fc.constantFrom(200, 204, 206, 304, 404, 500, 599),
  headers: fc.array(
    fc.tuple(fc.constantFrom('X-V', 'Content-Type', 'Location', 'Set-Cookie', 'Vary', '__proto__'), value),
    {
      maxLength: 8,
    },
  ),
  body: fc.oneof(value, fc.constant('a'.repeat(64 * 1024)), fc.constant('http://a.internal '.repeat(3000))),
});

test('hostile answers of an app end in edits or 502, and no body grows past its bound', async () => {
  const responding = PREPARED.filter(({ sentence }) => sentence.startsWith('response '));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...responding), asked, answered, async ({ enforced }, request, app) => {
      const verdict = await judge(enforced, request, {});
      if (verdict === undefined || !('edits' in verdict)) return;
      const edits = evaluateResponse(verdict, { status: app.status, headers: fields(app.headers) });
      if (typeof edits === 'string') return assert.equal(edits, 'AppProtocolError');
      const { rewrite } = edits;
      const text = Buffer.from(app.body).toString('latin1');
      if (rewrite !== undefined) assert.ok((rewrite.rewrite(text)?.length ?? 0) <= Math.max(1 << 20, text.length * 4));
    }),
    { numRuns: RUNS },
  );
});
