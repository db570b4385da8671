/** cors: rules P6 and S3, by the words of the Fetch standard (CORS protocol). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluateResponse } from '../../src/decision/response.ts';
import { editCors } from '../../src/decision/cors-step.ts';
import { fields } from '../../src/decision/testing/fakes.ts';
import { compile, judgeText, linesOf, policyAt, SCOPES, tell, type Asked } from './step-table.ts';

const CORS =
  'allowOrigins: ["https://a.example", "http://localhost:3000"], allowMethods: [PUT, DELETE], allowHeaders: [Authorization, X-Two], exposeHeaders: [X-Total], allowCredentials: true, maxAge: 1h';
const cors = (members = CORS): string => `request: [{name: s, cors: {${members}}}]`;
const preflight = (origin: string, method = 'PUT', more: readonly (readonly [string, string])[] = []): Asked => ({
  method: 'OPTIONS',
  headers: [['Origin', origin], ['Access-Control-Request-Method', method], ...more],
});
const ALLOWED = [
  'Access-Control-Allow-Origin: https://a.example',
  'Access-Control-Allow-Credentials: true',
  'Access-Control-Allow-Methods: PUT, DELETE',
  'Access-Control-Allow-Headers: Authorization, X-Two',
  'Access-Control-Max-Age: 3600',
  'Vary: Origin',
];

describe('a preflight', () => {
  const ROWS: Readonly<
    Record<string, readonly [policy: string, asked: Asked, answer: string, lines: readonly string[]]>
  > = {
    'of an allowed origin is answered': [cors(), preflight('https://a.example'), 'Respond 204 p/s', ALLOWED],
    'of another origin is answered without leave': [
      cors(),
      preflight('https://evil.example'),
      'Respond 204 p/s',
      ['Vary: Origin'],
    ],
    'of an origin that begins like one': [
      cors(),
      preflight('https://a.example.evil'),
      'Respond 204 p/s',
      ['Vary: Origin'],
    ],
    'of the same host at another port': [
      cors(),
      preflight('https://a.example:8443'),
      'Respond 204 p/s',
      ['Vary: Origin'],
    ],
    'of the same host over http': [cors(), preflight('http://a.example'), 'Respond 204 p/s', ['Vary: Origin']],
    'of the opaque origin': [cors(), preflight('null'), 'Respond 204 p/s', ['Vary: Origin']],
    'with nothing but an origin allowed': [
      cors('allowOrigins: ["https://a.example"]'),
      preflight('https://a.example'),
      'Respond 204 p/s',
      ['Access-Control-Allow-Origin: https://a.example', 'Access-Control-Max-Age: 600', 'Vary: Origin'],
    ],
    'where any origin is allowed': [
      cors('allowOrigins: ["*"], maxAge: 0s'),
      preflight('https://any.example'),
      'Respond 204 p/s',
      ['Access-Control-Allow-Origin: *', 'Access-Control-Max-Age: 0'],
    ],
    'is answered before any step that would deny': [
      `request: [{name: deny, authorize: {deny: [{expression: "true"}]}}, {name: s, cors: {${CORS}}}]`,
      preflight('https://a.example'),
      'Respond 204 p/s',
      ALLOWED,
    ],
    'is answered by the first cors step': [
      `request: [{name: s, cors: {allowOrigins: ["*"], maxAge: 0s}}, {name: t, cors: {${CORS}}}]`,
      preflight('https://a.example'),
      'Respond 204 p/s',
      ['Access-Control-Allow-Origin: *', 'Access-Control-Max-Age: 0'],
    ],
    'is answered by the first whose condition is true': [
      `request: [{name: t, when: "request.path == '/x'", cors: {allowOrigins: ["*"]}}, {name: s, cors: {${CORS}}}]`,
      preflight('https://a.example'),
      'Respond 204 p/s',
      ALLOWED,
    ],
    'is not answered by one whose condition fails': [
      `request: [{name: t, when: "request.headers['x-none'] == ''", cors: {allowOrigins: ["*"]}}, {name: s, cors: {${CORS}}}]`,
      preflight('https://a.example'),
      'Respond 204 p/s',
      ALLOWED,
    ],
    'is answered within the branch that is chosen': [
      `request: [{name: c, choose: {when: [{condition: "request.method == 'GET'", steps: [{name: t, cors: {allowOrigins: ["*"]}}]}], otherwise: [{name: s, cors: {${CORS}}}]}}]`,
      preflight('https://a.example'),
      'Respond 204 p/s',
      ALLOWED,
    ],
  };
  for (const [name, [policy, asked, answer, lines]] of Object.entries(ROWS)) {
    test(name, async () => {
      for (const scope of SCOPES) {
        const { verdict, trace } = await judgeText(policyAt(scope, policy), asked);
        assert.deepEqual([tell(verdict), linesOf(verdict)], [answer, lines], scope);
        assert.deepEqual(
          trace.map(({ step, detail }) => [step, detail]),
          [['s', 'answers the preflight']],
        );
      }
    });
  }

  const ORDINARY: Readonly<Record<string, readonly [policy: string, asked: Asked, mode?: string]>> = {
    'without a cors step': ['request: []', preflight('https://a.example')],
    'without Origin': [cors(), { method: 'OPTIONS', headers: [['Access-Control-Request-Method', 'PUT']] }],
    'without Access-Control-Request-Method': [
      cors(),
      { method: 'OPTIONS', headers: [['Origin', 'https://a.example']] },
    ],
    'with two origins': [cors(), preflight('https://a.example', 'PUT', [['Origin', 'https://b.example']])],
    'for a method that no operation has': [cors(), preflight('https://a.example', 'PATCH')],
    'for a method in lower case': [cors(), preflight('https://a.example', 'put')],
    'that only an Audit policy would answer (S8)': [
      'request: [{name: s, cors: {allowOrigins: ["*"]}}]',
      preflight('https://a.example'),
      'Audit',
    ],
  };
  for (const [name, [policy, asked, mode]] of Object.entries(ORDINARY)) {
    // The operation has no OPTIONS, so that an ordinary one is not found.
    test(`is an ordinary OPTIONS ${name}`, () =>
      assert.rejects(judgeText(policyAt('Api', policy, mode), asked), /OperationNotFound/));
  }
});

describe('an answer to a page', () => {
  const OPEN = policyAt('Namespace', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'open');
  const from = (origin: string): Asked => ({ headers: [['Origin', origin]] });
  const ofApp = async (text: string, asked: Asked, app: readonly (readonly [string, string])[]) => {
    const { verdict } = await judgeText(text, asked);
    if (!('edits' in verdict)) assert.fail(tell(verdict));
    const result = evaluateResponse(verdict, { status: 200, headers: fields(app) });
    if (typeof result === 'string') assert.fail(result);
    const edits = new Map(result.headers);
    if (verdict.cors !== undefined) editCors(edits, verdict.cors, fields(app));
    const kept = app.filter(([name]) => !edits.has(name.toLowerCase()));
    const set = [...edits.values()].flatMap(({ name, values }) => values.map(value => [name, value] as const));
    return [...kept, ...set].map(([name, value]) => `${name}: ${value}`).sort();
  };
  const APP = [
    ['Access-Control-Allow-Origin', '*'],
    ['Access-Control-Allow-Methods', 'TRACE'],
    ['Vary', 'Accept-Encoding'],
    ['X-Kept', '1'],
  ] as const;

  const ROWS: Readonly<
    Record<string, readonly [policy: string, origin: string | undefined, lines: readonly string[]]>
  > = {
    'of an allowed origin says so, and what it may read': [
      cors(),
      'https://a.example',
      [
        'Access-Control-Allow-Credentials: true',
        'Access-Control-Allow-Origin: https://a.example',
        'Access-Control-Expose-Headers: X-Total',
        'Vary: Accept-Encoding',
        'Vary: Origin',
        'X-Kept: 1',
      ],
    ],
    'of another origin says nothing, whatever the app says': [
      cors(),
      'https://evil.example',
      ['Vary: Accept-Encoding', 'Vary: Origin', 'X-Kept: 1'],
    ],
    'to no page at all still varies by origin, for caches': [
      cors(),
      undefined,
      ['Vary: Accept-Encoding', 'Vary: Origin', 'X-Kept: 1'],
    ],
    'of any origin is the same for all': [
      cors('allowOrigins: ["*"]'),
      'https://b.example',
      ['Access-Control-Allow-Origin: *', 'Vary: Accept-Encoding', 'X-Kept: 1'],
    ],
    'without a cors step is the app’s own': [
      'request: []',
      'https://a.example',
      ['Access-Control-Allow-Methods: TRACE', 'Access-Control-Allow-Origin: *', 'Vary: Accept-Encoding', 'X-Kept: 1'],
    ],
    'with a cors step that was skipped is the app’s own': [
      `request: [{name: s, when: "false", cors: {${CORS}}}]`,
      'https://a.example',
      ['Access-Control-Allow-Methods: TRACE', 'Access-Control-Allow-Origin: *', 'Vary: Accept-Encoding', 'X-Kept: 1'],
    ],
  };
  for (const [name, [policy, origin, lines]] of Object.entries(ROWS)) {
    test(name, async () => {
      for (const scope of SCOPES) {
        const asked = origin === undefined ? {} : from(origin);
        assert.deepEqual(await ofApp(OPEN + policyAt(scope, policy), asked, APP), lines, scope);
      }
    });
  }

  test('S3: the response part of any scope cannot change it', async () => {
    const set =
      'response: [{name: r, setHeaders: [{name: Access-Control-Allow-Origin, value: "https://evil.example"}]}]';
    const text = OPEN + policyAt('Api', cors()) + policyAt('Cluster', set, 'Enforce', 'late');
    const lines = await ofApp(text, from('https://a.example'), APP);
    assert.ok(lines.includes('Access-Control-Allow-Origin: https://a.example'));
    assert.equal(lines.join().includes('evil'), false);
  });

  test('a denial behind the cors step carries it, so that the page can read why; one before it does not', async () => {
    const denied = async (text: string) => linesOf((await judgeText(text, from('https://a.example'))).verdict);
    const behind = `request: [{name: s, cors: {${CORS}}}, {name: t, requireHeader: {name: X-Env}}]\nerrors: {headers: {Access-Control-Allow-Origin: "*", X-Own: "1"}}`;
    assert.deepEqual(await denied(OPEN + policyAt('Api', behind)), [
      'X-Own: 1',
      'Access-Control-Allow-Origin: https://a.example',
      'Access-Control-Allow-Credentials: true',
      'Access-Control-Expose-Headers: X-Total',
      'Vary: Origin',
      'Content-Type: application/problem+json',
    ]);
    const before = `request: [{name: t, requireHeader: {name: X-Env}}, {name: s, cors: {${CORS}}}]`;
    assert.deepEqual(await denied(OPEN + policyAt('Api', before)), ['Content-Type: application/problem+json']);
  });

  test('an answer of respond carries it too, and not the policy’s own words', async () => {
    const policy = `request: [{name: s, cors: {allowOrigins: ["*"]}}, {name: t, respond: {status: 200, headers: {Access-Control-Allow-Origin: "https://evil.example"}}}]`;
    assert.deepEqual(linesOf((await judgeText(OPEN + policyAt('Api', policy), from('https://a.example'))).verdict), [
      'Access-Control-Allow-Origin: *',
    ]);
  });

  test('Vary is not said twice', () => {
    for (const told of ['Origin', 'accept, ORIGIN', '*']) {
      const edits = new Map<string, { readonly name: string; readonly values: readonly string[] }>();
      editCors(edits, { lines: [], varies: true }, fields([['Vary', told]]));
      assert.deepEqual([...edits.keys()], []);
    }
  });

  test('is compiled once: lists are texts, origins a set', () => {
    const listener = compile(policyAt('Api', cors())).listeners.get(8080);
    const match = listener?.match('PUT', 'x', '/devices/1');
    const [step] = match?.kind === 'matched' ? match.route.pipeline.steps : [];
    assert.ok(step?.type === 'cors' && step.cors.origins instanceof Set);
  });
});
