/**
 * Hostile values at every step of a running sidecar: whatever a client sends where a step looks, the answer is one of the
 * closed list of reasons or the app's, no credential of that sort passes, the sidecar serves the next request, its memory
 * stays bounded, and no log line holds what was sent.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { requestStep, responseStep } from '../../src/api/kinds/steps.ts';
import { REASONS, type Reason } from '../../src/api/reasons.ts';
import { type Answer, openPlain, PUBLIC_HOST } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import * as subjects from '../support/step-subjects.ts';
import { sayAnswer } from '../support/table.ts';

/** Stands in every value, and nowhere in a log. */
const MARK = 'kanarie7f3a';

type Lines = readonly (readonly [name: string, value: string])[];
interface Sent {
  readonly method?: string;
  /** After the path. */
  readonly query?: string;
  /** One character a byte, like the body. */
  readonly lines?: Lines;
  readonly body?: string;
}

const repeat = (part: string, length: number): string => part.repeat(Math.floor(length / part.length));

/** Of one header. 60,000 characters are about what a head may have. */
const VALUES: Readonly<Record<string, string>> = {
  'as long as the head allows': repeat('a', 60_000),
  'longer than the head allows': repeat('a', 70_000),
  'control characters': '\u0001\u0002\u001b[31m\u007f',
  NUL: 'a\u0000b',
  'a bare line feed': 'a\nX-Injected: 1',
  'a bare carriage return': 'a\rb',
  'a folded line': 'a\r\n b',
  'a tab': 'a\tb',
  'bytes that are no UTF-8': '\xff\xfe\x80',
  'an overlong slash': '\xc0\xaf',
  'a surrogate in UTF-8': '\xed\xa0\x80',
  'text in iso-8859-1': 'gr\xfcn',
  'C1 controls': '\x85\x9b',
  'names of Object.prototype': '__proto__',
  'a constructor': 'constructor.prototype',
  'digits without end': repeat('9', 5000),
  'a number beyond every range': '1e400',
  'a number that is none': 'NaN',
  'a template': "${jwt.claims.sub} ${'}'} {{x}} #{y}",
  'escapes of what is forbidden': '%00%0d%0a%c0%af%ed%a0%80%',
  'JSON as deep as the head allows': repeat('[', 50_000),
  'text that makes patterns backtrack': `${repeat('a', 50_000)}!`,
  'quotes that never end': `"${repeat('\\"', 50_000)}`,
  commas: repeat(',', 50_000),
  'semicolons and equals signs': repeat('a=;', 50_000),
  dots: repeat('.', 50_000),
  spaces: `a${repeat(' ', 50_000)}b`,
  'Base64 of nothing': `:${repeat('A', 50_000)}:`,
  addresses: repeat('10.0.0.1, ', 50_000),
  'nothing at all': '',
};

const body = (type: string, content: string): Sent => ({
  ...{ method: 'POST', lines: [['Content-Type', type]], body: content },
});

/** Of everything else. */
const SHAPES: Readonly<Record<string, Sent>> = {
  'a hundred lines of one name': { lines: Array.from({ length: 95 }, (_, at) => ['X-Tier', `${MARK}${at}`] as const) },
  'more lines than a head may have': { lines: Array.from({ length: 200 }, (_, at) => [`X-${at}`, MARK] as const) },
  'ten thousand cookies': {
    lines: [
      [
        'Cookie',
        Array.from({ length: 9000 }, (_, at) => `c${at}=`)
          .join('; ')
          .slice(0, 60_000),
      ],
    ],
  },
  'cookies that are none': { lines: [['Cookie', `${MARK}; =; ;; =a; a==; "; \\`]] },
  'five thousand parameters': { query: Array.from({ length: 4000 }, (_, at) => at.toString(36)).join('&') },
  'parameters of one name': { query: repeat('a=1&', 15_000) },
  'parameters that are none': { query: `=&&==&%&%zz&%c0%af=%ed%a0%80&${MARK}=%00` },
  'names of Object.prototype everywhere': {
    query: '__proto__=1&constructor=2&hasOwnProperty=3&__proto__[a]=4&toString=5',
    lines: [
      ['__proto__', MARK],
      ['constructor', MARK],
      ['hasOwnProperty', MARK],
      ['Cookie', `__proto__=${MARK}; constructor=1; toString=2`],
    ],
  },
  'a header’s name that is none': { lines: [['X Tier', MARK]] },
  'a header’s name of other bytes': { lines: [['X-T\xefer', MARK]] },
  'a body of JSON with half a surrogate pair': body('application/json', `{"a":"\\ud800","${MARK}":"\\udfff"}`),
  'a body of JSON without an end': body('application/json', repeat('{"a":', 60_000)),
  'a body of iso-8859-1': body('text/plain; charset=iso-8859-1', `gr\xfc\xdfe ${MARK}`),
  'a body of NULs': body('application/octet-stream', repeat('\u0000', 60_000)),
  'a body of no UTF-8': body('application/json', '\xff\xfe\xc0\xaf\xed\xa0\x80'),
  'a body larger than a step reads': body('text/plain', repeat('a', 1_200_000)),
  'a length that is no number of this world': { method: 'POST', lines: [['Content-Length', repeat('9', 40)]] },
  'a chunk as large as nothing is': {
    ...{ method: 'POST', lines: [['Transfer-Encoding', 'chunked']], body: 'ffffffffffffffffff\r\na' },
  },
  'a method of other letters': { method: 'GRÜSSE' },
  'a preflight for everything': {
    method: 'OPTIONS',
    lines: [
      ['Origin', `https://${MARK}.example`],
      ['Access-Control-Request-Method', repeat('A', 5000)],
      ['Access-Control-Request-Headers', repeat('x-a,', 50_000)],
    ],
  },
};

/** Where a step looks, when it is not X-Tier. */
const PLACES: Readonly<Record<string, string>> = {
  'request-jwt': 'Authorization',
  'request-anyof': 'Authorization',
  'request-clientcertificate': 'Client-Cert',
  'request-subscription': 'X-Key',
  'request-hmacsignature': 'X-Hub-Signature-256',
  'request-deviceauth': 'X-Device',
  'request-ipfilter': 'X-Forwarded-For',
  'request-ratelimit': 'X-Forwarded-For',
  'request-quota': 'X-Forwarded-For',
  'request-concurrency': 'X-Forwarded-For',
  'request-cors': 'Origin',
};

/** Values are let through by nobody who has to know them. */
const NEVER_OPEN: ReadonlySet<string> = new Set([
  ...['request-jwt', 'request-anyof', 'request-clientcertificate', 'request-subscription'],
  ...['request-hmacsignature', 'request-deviceauth', 'request-requireheader', 'request-authorize'],
]);

/** Expressions and templates of their own: dear ones, and one for each encoding. */
const V = "request.headers['x-tier']";
const EXPRESSIONS: Readonly<Record<string, made.Spec>> = {
  'loops in loops': {
    authorize: {
      allow: [{ expression: 'request.headers.all(a, request.headers.all(b, request.query.all(c, a + b != c)))' }],
    },
  },
  patterns: { authorize: { deny: [{ expression: `${V}.matches('^(a+)+$') || ${V}.matches('(a|b|ab)*c')` }] } },
  'many dear rules': {
    authorize: {
      allow: Array.from({ length: 32 }, () => ({ expression: 'request.query.exists(a, size(request.query) < 0)' })),
    },
  },
  'texts that grow': {
    setVariables: { a: `\${${V}.replace('a', 'aaaaaaaaaaaaaaaa').replace('a', 'aaaaaaaaaaaaaaaa')}` },
  },
  conversions: {
    setVariables: { a: `\${int(${V})}`, b: `\${double(${V}) > 1.0}`, c: `\${timestamp(${V}) > request.time}` },
  },
  'a header': { setHeaders: [{ name: 'x-value', value: `\${${V}}` }] },
  pairs: { setHeaders: [{ name: 'x-pairs', pairs: { a: `\${${V}}` } }] },
  'a dictionary': { setHeaders: [{ name: 'x-dictionary', dictionary: { a: `\${${V}}` } }] },
  'a body of JSON': { respond: { status: 200, contentType: 'application/json', body: `{"a":"\${${V}}"}` } },
  'a body of HTML': { respond: { status: 200, contentType: 'text/html', body: `<p title="\${${V}}">` } },
  'a key': { rateLimit: { calls: 1000000, period: '1s', key: `\${${V}}`, maxKeys: 10, headers: true } },
  'a branch': {
    choose: {
      when: [
        {
          condition: `${V}.split(',').exists(a, a in ${V}.split(';'))`,
          steps: [{ name: 'in', removeHeaders: ['X-A'] }],
        },
      ],
    },
  },
};

/** Tokens that are let in, with claims that are not: what reads them must bear them. */
const READS_CLAIMS: readonly made.Spec[] = [
  {
    name: 'who',
    jwt: {
      ...{ issuers: ['corp'], audiences: ['api://fleet'] },
      claimHeaders: { 'x-sub': 'sub', 'x-deep': 'deep', 'x-n': 'n', 'x-proto': '__proto__', 'x-text': 'text' },
    },
  },
  {
    name: 'rules',
    authorize: {
      deny: [{ expression: 'jwt.claims.deep == jwt.claims.deep && size(jwt.claims.deep) > 1' }],
      allow: [
        { expression: "jwt.claims.all(c, c != 'admin') && !has(jwt.claims.admin)" },
        { expression: 'has(jwt.claims.constructor.name)' },
      ],
    },
  },
  { name: 'variables', setVariables: { sub: '${jwt.claims.sub}', n: '${string(jwt.claims.n)}' } },
];

interface Door {
  readonly name: string;
  readonly part: 'request' | 'response';
  readonly steps: readonly made.Spec[];
}

const lower = (part: string, table: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.keys(table).map(type => `${part}-${type.toLowerCase()}`);

function openDoors(): readonly Door[] {
  const at = (name: string): string => `request.path == '/${name}'`;
  const doors: Door[] = [];
  for (const [part, table] of [
    ['request', subjects.REQUEST_SUBJECTS],
    ['response', subjects.RESPONSE_SUBJECTS],
  ] as const) {
    for (const [type, { step, before = [], when }] of Object.entries(table)) {
      const name = `${part}-${type.toLowerCase()}`;
      const own = { name: 'it', when: when === undefined ? at(name) : `${at(name)} && (${when})`, ...step };
      doors.push({ name, part, steps: [...before.map(earlier => ({ ...earlier, when: at(name) })), own] });
    }
  }
  for (const [sentence, step] of Object.entries(EXPRESSIONS)) {
    const name = `expression-${sentence.replaceAll(' ', '-').toLowerCase()}`;
    doors.push({ name, part: 'request', steps: [{ name: 'it', when: at(name), ...step }] });
  }
  const when = at('claims');
  doors.push({ name: 'claims', part: 'request', steps: READS_CLAIMS.map(step => ({ ...step, when })) });
  return doors;
}

const DOORS = openDoors();

async function start(t: TestContext): Promise<Sidecar> {
  const { app, service } = await subjects.startCounterparts(t);
  const more = [...Object.values(subjects.REQUEST_SUBJECTS), ...Object.values(subjects.RESPONSE_SUBJECTS)];
  const manifests = [
    made.api('fleet', { trustedPeers: [{ cidr: '127.0.0.0/8' }], clientAddress: { from: 'ForwardedFor' } }),
    made.authPolicy('open', { request: [made.OPEN] }),
    ...DOORS.map(({ name, part, steps }) => made.authPolicy(name, { [part]: steps })),
    ...more.flatMap(subject => subject.more ?? []),
  ];
  const resolve = { [`${subjects.DEVICE_HOST}:80`]: service.port };
  const sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port, resolve });
  t.after(() => sidecar.close());
  return sidecar;
}

function render(path: string, { method = 'GET', query, lines = [], body: content }: Sent): string {
  const target = query === undefined ? path : `${path}?${query}`;
  const framed = lines.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const head = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${PUBLIC_HOST}`,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    ...(content === undefined || framed ? [] : [`Content-Length: ${content.length}`]),
  ];
  return `${head.join('\r\n')}\r\n\r\n${content ?? ''}`;
}

async function ask(sidecar: Sidecar, path: string, sent: Sent): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    connection.wire.send(render(path, sent));
    return await connection.readAnswer(sent.method);
  } finally {
    connection.close();
  }
}

/** What the app, or a policy in its place, answers. */
const APP_STATUS: ReadonlySet<number> = new Set([200, 203, 204, 410]);

function assertClosed(answer: Answer, where: string): void {
  if (answer.reason === '') {
    assert.ok(APP_STATUS.has(answer.status), `${where}: ${answer.head}`);
    return;
  }
  assert.ok(Object.hasOwn(REASONS, answer.reason), `${where}: ${answer.reason}`);
  assert.equal(answer.status, REASONS[answer.reason as Reason].status, where);
  assert.ok(answer.status < 500 || answer.status === 502, `${where}: ${sayAnswer(answer)}`);
}

/** Every hostile request of a door, by what it holds. */
async function* attacks({ name }: Door): AsyncGenerator<readonly [string, Sent]> {
  const place = PLACES[name] ?? 'X-Tier';
  const scheme = place === 'Authorization' ? 'Bearer ' : '';
  const before: Lines = name === 'request-deviceauth' ? [subjects.shown(subjects.robot)] : [];
  for (const [sentence, value] of Object.entries(VALUES)) {
    yield [sentence, { lines: [...before, [place, `${scheme}${value}`]] }];
    yield [`${sentence}, marked`, { lines: [...before, [place, `${scheme}${MARK}${value}`]] }];
  }
  for (const [sentence, sent] of Object.entries(SHAPES)) {
    yield [sentence, { ...sent, lines: [...before, ...(sent.lines ?? [])] }];
  }
  const readsTokens = name === 'claims' || place === 'Authorization';
  for (const [sentence, claims] of readsTokens ? Object.entries(CLAIMS) : []) {
    const token = await subjects.mint(claims, name === 'claims' ? {} : { typ: `${MARK}+jwt` });
    yield [`a token with ${sentence}`, { lines: [['Authorization', `Bearer ${token}`]] }];
  }
}

/** Signed by the issuer itself; where nobody may be let in, the type of the token is wrong. */
const CLAIMS: Readonly<Record<string, string>> = {
  'claims as deep as the head allows': `,"deep":${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  'names of Object.prototype': ',"__proto__":{"admin":true},"constructor":1',
  'a member twice': ',"sub":"bob","sub":"carol"',
  'half a surrogate pair': ',"sub":"\\ud800","text":"\\udc00"',
  'control characters': ',"sub":"a\\u0000b\\r\\nX-Injected: 1","text":"\\u001b[31m\\u2028"',
  'text as long as the head allows': `,"text":"${'a'.repeat(40_000)}"`,
  'a list as long as the head allows': `,"text":[${'1,'.repeat(15_000)}1]`,
  'a time past every calendar': ',"nbf":1e300',
  'a number beyond every range': ',"n":1e400',
  'a time that is text': ',"nbf":"soon"',
  'thousands of claims': Array.from({ length: 3000 }, (_, at) => `,"c${at}":${at}`).join(''),
};

test('every step of the schema is attacked', () => {
  const names = new Set(DOORS.map(({ name }) => name));
  for (const [part, schema] of [
    ['request', requestStep],
    ['response', responseStep],
  ] as const) {
    for (const name of schema.exactlyOneOf?.[0] ?? []) assert.ok(names.has(`${part}-${name.toLowerCase()}`), name);
  }
  for (const name of Object.keys(PLACES)) assert.ok(lower('request', subjects.REQUEST_SUBJECTS).includes(name), name);
});

test('hostile values cost a refusal, never a crash, an opening, the memory or the log', async t => {
  const sidecar = await start(t);
  const said = new Set<string>();
  for (const door of DOORS) {
    for await (const [sentence, sent] of attacks(door)) {
      const where = `${door.name}: ${sentence}`;
      const answer = await ask(sidecar, `/${door.name}`, sent);
      assertClosed(answer, where);
      if (NEVER_OPEN.has(door.name)) assert.notEqual(answer.reason, '', where);
      said.add(sayAnswer(answer));
    }
    assert.equal((await ask(sidecar, '/anything', {})).status, 200, `after ${door.name}`);
  }
  const token = await subjects.mint(',"deep":[],"n":"1"');
  const plain = await ask(sidecar, '/claims', { lines: [['Authorization', `Bearer ${token}`]] });
  assert.equal(sayAnswer(plain), '200', 'what is not hostile passes');
  assert.ok(said.size >= 20, `only ${[...said.keys()].join()}`);
  assert.equal((await sidecar.readyz()).status, 200);
  assert.equal(sidecar.running, true);
  assert.ok((await sidecar.metric('process_resident_memory_bytes')) < 400 * 1024 * 1024, 'memory is bounded');
  assertLog(sidecar);
});

/** Lines are JSON, hold no control character and nothing of what was sent. */
function assertLog({ output }: Sidecar): void {
  assert.ok(!output.includes(MARK), `the log holds ${MARK}`);
  for (const line of output.split('\n')) {
    assert.doesNotMatch(line, /\p{Cc}/u);
    if (line !== '') assert.doesNotThrow(() => void JSON.parse(line));
  }
}
