/** The response part: choose, replaceText, respond, hideBackend over five scopes. Rules P5, P12, S3, S4, E8. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluateResponse, requestNeedsIdentity, type ResponseEdits } from '../../src/decision/response.ts';
import { fields } from '../../src/decision/testing/fakes.ts';
import { judgeText, policyAt, SCOPES, tell, type Asked } from './step-table.ts';

const OPEN = policyAt('Namespace', 'request: [{name: open, anyOf: [{anonymous: {}}]}]', 'Enforce', 'open');

interface App {
  readonly status?: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}

interface Answered {
  readonly status: number;
  readonly lines: readonly string[];
  readonly body: string;
}

/** What the client gets, or the reason of a 502. */
async function answer(text: string, app: App = {}, asked: Asked = {}): Promise<Answered | string> {
  const { verdict } = await judgeText(OPEN + text, asked);
  if (!('edits' in verdict)) assert.fail(tell(verdict));
  const { status = 200, headers = [['Content-Type', 'text/plain']], body = '' } = app;
  const result = evaluateResponse(verdict, { status, headers: fields(headers) });
  return typeof result === 'string' ? result : carryOut(result, headers, body);
}

function carryOut(edits: ResponseEdits, headers: NonNullable<App['headers']>, body: string): Answered | string {
  const kept = headers.filter(([name]) => !edits.headers.has(name.toLowerCase()));
  const set = [...edits.headers.values()].flatMap(({ name, values }) => values.map(value => [name, value] as const));
  const lines = [...kept, ...set].map(([name, value]) => `${name}: ${value}`);
  const own = edits.body === 'Neutral' ? '(neutral)' : edits.body?.text;
  if (own !== undefined || edits.rewrite === undefined) return { status: edits.status, lines, body: own ?? body };
  const bytes = Buffer.from(body).toString('latin1');
  if (bytes.length > edits.rewrite.maxBytes) {
    return edits.rewrite.onOversize === 'Fail' ? 'AppProtocolError' : { status: edits.status, lines, body };
  }
  const rewritten = edits.rewrite.rewrite(bytes);
  return rewritten === undefined
    ? 'AppProtocolError'
    : { status: edits.status, lines, body: Buffer.from(rewritten, 'latin1').toString() };
}

describe('replaceText (P12)', () => {
  const swap = (from: string, to: string, more = 'mediaTypes: [application/json, text/*]'): string =>
    `response: [{name: s, replaceText: {from: ${JSON.stringify(from)}, to: ${JSON.stringify(to)}, ${more}}}]`;
  const ROWS: Readonly<Record<string, readonly [policy: string, app: App, body: string]>> = {
    'every place': [
      swap('internal', 'public'),
      { body: 'internal, Internal, internalinternal' },
      'public, Internal, publicpublic',
    ],
    'nothing to find': [swap('internal', 'public'), { body: 'intern al' }, 'intern al'],
    'an empty replacement cuts out': [swap('secret-', ''), { body: 'a secret-secret-b' }, 'a b'],
    'a replacement that holds what is looked for is not looked at again': [swap('a', 'aa'), { body: 'aba' }, 'aabaa'],
    'signs that mean something elsewhere are plain text': [
      swap('a.b*(c)', '$& $1 \\n'),
      { body: 'axb a.b*(c)' },
      'axb $& $1 \\n',
    ],
    'UTF-8 beyond ASCII': [swap('grün', 'größe'), { body: 'grün GRÜN gru\u0308n' }, 'größe GRÜN gru\u0308n'],
    'a part of another character is not found': [swap('\u00a4', 'x'), { body: '\u00e4' }, '\u00e4'],
    'another media type': [swap('a', 'b'), { headers: [['Content-Type', 'image/png']], body: 'a' }, 'a'],
    'a media type with parameters and capitals': [
      swap('a', 'b'),
      { headers: [['Content-Type', 'Application/JSON; charset=utf-8']], body: 'a' },
      'b',
    ],
    'no media type': [swap('a', 'b'), { headers: [], body: 'a' }, 'a'],
    'an error of the app too': [swap('a', 'b'), { status: 500, body: 'a' }, 'b'],
    'one that grows as far as it may': [
      swap('a', 'x'.repeat(1024), 'mediaTypes: [text/*], maxBytes: 1Mi'),
      { body: 'a'.repeat(4096) },
      'x'.repeat(4 * 1024 * 1024),
    ],
    'as large as may be': [swap('a', 'b', 'mediaTypes: [text/*], maxBytes: "4"'), { body: 'aaaa' }, 'bbbb'],
    'larger, onOversize: Pass': [
      swap('a', 'b', 'mediaTypes: [text/*], maxBytes: "4", onOversize: Pass'),
      { body: 'aaaaa' },
      'aaaaa',
    ],
    'two steps, one after the other': [
      `response: [{name: s, replaceText: {from: a, to: b, mediaTypes: [text/*]}}, {name: t, replaceText: {from: b, to: c, mediaTypes: [text/*]}}]`,
      { body: 'ab' },
      'cc',
    ],
  };
  for (const [name, [policy, app, body]] of Object.entries(ROWS)) {
    test(name, async () => {
      for (const scope of SCOPES) {
        const got = await answer(policyAt(scope, policy), app);
        assert.equal(typeof got === 'string' ? got : got.body, body, scope);
      }
    });
  }

  const REFUSED: Readonly<Record<string, readonly [policy: string, app: App]>> = {
    'larger than maxBytes': [swap('a', 'b', 'mediaTypes: [text/*], maxBytes: "4"'), { body: 'aaaaa' }],
    encoded: [
      swap('a', 'b'),
      {
        headers: [
          ['Content-Type', 'text/plain'],
          ['Content-Encoding', 'gzip'],
        ],
        body: 'a',
      },
    ],
    'a part': [
      swap('a', 'b'),
      {
        status: 206,
        headers: [
          ['Content-Type', 'text/plain'],
          ['Content-Range', 'bytes 0-1/9'],
        ],
      },
    ],
    'one that would grow without end': [
      swap('a', 'x'.repeat(1024), 'mediaTypes: [text/*], maxBytes: 1Mi'),
      { body: 'a'.repeat(100_000) },
    ],
    'one that would grow to more than four times maxBytes': [
      swap('a', 'x'.repeat(1024), 'mediaTypes: [text/*], maxBytes: 1Mi'),
      { body: 'a'.repeat(4097) },
    ],
    'one that would grow so in the second step': [
      `response: [{name: s, replaceText: {from: a, to: "${'b'.repeat(900)}", mediaTypes: [text/*], maxBytes: 1Mi}}, {name: t, replaceText: {from: b, to: "${'c'.repeat(900)}", mediaTypes: [text/*], maxBytes: 1Mi}}]`,
      { body: 'aaaaaa' },
    ],
    'one in which the client’s own name would stand too often, with onOversize: Pass': [
      `response: [{name: s, hideBackend: {rewriteHosts: {from: ["h.i"], to: "https://${'x'.repeat(60)}.example"}, bodies: {mediaTypes: [text/*], maxBytes: 512Ki, onOversize: Pass}}}]`,
      { body: 'http://h.i/ '.repeat(40_000) },
    ],
  };
  for (const [name, [policy, app]] of Object.entries(REFUSED)) {
    test(`is 502: ${name}`, async () => assert.equal(await answer(policyAt('Api', policy), app), 'AppProtocolError'));
  }

  test('the app is asked for an unencoded, whole body, and what described the old one goes', async () => {
    const { verdict } = await judgeText(OPEN + policyAt('Api', swap('a', 'b')));
    assert.ok('edits' in verdict && requestNeedsIdentity(verdict.route.pipeline));
    const app = {
      headers: [
        ['Content-Type', 'text/plain'],
        ['ETag', '"1"'],
        ['Accept-Ranges', 'bytes'],
      ],
      body: 'a',
    } as const;
    const got = await answer(policyAt('Api', swap('a', 'b')), app);
    assert.deepEqual(typeof got === 'string' ? got : got.lines, ['Content-Type: text/plain']);
  });

  test('a step of an Audit policy, and one whose condition is false, rewrites nothing and asks nothing', async () => {
    const audit = policyAt('Api', swap('a', 'b'), 'Audit');
    const skipped = policyAt('Api', swap('a', 'b').replace('name: s,', 'name: s, when: "response.status == 404",'));
    for (const text of [audit, skipped]) {
      const got = await answer(text, { body: 'a' });
      assert.equal(typeof got === 'string' ? got : got.body, 'a');
    }
    const { verdict } = await judgeText(OPEN + audit);
    assert.equal('edits' in verdict && requestNeedsIdentity(verdict.route.pipeline), false);
  });
});

describe('choose in the response part', () => {
  const byStatus = `
response:
- name: c
  choose:
    when:
    - condition: response.status == 404
      steps: [{name: missing, setHeaders: [{name: X-Which, value: missing}]}]
    - condition: response.status >= 500
      steps: [{name: broken, respond: {status: 502, body: "sorry"}}]
    otherwise: [{name: fine, setHeaders: [{name: X-Which, value: "\${response.headers['content-type']}"}]}]
- {name: last, setHeaders: [{name: X-Last, value: "1"}]}`;
  for (const [status, lines, body] of [
    [404, ['Content-Type: text/plain', 'X-Which: missing', 'X-Last: 1'], 'app'],
    [200, ['Content-Type: text/plain', 'X-Which: text/plain', 'X-Last: 1'], 'app'],
    [503, ['Content-Type: text/plain'], 'sorry'],
  ] as const) {
    test(`${status} takes its branch at every scope`, async () => {
      for (const scope of SCOPES) {
        const got = await answer(policyAt(scope, byStatus), { status, body: 'app' });
        if (typeof got === 'string') assert.fail(got);
        assert.deepEqual([got.status, got.lines, got.body], [status === 503 ? 502 : status, lines, body], scope);
      }
    });
  }

  test('a condition that fails is 502 (E8)', async () => {
    const text = byStatus.replace('response.status == 404', "response.headers['x-none'] == ''");
    assert.equal(await answer(policyAt('Api', text)), 'AppProtocolError');
  });

  test('an answer that repeats is not answered from memory when a branch depends on the request (regression)', async () => {
    const text = policyAt(
      'Api',
      'response: [{name: c, choose: {when: [{condition: "request.method == \'GET\'", steps: [{name: a, setHeaders: [{name: X-A, value: "1"}]}]}]}}]',
    );
    for (const [method, lines] of [
      ['GET', ['Content-Type: text/plain', 'X-A: 1']],
      ['PUT', ['Content-Type: text/plain']],
    ] as const) {
      const got = await answer(text, {}, { method });
      assert.deepEqual(typeof got === 'string' ? got : got.lines, lines);
    }
  });
});

describe('respond in the response part (P5), and who has the last word (S3, S4)', () => {
  const sorry =
    'response: [{name: r, respond: {status: 503, headers: {X-Mine: "1", X-Seal: "narrow"}, body: "sorry"}}, {name: t, setHeaders: [{name: X-Late, value: "1"}]}]';
  const app: App = {
    status: 200,
    headers: [
      ['Content-Type', 'text/html'],
      ['Server', 'x'],
      ['X-App', '1'],
    ],
    body: 'app',
  };
  const lines = async (...texts: readonly string[]) => {
    const got = await answer(texts.join(''), app);
    return typeof got === 'string' ? got : [got.status, ...got.lines.toSorted(), got.body];
  };

  test('the whole answer of the app goes; later steps of the same policy do not run', async () => {
    assert.deepEqual(await lines(policyAt('Api', sorry)), [
      503,
      'Content-Type: text/plain',
      'X-Mine: 1',
      'X-Seal: narrow',
      'sorry',
    ]);
  });

  test('steps of broader scopes run on it, those of the same and narrower scopes do not', async () => {
    const set = (name: string) => `response: [{name: s, setHeaders: [{name: X-${name}, value: "1"}]}]`;
    const texts = [
      policyAt('Api', sorry, 'Enforce', 'm'),
      policyAt('Api', set('Same'), 'Enforce', 'z'),
      policyAt('Operation', set('Narrower'), 'Enforce', 'o'),
      policyAt('Product', set('Product'), 'Enforce', 'p'),
      policyAt('Cluster', set('Cluster'), 'Enforce', 'c'),
    ];
    assert.deepEqual(await lines(...texts), [
      503,
      'Content-Type: text/plain',
      'X-Cluster: 1',
      'X-Mine: 1',
      'X-Product: 1',
      'X-Seal: narrow',
      'sorry',
    ]);
  });

  test('a header that a sealed broader policy owns cannot be written by it', async () => {
    const sealed = policyAt(
      'Cluster',
      'response: [{name: s, setHeaders: [{name: X-Seal, value: "broad"}]}]',
      'Enforce',
      'c',
    );
    assert.deepEqual(await lines(policyAt('Api', sorry), sealed), [
      503,
      'Content-Type: text/plain',
      'X-Mine: 1',
      'X-Seal: broad',
      'sorry',
    ]);
  });

  test('a broader hideBackend hides headers of it and leaves its body, which is not the app’s', async () => {
    const hide = policyAt('Cluster', 'response: [{name: h, hideBackend: {removeHeaders: [X-Mine]}}]', 'Enforce', 'c');
    assert.deepEqual(await lines(policyAt('Api', sorry), hide), [
      503,
      'Content-Type: text/plain',
      'X-Seal: narrow',
      'sorry',
    ]);
  });

  test('a broader respond replaces a narrower one', async () => {
    const broader = policyAt(
      'Namespace',
      'response: [{name: r, respond: {status: 200, body: "broad"}}]',
      'Enforce',
      'n',
    );
    assert.deepEqual(await lines(policyAt('Api', sorry), broader), [200, 'Content-Type: text/plain', 'broad']);
  });
});
