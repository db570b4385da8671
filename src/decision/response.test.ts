import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readAuthority } from '../http/host.ts';
import type { CompiledHideBackend, CompiledResponseStep } from '../policy/steps.ts';
import { createHeaderMatcher } from '../policy/header-matcher.ts';
import { evaluateResponse, renderNeutralBody, requestNeedsIdentity, type ResponseEdits } from './response.ts';
import {
  errors,
  expression,
  failing,
  fields,
  judgeNow,
  literal,
  origin,
  permitOf,
  pipeline,
  read,
  request,
  responseStep,
  route,
  setting,
  step,
  template,
} from './testing/fakes.ts';

const BUILT_IN = ['server', 'x-powered-by', 'x-aspnet-version', 'x-envoy-*'];
const FROM = ['https://fleet.shop.svc:8443', 'http://127.0.0.1:8443', 'fleet.shop.svc:8443', 'fleet.shop.svc'];
const cluster = origin({ kind: 'ClusterAuthPolicy', name: 'baseline', scope: 'Cluster' });

const hide = (parts: Partial<CompiledHideBackend> = {}): CompiledResponseStep =>
  responseStep(
    {
      type: 'hideBackend',
      hideBackend: {
        removeHeaders: BUILT_IN,
        keepHeaders: [],
        removes: createHeaderMatcher(parts.removeHeaders ?? BUILT_IN, parts.keepHeaders ?? []),
        from: FROM,
        errorBodies: 'Replace',
        ...parts,
      },
    },
    { name: 'hide', origin: cluster },
  );
const JSON_BODIES = { mediaTypes: ['application/json', 'text/*'], maxBytes: 1024, onOversize: 'Fail' } as const;

interface Sent {
  readonly status?: number;
  readonly method?: string;
  /** Of the client's request. */
  readonly host?: string;
  readonly scheme?: 'http' | 'https';
}

function evaluate(
  steps: readonly CompiledResponseStep[],
  lines: readonly (readonly [string, string])[],
  { status = 200, method = 'GET', host = 'fleet.example.com', scheme = 'https' }: Sent = {},
) {
  const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
  const at = route([open], { response: { steps, dynamic: true } });
  const permit = permitOf(
    judgeNow(at, { request: request([['Host', host]], { method, scheme, host: readAuthority(host)?.host ?? '' }) }),
  );
  return evaluateResponse(permit, { status, headers: fields(lines) });
}

function edited(edits: ReturnType<typeof evaluate>): ResponseEdits {
  if (typeof edits === 'string') throw new Error(edits);
  return edits;
}

/** What the client sees of these headers. */
function seen(edits: ReturnType<typeof evaluate>, lines: readonly (readonly [string, string])[]): string[] {
  const { headers } = edited(edits);
  const kept = lines.filter(([name]) => !headers.has(name.toLowerCase()));
  const set = [...headers.values()].flatMap(({ name, values }) => values.map(value => [name, value] as const));
  return [...kept, ...set].map(([name, value]) => `${name}: ${value}`);
}

const after = (steps: readonly CompiledResponseStep[], lines: readonly (readonly [string, string])[], sent?: Sent) =>
  seen(evaluate(steps, lines, sent), lines);

suite('hideBackend: headers', () => {
  test('every spelling and every line of what gives the app away goes, the rest stays', () => {
    const lines = [
      ['Server', 'Kestrel'],
      ['X-POWERED-BY', 'ASP.NET'],
      ['x-powered-by', 'PHP'],
      ['X-Envoy-Upstream-Service-Time', '3'],
      ['X-Kept', '1'],
      ['Content-Type', 'text/plain'],
    ] as const;
    assert.deepEqual(after([hide()], lines), ['X-Kept: 1', 'Content-Type: text/plain']);
  });

  test('keepHeaders wins over a prefix, and trailers are judged by the same names', () => {
    const edits = edited(evaluate([hide({ keepHeaders: ['x-envoy-keep'] })], [['X-Envoy-Keep', '1']]));
    assert.deepEqual([...edits.headers], []);
    assert.deepEqual(
      ['x-envoy-keep', 'x-envoy-other', 'server', 'x-trailer'].map(name => edits.removes(name, '')),
      [false, true, true, false],
    );
  });

  test('a trailer that names the back end is left out, whatever its name; others pass', () => {
    const edits = edited(evaluate([hide()], []));
    const trailers = [
      ['link', '<http://fleet.shop.svc:8443/a>; rel=next'],
      ['alt-svc', 'h2="FLEET.shop.svc:8443"'],
      ['grpc-message', 'dial http://fleet.shop.svc:8443 failed'],
      ['grpc-status', '14'],
      ['link', '<https://login.example.com/>'],
    ] as const;
    assert.deepEqual(
      trailers.map(([name, value]) => edits.removes(name, value)),
      [true, true, true, false, false],
    );
  });

  test('grpc-message in the head, where a call ends at once, names the client’s own host instead', () =>
    assert.deepEqual(after([hide()], [['grpc-message', 'dial https://fleet.shop.svc:8443/x failed']]), [
      'Grpc-Message: dial https://fleet.example.com/x failed',
    ]));

  const urls: Record<string, [string, string]> = {
    'an origin': ['https://fleet.shop.svc:8443/v1/a?b#c', 'https://fleet.example.com/v1/a?b#c'],
    'an authority under another scheme': ['http://fleet.shop.svc:8443/v1', 'https://fleet.example.com/v1'],
    'a name on any port': ['http://fleet.shop.svc:9999/', 'https://fleet.example.com/'],
    'without a scheme': ['//fleet.shop.svc/x', 'https://fleet.example.com/x'],
    'in another case': ['HTTPS://FLEET.shop.svc:8443', 'https://fleet.example.com'],
    'a relative reference stays': ['/v1/a', '/v1/a'],
    'a host elsewhere stays': ['https://login.example.com/', 'https://login.example.com/'],
    'a host that only starts alike stays': [
      'https://fleet.shop.svc.evil.example/',
      'https://fleet.shop.svc.evil.example/',
    ],
    'an address on another port stays': ['http://127.0.0.1:80/', 'http://127.0.0.1:80/'],
  };
  for (const [name, [told, expected]] of Object.entries(urls)) {
    test(`Location: ${name}`, () => assert.deepEqual(after([hide()], [['Location', told]]), [`Location: ${expected}`]));
  }

  const others: [string, string, string][] = [
    ['Content-Location', 'http://fleet.shop.svc/x', 'https://fleet.example.com/x'],
    ['Refresh', '5; url=http://fleet.shop.svc/x', '5; url=https://fleet.example.com/x'],
    ['Refresh', '0;URL="http://fleet.shop.svc/x"', '0;URL="https://fleet.example.com/x"'],
    [
      'Link',
      '<http://fleet.shop.svc/2>; rel=next, </3>; rel=last',
      '<https://fleet.example.com/2>; rel=next, </3>; rel=last',
    ],
    ['Set-Cookie', 's=1; Domain=fleet.shop.svc; Path=/', 's=1; Domain=fleet.example.com; Path=/'],
    ['Set-Cookie', 's=1; domain=.FLEET.shop.svc', 's=1; Domain=fleet.example.com'],
    ['Set-Cookie', 's=1; Domain=shop.svc; Secure', 's=1; Secure'],
    ['Set-Cookie', 's=1; Domain=example.com', 's=1; Domain=example.com'],
    ['Set-Cookie', 'd=domain=fleet.shop.svc', 'd=domain=fleet.shop.svc'],
  ];
  for (const [name, told, expected] of others) {
    test(`${name}: ${told}`, () => assert.deepEqual(after([hide()], [[name, told]]), [`${name}: ${expected}`]));
  }

  test('every Set-Cookie line stays a line of its own', () => {
    const lines = [
      ['Set-Cookie', 'a=1; Domain=fleet.shop.svc'],
      ['Set-Cookie', 'b=2'],
    ] as const;
    assert.deepEqual(after([hide()], lines), ['Set-Cookie: a=1; Domain=fleet.example.com', 'Set-Cookie: b=2']);
  });

  test('a cookie gets no Domain when the client came by an address or a single label', () => {
    for (const to of ['https://127.0.0.1:8443', 'https://localhost', 'https://[::1]']) {
      const lines = [['Set-Cookie', 'a=1; Domain=fleet.shop.svc']] as const;
      assert.deepEqual(after([hide({ to: literal(to) })], lines), ['Set-Cookie: a=1']);
    }
  });
});

suite('hideBackend: the origin that the client used', () => {
  const location = (sent: Sent): string[] => after([hide()], [['Location', 'http://fleet.shop.svc:8443/v1']], sent);
  const origins: Record<string, [Sent, string]> = {
    'keeps its port': [{ host: 'Fleet.example.com:18443' }, 'https://fleet.example.com:18443/v1'],
    'has no default port of https': [{ host: 'fleet.example.com:443' }, 'https://fleet.example.com/v1'],
    'has no default port of http': [{ host: 'fleet.example.com:80', scheme: 'http' }, 'http://fleet.example.com/v1'],
    'keeps another scheme’s default port': [{ host: 'a.example:80' }, 'https://a.example:80/v1'],
    'may be an address': [{ host: '[::1]:18443' }, 'https://[::1]:18443/v1'],
    'is unknown without Host: the reference is relative': [{ host: '' }, '/v1'],
  };
  for (const [name, [sent, expected]] of Object.entries(origins)) {
    test(name, () => assert.deepEqual(location(sent), [`Location: ${expected}`]));
  }
  test('stands in bodies with its port, and in cookie domains without', () => {
    const lines = [
      ['Content-Type', 'application/json'],
      ['Set-Cookie', 'a=1; Domain=fleet.shop.svc'],
    ] as const;
    const edits = evaluate([hide({ bodies: JSON_BODIES })], lines, { host: 'fleet.example.com:18443' });
    assert.equal(
      edited(edits).rewrite?.rewrite('"http://fleet.shop.svc:8443/v1"'),
      '"https://fleet.example.com:18443/v1"',
    );
    assert.ok(seen(edits, lines).includes('Set-Cookie: a=1; Domain=fleet.example.com'));
  });
});

suite('hideBackend: bodies (P12)', () => {
  const bodies = hide({ bodies: JSON_BODIES });
  const typed = (type: string, ...more: (readonly [string, string])[]) => [['Content-Type', type] as const, ...more];
  const outcome = (lines: readonly (readonly [string, string])[], sent?: Sent): string => {
    const edits = evaluate([bodies], lines, sent);
    if (typeof edits === 'string') return edits;
    return edits.rewrite === undefined ? 'kept' : 'rewritten';
  };
  const cases: Record<string, [string, string]> = {
    'a listed type is rewritten': ['rewritten', outcome(typed('application/json; charset=utf-8'))],
    'in any case': ['rewritten', outcome(typed('Application/JSON'))],
    'a listed family is rewritten': ['rewritten', outcome(typed('text/html'))],
    'another type is kept': ['kept', outcome(typed('image/png'))],
    'one without a type is kept': ['kept', outcome([])],
    'an encoded one is refused': ['AppProtocolError', outcome(typed('text/html', ['Content-Encoding', 'gzip']))],
    'identity is no encoding': ['rewritten', outcome(typed('text/html', ['Content-Encoding', 'identity']))],
    'an encoded one of another type is kept': ['kept', outcome(typed('image/svg+xml', ['Content-Encoding', 'gzip']))],
    'a ranged one is refused': ['AppProtocolError', outcome(typed('text/html'), { status: 206 })],
    'several ranges are refused': [
      'AppProtocolError',
      outcome(typed('multipart/byteranges; boundary=x'), { status: 206 }),
    ],
    'a range of another type is kept': ['kept', outcome(typed('video/mp4'), { status: 206 })],
    'one in UTF-16 is refused': ['AppProtocolError', outcome(typed('text/html; charset=utf-16'))],
    'one in UTF-7, quoted, is refused': ['AppProtocolError', outcome(typed('text/html; Charset="UTF-7"'))],
    'one in ISO-8859-1 is rewritten': ['rewritten', outcome(typed('text/html; charset=ISO-8859-1'))],
    'one of two types, one of them listed, is refused': [
      'AppProtocolError',
      outcome(typed('image/png', ['Content-Type', 'text/html'])),
    ],
    'HEAD loses the length of a body that would be rewritten': [
      'rewritten',
      outcome(typed('text/html', ['Content-Encoding', 'gzip']), { method: 'HEAD' }),
    ],
    '204 has none': ['kept', outcome(typed('text/html'), { status: 204 })],
    '304 loses it too': ['rewritten', outcome(typed('text/html'), { status: 304 })],
    '103 has none': ['kept', outcome(typed('text/html'), { status: 103 })],
  };
  for (const [name, [expected, actual]] of Object.entries(cases)) test(name, () => assert.equal(actual, expected));

  const rewrite = (text: string, from = FROM): string => {
    const edits = edited(evaluate([hide({ bodies: JSON_BODIES, from })], typed('application/json')));
    return edits.rewrite?.rewrite(text) ?? 'not rewritten';
  };
  test('names of the back end become the client’s', () => {
    const body = '{"self":"https://fleet.shop.svc:8443/v1","host":"fleet.shop.svc","ws":"wss://FLEET.shop.svc:8443"}';
    const expected =
      '{"self":"https://fleet.example.com/v1","host":"fleet.example.com","ws":"wss://fleet.example.com"}';
    assert.equal(rewrite(body), expected);
  });
  test('bytes that are no text pass through', () => {
    const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    assert.equal(rewrite(bytes), bytes);
  });
  test('a name within a longer one is another name, and a port is not cut', () => {
    assert.equal(
      rewrite('xfleet.shop.svc fleet.shop.svcs 127.0.0.1:84431'),
      'xfleet.shop.svc fleet.shop.svcs 127.0.0.1:84431',
    );
  });
  test('a single label is a word but in a URL', () => {
    assert.equal(rewrite('the app at http://app/x', ['app']), 'the app at https://fleet.example.com/x');
  });
  test('a replacement is literal: $& and \\1 in the host mean nothing', () => {
    const step$ = hide({ bodies: JSON_BODIES, from: ['fleet.shop.svc'], to: literal('https://$&.example') });
    assert.equal(edited(evaluate([step$], typed('text/html'))).rewrite?.rewrite('//fleet.shop.svc/'), '//$&.example/');
  });
  test('bounds and what the old body was known by', () => {
    const lines = typed('text/html', ['ETag', '"1"'], ['Content-MD5', 'x'], ['Last-Modified', 'y']);
    const edits = evaluate([bodies], lines);
    assert.deepEqual(seen(edits, lines), ['Content-Type: text/html', 'Last-Modified: y']);
    const { rewrite: plan } = edited(edits);
    assert.deepEqual([plan?.maxBytes, plan?.onOversize], [1024, 'Fail']);
  });
  test('of two steps the smaller bound holds, Fail wins, and both rewrite', () => {
    const narrow = hide({ bodies: { ...JSON_BODIES, maxBytes: 10, onOversize: 'Pass' }, from: ['a.internal'] });
    const { rewrite: plan } = edited(evaluate([bodies, narrow], typed('text/html')));
    assert.deepEqual([plan?.maxBytes, plan?.onOversize], [10, 'Fail']);
    assert.equal(plan?.rewrite('//a.internal //fleet.shop.svc'), '//fleet.example.com //fleet.example.com');
  });
  test('the app is asked for identity only where an enforced step rewrites', () => {
    const needs = (steps: readonly CompiledResponseStep[]) =>
      requestNeedsIdentity(pipeline([], { response: { steps, dynamic: true } }));
    const audited = { ...bodies, origin: origin({ audit: true }) };
    assert.deepEqual([needs([hide()]), needs([bodies]), needs([audited])], [false, true, false]);
  });
});

suite('errorBodies', () => {
  test('a 5xx of the app says nothing but that it failed', () => {
    const lines = [
      ['Content-Type', 'text/html'],
      ['Content-Encoding', 'gzip'],
      ['ETag', 'x'],
      ['Retry-After', '9'],
    ] as const;
    const edits = evaluate([hide({ bodies: JSON_BODIES })], lines, { status: 500 });
    assert.equal(edited(edits).body, 'Neutral');
    assert.equal(edited(edits).rewrite, undefined);
    assert.deepEqual(seen(edits, lines), ['Retry-After: 9', 'Content-Type: application/problem+json']);
  });
  test('Keep keeps it, and 4xx are the client’s to read', () => {
    assert.equal(edited(evaluate([hide({ errorBodies: 'Keep' })], [], { status: 500 })).body, undefined);
    assert.equal(edited(evaluate([hide()], [], { status: 404 })).body, undefined);
  });
  test('the text follows errors.format and carries the request id', () => {
    const told = { type: 'about:blank', title: 'Bad Gateway', status: 502, requestId: 'r1' };
    assert.deepEqual(JSON.parse(renderNeutralBody(502, errors(), 'r1')), told);
    assert.equal(renderNeutralBody(599, errors({ format: 'Text' }), 'r1'), 'Server Error\nrequest: r1\n');
    assert.equal(renderNeutralBody(502, errors({ format: 'Empty' }), 'r1'), '');
  });
});

suite('the other response steps', () => {
  const set = (...settings: ReturnType<typeof setting>[]) => responseStep({ type: 'setHeaders', setHeaders: settings });
  test('set, append, skip and remove, each seeing what the step before left (S3)', () => {
    const lines = [
      ['X-A', '1'],
      ['X-B', '2'],
    ] as const;
    const steps = [
      set(setting('X-A', literal('new'))),
      set(setting('x-b', literal('3'), { ifExists: 'Append' }), setting('X-A', literal('no'), { ifExists: 'Skip' })),
      set(setting('X-C', literal('c'), { ifExists: 'Skip' }), setting('X-D', literal('d'), { overridden: true })),
    ];
    assert.deepEqual(after(steps, lines), ['X-A: new', 'x-b: 2', 'x-b: 3', 'X-C: c']);
    const last = [...steps, responseStep({ type: 'removeHeaders', removeHeaders: ['x-a', 'X-C'] })];
    assert.deepEqual(after(last, lines), ['x-b: 2', 'x-b: 3']);
  });
  test('the broader scope removes what a narrower one set (S3)', () =>
    assert.deepEqual(after([set(setting('Server', literal('mine'))), hide()], []), []));
  test('expressions see the answer', () => {
    const tell = template(b => `${String(read(b, 'response.status'))} ${String(read(b, 'response.headers.x-a'))}`);
    assert.deepEqual(after([set(setting('X-Told', tell))], [['X-A', '1']]), ['X-A: 1', 'X-Told: 200 1']);
  });
  const failures: Record<string, CompiledResponseStep> = {
    when: { ...set(), when: failing },
    'a template': set(
      setting(
        'X',
        template(b => read(b, 'jwt.subject')),
      ),
    ),
    'respond’s template': responseStep({
      type: 'respond',
      respond: { status: 200, headers: [], contentType: 'text/plain', body: template(b => read(b, 'jwt.subject')) },
    }),
    'rewriteHosts.to': hide({ to: template(b => read(b, 'jwt.subject')) }),
  };
  for (const [name, failingStep] of Object.entries(failures)) {
    test(`E8: ${name} that fails is 502`, () =>
      assert.equal(evaluate([failingStep], [['Location', 'http://fleet.shop.svc/']]), 'AppProtocolError'));
  }
  test('a step whose condition is false, and an Audit one (S8), have no effect', () => {
    const no = { ...hide(), when: expression(() => false) };
    const audited = {
      ...set(
        setting(
          'X',
          template(b => read(b, 'jwt.subject')),
        ),
      ),
      origin: origin({ audit: true }),
    };
    assert.deepEqual(after([no, audited], [['Server', 'x']]), ['Server: x']);
  });
  test('respond replaces the whole answer, headers included (P5)', () => {
    const respond = {
      status: 404,
      headers: [{ name: 'X-Own', value: literal('1') }],
      contentType: 'text/plain',
      body: literal('gone'),
    };
    const lines = [
      ['Server', 'x'],
      ['Content-Type', 'text/html'],
    ] as const;
    const edits = evaluate([responseStep({ type: 'respond', respond }), hide()], lines);
    assert.deepEqual(seen(edits, lines), ['Content-Type: text/plain', 'X-Own: 1']);
    assert.deepEqual([edited(edits).status, edited(edits).body], [404, { text: 'gone' }]);
    assert.equal(edited(edits).removes('x-any-trailer', ''), true);
  });
  test('an answer that no step changes costs no edits', () => {
    const edits = edited(evaluate([], [['X', '1']], { status: 201 }));
    assert.deepEqual([edits.status, edits.headers.size, edits.body, edits.rewrite], [201, 0, undefined, undefined]);
  });
});
