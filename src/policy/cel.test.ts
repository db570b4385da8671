import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createPolicyEnvironment, SERVICE_ANSWER, shapeStep } from './cel-environment.ts';
import { compileExpression, type Expected } from './cel.ts';
import { ExpressionError, type Bindings } from './expression.ts';

const environment = createPolicyEnvironment({
  params: new Set(['deviceId']),
  steps: new Map([
    ['device', shapeStep('deviceAuth')],
    ['devices-only', shapeStep('authorize')],
    ['caller', shapeStep('anyOf')],
  ]),
  vars: new Set(['tier']),
  response: false,
  reasons: new Map([['steps.later', 'runs later in this policy']]),
});

const record = (members: object): object => Object.assign(Object.create(null) as object, members);
const empty = record({});

const bindings: Bindings = {
  request: record({
    method: 'GET',
    path: '/v1/x',
    host: 'fleet.example.com',
    scheme: 'https',
    size: 42n,
    time: new Date('2026-11-23T10:30:15.250Z'),
    query: record({ q: ['a', 'b'] }),
    headers: new Map([
      ['constructor', 'x'],
      ['__proto__', 'y'],
      ['x-env', 'prod'],
    ]),
  }),
  params: record({ deviceId: 'robot-7' }),
  source: record({ ip: '192.0.2.1' }),
  jwt: record({
    issuer: 'https://issuer',
    subject: 'alice',
    audience: ['api://fleet'],
    claims: new Map<string, unknown>([
      ['scope', 'read write'],
      ['roles', ['admin', 'user']],
      ['level', 3n],
      ['ratio', 0.5],
      ['constructor', 'evil'],
      ['nothing', null],
      ['nested', record({ a: record({ b: true }) })],
    ]),
  }),
  cert: record({ sha1: 'AB', subject: record({ CN: 'robot-7' }), issuer: empty, subjectAltName: record({ uri: [] }) }),
  subscription: empty,
  caller: record({ kind: 'Jwt', id: 'alice' }),
  vars: record({ tier: 'gold' }),
  steps: record({ device: record({ ran: true, status: 200n, body: record({ deviceId: 'robot-7' }) }) }),
};

function evaluate(source: string, expected: Expected = 'bool', on: Bindings = bindings): unknown {
  const compiled = compileExpression(source, environment, expected);
  if ('problem' in compiled) assert.fail(`${source}: ${compiled.problem}`);
  return compiled.evaluate(on);
}

function refuse(source: string, expected: Expected = 'bool'): string {
  const compiled = compileExpression(source, environment, expected);
  return 'problem' in compiled ? `${compiled.problem}, ${compiled.fix}` : assert.fail(`${source} was accepted`);
}

describe('expressions', () => {
  const truths: readonly string[] = [
    'true',
    "request.method == 'GET' || has(cert.sha1)",
    'has(cert.sha1) && !has(cert.sha256)',
    "!has(jwt.claims.missing) && jwt.claims.scope == 'read write'",
    "jwt.claims.constructor == 'evil' && request.headers['__proto__'] == 'y'",
    "request.headers.constructor == 'x' && !has(request.headers.hasOwnProperty)",
    "'admin' in jwt.claims.roles && !('root' in jwt.claims.roles)",
    "'roles' in jwt.claims",
    "jwt.claims.roles.exists(r, r == 'user')",
    'jwt.claims.roles.all(r, r.size() > 3)',
    "jwt.claims.roles.exists_one(r, r.startsWith('a'))",
    "jwt.claims.roles.filter(r, r != 'user').size() == 1",
    "jwt.claims.roles.map(r, r.upperAscii()).join('+') == 'ADMIN+USER'",
    "jwt.claims.roles.map(r, r != 'user', r + '!') == ['admin!']",
    "jwt.claims.roles.exists(r, ['x', 'ad'].exists(p, r.startsWith(p)))",
    "jwt.claims.roles.exists(r, jwt.claims.roles.exists(r, r == 'user') && r == 'admin')",
    'jwt.claims.level == 3 && jwt.claims.level < 4 && jwt.claims.level > 2.5',
    'jwt.claims.level != 3.5 && dyn(3) == 3.0',
    'jwt.claims.nested.a.b == true',
    'jwt.claims.nothing == null',
    "jwt.claims.roles[0] == 'admin' && request.query.q[1] == 'b'",
    "params.deviceId.startsWith('robot-') && params['deviceId'] == 'robot-7'",
    'params.deviceId == cert.subject.CN && params.deviceId == steps.device.body.deviceId',
    'steps.device.ran && steps.device.status == 200 && has(steps.device.body.deviceId)',
    "vars.tier == 'gold' ? true : false",
    'request.size + 1 == 43 && request.size * 2 / 4 % 10 == 1 && -request.size < 0',
    "request.time > timestamp('2026-01-01T00:00:00Z') && request.time.getHours() == 10",
    "request.time.getHours('Europe/Berlin') == 11 && request.time.getMinutes('Asia/Kolkata') == 0",
    'request.time.getDayOfWeek() == 1 && request.time.getFullYear() == 2026 && request.time.getMonth() == 10',
    'request.time.getDayOfYear() == 326 && request.time.getDate() == 23 && request.time.getDayOfMonth() == 22',
    "request.time + duration('1h30m') == timestamp('2026-11-23T12:00:15.25Z')",
    "request.time - timestamp('2026-11-23T10:30:00Z') == duration('15.25s') && duration('90m').getHours() == 1",
    "'a,b,c'.split(',').size() == 3 && 'a,b,c'.split(',', 2)[1] == 'b,c'",
    "'hello'.substring(1, 3) == 'el' && 'héllo'.size() == 5 && '😀x'.size() == 2 && '😀x'.substring(1) == 'x'",
    "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.indexOf('l', 3) == 3",
    "'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '+', 1) == 'a+b-c'",
    "' x '.trim() == 'x' && 'ÀB'.lowerAscii() == 'Àb' && 'àb'.upperAscii() == 'àB'",
    "'abc'.matches('^a.c$') && !'abc'.matches('^b')",
    "string(3) + 'x' == '3x' && int('12') == 12 && double('1.5') == 1.5 && bool('true')",
    "string(duration('90s')) == '90s' && int(request.time) == 1795429815",
    "{'a': 1}['a'] == 1 && 'a' in {'a': 1} && {1: 'x'}[1] == 'x'",
    "[1, 2] == [1, 2] && {'a': [1]} == {'a': [1]} && [1] + [2] == [1, 2]",
    "'a' < 'b' && !('b' <= 'a') && 'b' >= 'b'",
    "caller.kind == 'Jwt' && source.ip == '192.0.2.1'",
  ];
  for (const source of truths) {
    test(`true: ${source}`, () => assert.equal(evaluate(source), true));
  }

  const errors: Readonly<Record<string, string>> = {
    'an absent leaf': "cert.sha256 == 'x'",
    'an absent claim': 'jwt.claims.missing == 1',
    'a member of null': "jwt.claims.nothing.x == 'a'",
    'a member of a string': "jwt.claims.scope.x == 'a'",
    'a name of Object.prototype': "jwt.claims.toString == 'x'",
    'an index out of range': "jwt.claims.roles[2] == 'x'",
    'a negative index': "jwt.claims.roles[-1] == 'x'",
    'order of unlike values': 'jwt.claims.scope < jwt.claims.level',
    'arithmetic of unlike values': 'jwt.claims.level + jwt.claims.ratio == 1.0',
    overflow: '9223372036854775807 + request.size > 0',
    'division by zero': 'request.size / (request.size - 42) == 1',
    'a condition that is not a bool': 'jwt.claims.scope',
    'a failing side that the other does not decide': "cert.sha256 == 'x' || false",
    'a failing item that no other decides': "jwt.claims.roles.exists(r, r.matches('x') || cert.sha256 == r)",
    'a string function on an int': "jwt.claims.level.startsWith('3')",
  };
  for (const [what, source] of Object.entries(errors)) {
    test(`E8: ${what} is an ExpressionError: ${source}`, () => {
      assert.throws(() => evaluate(source), ExpressionError);
    });
  }

  test('a side that decides makes up for one that fails', () => {
    assert.equal(evaluate("cert.sha256 == 'x' || true"), true);
    assert.equal(evaluate("true || cert.sha256 == 'x'"), true);
    assert.equal(evaluate("cert.sha256 == 'x' && false"), false);
    assert.equal(evaluate("jwt.claims.roles.exists(r, r == 'user' || cert.sha256 == r)"), true);
  });

  test('an error never quotes a value of the request', () => {
    assert.throws(
      () => evaluate('int(jwt.claims.scope) == 1'),
      (error: unknown) => error instanceof ExpressionError && !error.message.includes('read'),
    );
  });

  test('an expression says which variables it reads', () => {
    const compiled = compileExpression("has(cert.sha1) && params['deviceId'] != vars.tier", environment, 'bool');
    assert.ok(!('problem' in compiled));
    assert.deepEqual([...compiled.reads].sort(), ['cert', 'params', 'vars']);
    assert.deepEqual(compiled.references, [
      ['cert', 'sha1'],
      ['params', 'deviceId'],
      ['vars', 'tier'],
    ]);
  });

  test('P3: the default expression of a DeviceAuthService', () => {
    const source =
      'body.deviceId == deviceId && (!has(body.certificateThumbprint) || body.certificateThumbprint.upperAscii() == cert.sha1)';
    const compiled = compileExpression(source, SERVICE_ANSWER, 'bool');
    assert.ok(!('problem' in compiled));
    const judge = (body: object): unknown =>
      compiled.evaluate({ ...bindings, deviceId: 'robot-7', body, status: 200n });
    assert.equal(judge(record({ deviceId: 'robot-7' })), true);
    assert.equal(judge(record({ deviceId: 'robot-7', certificateThumbprint: 'ab' })), true);
    assert.equal(judge(record({ deviceId: 'robot-7', certificateThumbprint: 'cd' })), false);
    assert.equal(judge(record({ deviceId: 'other' })), false);
    assert.throws(() => judge(empty), ExpressionError);
  });
});

describe('refused when the policy loads', () => {
  const refusals: Readonly<Record<string, string>> = {
    'foo == 1':
      'uses the variable "foo", which does not exist here, use one of request, source, jwt, cert, subscription, caller, params, vars and steps',
    'requests.method': 'uses the variable "requests", which does not exist here, write request',
    "cert.sha11 == 'x'": 'reads cert.sha11, which does not exist here, write cert.sha1',
    'has(cert.sha11)': 'reads cert.sha11, which does not exist here, write cert.sha1',
    "params.deviceid == 'x'": 'reads params.deviceid, which does not exist here, write params.deviceId',
    "vars.teir == 'x'": 'reads vars.teir, which does not exist here, write vars.tier',
    'steps.later.ran': 'reads steps.later, which runs later in this policy, read what is known at this place',
    'steps.device.alternative == 1':
      'reads steps.device.alternative, which does not exist here, use one of ran, status and body',
    "steps['devices-only'].body == 1": 'reads steps.devices-only.body, which does not exist here, use one of ran',
    'steps[request.method].ran': 'reads steps by a computed name, write the name literally, so that it can be checked',
    '[cert] == []':
      'uses cert as a whole, read one of its members: sha1, sha256, publicKeyPin, serialNumber, subject, issuer, subjectAltName and notAfter',
    'request.path.matches(params.deviceId)':
      'calls matches() with a computed pattern, write the regular expression as a literal string',
    "request.path.matches('(a)\\\\1')":
      'the regular expression "(a)\\\\1" is not one of RE2 (back-references and look-around do not exist there), write it for RE2',
    "request.path.matches('(((a{100}){100}){100})')":
      'the regular expression "(((a{100}){100}){100})" is not one of RE2 (back-references and look-around do not exist there), write it for RE2',
    "request.path.startWith('x')":
      'calls .startWith() in a way that does not exist here, is startsWith meant, with other arguments?',
    'cel.bind(x, request.path, x == x)':
      'calls .bind() in a way that does not exist here, use one of size, startsWith, endsWith, contains, lowerAscii, upperAscii, trim, substring, indexOf, lastIndexOf, split, join, replace, all, exists, exists_one, map, filter and matches',
    "b'x' == b'x'": 'holds a literal of type bytes or uint, which do not exist here, use a string or an int',
    "bytes('x') == bytes('x')":
      'calls bytes() in a way that does not exist here, use one of size, int, double, string, bool, dyn, timestamp, duration and has',
    "request.time.getHours('Mars/Olympus') == 1":
      'names the time zone "Mars/Olympus", which does not exist, write an IANA name: "Europe/Berlin"',
    'request.path': 'is of type string, but a bool is wanted, write a condition: true or false',
    "request.path + 1 == 'x'": 'has a wrong type: no such overload: string + int, mend the expression',
    "request.method = 'GET'": 'is not valid CEL: Unexpected character: = (column 16), did you mean ==?',
    'has(request)': 'uses has() on something else than a member, write has(a.b)',
    "request.method == 'GET' and\nrequest.size > 1":
      "is not valid CEL: Unexpected character: 'd' (column 25), did you mean &&?",
    "request.size > 1 &&\n request.method = 'GET'":
      'is not valid CEL: Unexpected character: = (line 2, column 17), did you mean ==?',
    "request.?path == 'x'": 'is not valid CEL: Expected IDENTIFIER, got QUESTION (column 9), mend the expression',
  };
  for (const [source, words] of Object.entries(refusals)) {
    test(source, () => assert.equal(refuse(source), words));
  }

  test('a value that may not stand in a template', () => {
    assert.equal(
      refuse('request.query.q', 'text'),
      'holds a value of type list<string>, but only string, int and bool may stand in a template, convert it with string(…) or join(…)',
    );
  });

  test('expressions that are too deep or too large', () => {
    assert.match(refuse(`${'('.repeat(100)}true${')'.repeat(100)}`), /maxDepth/);
    assert.match(refuse(`[${'1,'.repeat(300)}1].size() > 1`), /maxListElements/);
    assert.match(refuse(`true${' && true'.repeat(1000)}`), /longer than 4096/);
  });
});

describe('cost is bounded', () => {
  const long = 'a'.repeat(100_000);
  const many = Array.from({ length: 10_000 }, (_, i) => `v${i}`);
  const hostile: Bindings = {
    ...bindings,
    request: record({
      ...(bindings['request'] as object),
      path: long,
      headers: new Map([
        ['x', long],
        ['y', `${'a'.repeat(25_000)}b${'a'.repeat(25_000)}`],
      ]),
      query: record({ q: many }),
    }),
  };
  const tooDear: readonly string[] = [
    'request.query.q.all(x, request.query.q.exists(y, x == y))',
    'request.query.q.map(x, request.query.q).size() > 0 && request.query.q.all(x, x in request.query.q)',
    "request.query.q.exists(x, request.path.contains(x + 'zzz'))",
    'request.path.contains(request.headers.y)',
    "request.path.split('').size() > 0",
    "request.path.replace('a', request.path) == ''",
    'request.query.q.map(x, request.path).join() == ""',
    "request.path.matches('(?i)[ab]*a[ab]{400}[^ab]')",
  ];
  for (const source of tooDear) {
    test(`given up: ${source}`, () => assert.throws(() => evaluate(source, 'bool', hostile), ExpressionError));
  }

  test('an ordinary pattern judges a header of 64 KiB', () => {
    const on = { ...bindings, request: record({ ...(bindings['request'] as object), path: 'a'.repeat(65_536) }) };
    assert.equal(evaluate("request.path.matches('^[a-z]+$')", 'bool', on), true);
  });

  test('nested repetitions do not backtrack', () => {
    assert.equal(
      evaluate("request.path.matches('^(a+)+$')", 'bool', {
        ...hostile,
        request: record({ path: `${long.slice(0, 20_000)}!` }),
      }),
      false,
    );
  });
});
