import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledClaim, CompiledJwt, CompiledStep, TokenLocation } from '../policy/steps.ts';
import {
  BEARER_LINE,
  certificateAlternative,
  has,
  judgeNow,
  jwt,
  jwtAlternative,
  literal,
  NOW,
  origin,
  permitOf,
  read,
  request,
  responseStep,
  route,
  step,
  summary,
  token,
  verifiedCertificate,
} from './testing/fakes.ts';

type Lines = readonly (readonly [string, string])[];
const QUERY: TokenLocation = { in: 'query', name: 'access_token' };
const COOKIE: TokenLocation = { in: 'cookie', name: 'session' };
const BEARER: TokenLocation = { in: 'header', name: 'Authorization', scheme: 'Bearer' };

/** The raw token that the step asks about, or the reason of the refusal. */
function found(from: readonly TokenLocation[], lines: Lines, query = ''): string {
  let asked = '';
  const at = route([step({ type: 'jwt', jwt: jwt({ from }) })]);
  const verdict = judgeNow(at, {
    request: request(lines, { query }),
    source: { token: ({ token: raw }) => ((asked = raw), token()) },
  });
  return verdict.verdict === 'Deny' ? verdict.reason : asked;
}

suite('P1: where the token is', () => {
  const cases: Record<string, [string, readonly TokenLocation[], Lines, string?]> = {
    'in the header, after the scheme': ['t', [BEARER], [['Authorization', 'Bearer t']]],
    'the scheme in any case, the header in any spelling of case': ['t', [BEARER], [['AUTHORIZATION', 'bEARER t']]],
    'several spaces after the scheme': ['t', [BEARER], [['Authorization', 'Bearer   t']]],
    'another scheme is not presented': ['TokenNotPresent', [BEARER], [['Authorization', 'Basic dTpw']]],
    'a scheme that only starts alike': ['TokenNotPresent', [BEARER], [['Authorization', 'BearerX t']]],
    'the scheme alone': ['TokenNotPresent', [BEARER], [['Authorization', 'Bearer ']]],
    'a header without a scheme is the token': ['t', [{ in: 'header', name: 'X-Token' }], [['x-token', 't']]],
    'in the query': ['t', [QUERY], [], 'a=1&access_token=t'],
    'in the query, percent-encoded': ['t.u', [QUERY], [], 'access%5Ftoken=t%2Eu'],
    'empty in the query': ['TokenNotPresent', [QUERY], [], 'access_token=&a'],
    'in a cookie': ['t', [COOKIE], [['Cookie', 'a=1; session=t; b=2']]],
    'a cookie whose name only ends alike': ['TokenNotPresent', [COOKIE], [['Cookie', 'xsession=t']]],
    nowhere: ['TokenNotPresent', [BEARER, QUERY, COOKIE], []],
    'in two places': ['DuplicateCredential', [BEARER, QUERY], [['Authorization', 'Bearer t']], 'access_token=t'],
    'two Authorization lines, even of other schemes': [
      'DuplicateCredential',
      [BEARER],
      [
        ['Authorization', 'Basic x'],
        ['authorization', 'Bearer t'],
      ],
    ],
    'two filled lines of another header': [
      'DuplicateCredential',
      [{ in: 'header', name: 'X-Token' }],
      [
        ['X-Token', 't'],
        ['X-Token', 't'],
      ],
    ],
    'twice in the query, once hidden by an escape': [
      'DuplicateCredential',
      [QUERY],
      [],
      'access_token=t&access%5ftoken=u',
    ],
    'twice in one cookie line': ['DuplicateCredential', [COOKIE], [['Cookie', 'session=t; session=u']]],
    'in two cookie lines': [
      'DuplicateCredential',
      [COOKIE],
      [
        ['Cookie', 'session=t'],
        ['Cookie', 'session=u'],
      ],
    ],
    'an empty location does not count as a second one': [
      't',
      [BEARER, QUERY],
      [['Authorization', 'Bearer t']],
      'access_token=',
    ],
  };
  for (const [name, [expected, from, lines, query]] of Object.entries(cases)) {
    test(name, () => assert.equal(found(from, lines, query), expected));
  }

  const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
  const respond = { status: 200, headers: [], contentType: 'text/plain', body: literal('ok') };
  const routes: Record<string, [string, readonly CompiledStep[]]> = {
    'no step reads it': ['DuplicateCredential', [open]],
    'a step answers in the app’s place': ['DuplicateCredential', [open, step({ type: 'respond', respond })]],
    'only an Audit policy reads it': [
      'DuplicateCredential',
      [step({ type: 'jwt', jwt: jwt() }, { origin: origin({ audit: true }) }), open],
    ],
    'a step reads it, and is named': ['DuplicateCredential policy/jwt', [step({ type: 'jwt', jwt: jwt() })]],
  };
  for (const [name, [expected, steps]] of Object.entries(routes)) {
    test(`two Authorization lines are refused on every route (security.md rule 2): ${name}`, () => {
      const lines: [string, string][] = [
        ['Authorization', 'Basic x'],
        ['authorization', ''],
      ];
      assert.equal(summary(judgeNow(route(steps), { request: request(lines) })), expected);
    });
  }

  test('across the alternatives of anyOf two places are a duplicate too, even if a certificate would do', () => {
    const alternatives = [certificateAlternative(), jwtAlternative(), jwtAlternative({ from: [QUERY] })];
    const verdict = judgeNow(route([step({ type: 'anyOf', alternatives })]), {
      request: request([BEARER_LINE], { query: 'access_token=t' }),
      source: { token: () => token(), certificate: () => verifiedCertificate() },
    });
    assert.equal(summary(verdict), 'DuplicateCredential policy/anyof');
  });
  test('two alternatives that read the same place see one credential', () => {
    const alternatives = [jwtAlternative({ audiences: new Set(['other']) }), jwtAlternative()];
    const verdict = judgeNow(route([step({ type: 'anyOf', alternatives })]), {
      request: request([BEARER_LINE]),
      source: { token: () => token() },
    });
    assert.equal(verdict.verdict, 'Permit');
  });
});

suite('P1: forwardToken', () => {
  const edits = (parts: Partial<CompiledJwt>, lines: Lines, query = '') => {
    const verdict = judgeNow(route([step({ type: 'jwt', jwt: jwt(parts) })]), {
      request: request(lines, { query }),
      source: { token: () => token() },
    });
    return permitOf(verdict).edits;
  };
  test('false removes the header', () =>
    assert.deepEqual(edits({}, [BEARER_LINE]).headers.get('authorization')?.values, []));
  test('false cuts exactly the query parameter; every other byte stays', () =>
    assert.equal(edits({ from: [QUERY] }, [], 'a=%7e+b&access%5Ftoken=t&&c=d;e').query, 'a=%7e+b&&c=d;e'));
  test('false cuts exactly the cookie', () => {
    const { headers } = edits({ from: [COOKIE] }, [['Cookie', 'a=1;  session=t; b="2;'], ['cookie', 'c=3']]); // prettier-ignore
    assert.deepEqual(headers.get('cookie')?.values, ['a=1; b="2;', 'c=3']);
  });
  test('false leaves no empty cookie line', () =>
    assert.deepEqual(edits({ from: [COOKIE] }, [['Cookie', 'session=t']]).headers.get('cookie')?.values, []));
  test('true changes nothing', () => {
    const { headers, query } = edits({ forwardToken: true, from: [BEARER, QUERY] }, [BEARER_LINE], 'a=1');
    assert.deepEqual([headers.size, query], [0, undefined]);
  });
  test('a token that nobody vouches for is not forwarded, although a certificate won', () => {
    const at = route([step({ type: 'anyOf', alternatives: [jwtAlternative(), certificateAlternative()] })]);
    const verdict = judgeNow(at, {
      request: request([BEARER_LINE]),
      source: { certificate: () => verifiedCertificate() },
    });
    assert.deepEqual(permitOf(verdict).edits.headers.get('authorization')?.values, []);
  });
  test('the winner decides over a token that another alternative reads at the same place', () => {
    const alternatives = [jwtAlternative({ audiences: new Set(['x']) }), jwtAlternative({ forwardToken: true })];
    const verdict = judgeNow(route([step({ type: 'anyOf', alternatives })]), {
      request: request([BEARER_LINE]),
      source: { token: () => token() },
    });
    assert.equal(permitOf(verdict).edits.headers.size, 0);
  });
  test('a later step still reads the token as received (E1)', () => {
    const steps = [step({ type: 'jwt', jwt: jwt() }), step({ type: 'jwt', jwt: jwt() }, { name: 'again' })];
    const verdict = judgeNow(route(steps), { request: request([BEARER_LINE]), source: { token: () => token() } });
    assert.equal(verdict.verdict, 'Permit');
  });
});

function verdictOf(parts: Partial<CompiledJwt>, evidence: ReturnType<typeof token>) {
  const at = route([step({ type: 'jwt', jwt: jwt(parts) })]);
  return judgeNow(at, { request: request([BEARER_LINE]), source: { token: () => evidence } });
}
const reasonOf = (parts: Partial<CompiledJwt>, evidence: ReturnType<typeof token>): string => {
  const verdict = verdictOf(parts, evidence);
  return verdict.verdict === 'Deny' ? verdict.reason : verdict.verdict;
};

suite('P1: times, audience, issuer', () => {
  const cases: Record<string, [string, ReturnType<typeof token>, Partial<CompiledJwt>?]> = {
    'not expired': ['Permit', token({}, { expiresAt: NOW + 1 })],
    'expired within the skew': ['Permit', token({}, { expiresAt: NOW - 29_999 })],
    'expired at the end of the skew': ['TokenExpired', token({}, { expiresAt: NOW - 30_000 })],
    'no exp': ['TokenExpirationMissing', token({}, { expiresAt: undefined as never })],
    'no exp where none is required': ['Permit', token({}, { expiresAt: undefined as never, requireExpiration: false })],
    'an exp that is no number is not a missing one': [
      'TokenMalformed',
      token({ exp: 'never' }, { expiresAt: undefined as never, requireExpiration: false }),
    ],
    'an infinite exp': ['TokenMalformed', token({ exp: 1e999 }, { expiresAt: Infinity })],
    'nbf within the skew': ['Permit', token({}, { notBefore: NOW + 30_000 })],
    'nbf beyond it': ['TokenNotYetValid', token({}, { notBefore: NOW + 30_001 })],
    'iat in the future': ['TokenNotYetValid', token({}, { issuedAt: NOW + 30_001 })],
    'too old': ['TokenTooOld', token({}, { maxTokenAgeMs: 1000, issuedAt: NOW - 31_001 })],
    'just young enough': ['Permit', token({}, { maxTokenAgeMs: 1000, issuedAt: NOW - 31_000 })],
    'of unknown age': ['TokenTooOld', token({}, { maxTokenAgeMs: 1000 })],
    'one of several audiences': ['Permit', token({ aud: ['x', 'api://fleet'] })],
    'another audience': ['TokenAudienceNotAllowed', token({ aud: ['x'] })],
    'an audience that only starts alike': ['TokenAudienceNotAllowed', token({ aud: 'api://fleet2' })],
    'no audience': ['TokenAudienceNotAllowed', token({ aud: undefined })],
    'an audience that is an object': ['TokenAudienceNotAllowed', token({ aud: { 'api://fleet': true } })],
    '[Any] takes all': ['Permit', token({ aud: 'x' }), { audiences: undefined as never }],
    'an issuer that the step does not name': ['TokenIssuerNotAllowed', token(), { issuers: ['shop/other'] }],
  };
  for (const [name, [expected, evidence, parts = {}]] of Object.entries(cases)) {
    test(name, () => assert.equal(reasonOf(parts, evidence), expected));
  }
  test('what is remembered of a token never includes the time', () => {
    const shared = jwt();
    const at = route([step({ type: 'jwt', jwt: shared })]);
    const evidence = token({}, { expiresAt: NOW + 1000 });
    const at2 = (now: number) =>
      summary(judgeNow(at, { request: request([BEARER_LINE]), source: { token: () => evidence }, context: { now } }));
    assert.deepEqual([at2(NOW), at2(NOW + 31_000)], ['Permit', 'TokenExpired policy/jwt']);
  });
  test('nor does it serve another step: the same token at two routes with different audiences', () => {
    const evidence = token();
    assert.equal(reasonOf({}, evidence), 'Permit');
    assert.equal(reasonOf({ audiences: new Set(['api://other']) }, evidence), 'TokenAudienceNotAllowed');
  });
});

suite('P1: required claims', () => {
  const claim = (name: string, parts: Partial<CompiledClaim> = {}): CompiledClaim => ({ name, match: 'All', ...parts });
  const cases: Record<string, [string, CompiledClaim, Readonly<Record<string, unknown>>]> = {
    present: ['Permit', claim('clientId'), { clientId: 'x' }],
    absent: ['TokenClaimNotFound', claim('clientId'), {}],
    'null counts as absent': ['TokenClaimNotFound', claim('clientId'), { clientId: null }],
    'an empty list counts as absent': ['TokenClaimNotFound', claim('clientId'), { clientId: [] }],
    'an empty text counts as absent': ['TokenClaimNotFound', claim('clientId'), { clientId: '' }],
    'an empty object counts as absent': ['TokenClaimNotFound', claim('clientId'), { clientId: {} }],
    'a list of nothing counts as absent': ['TokenClaimNotFound', claim('clientId'), { clientId: ['', null, {}, []] }],
    'an empty scope counts as absent': ['TokenClaimNotFound', claim('scope', { values: ['b'] }), { scope: '' }],
    'an object that holds something is present': ['Permit', claim('realm_access'), { realm_access: { roles: [] } }],
    '0 is present': ['Permit', claim('n'), { n: 0 }],
    'false is present': ['Permit', claim('flag'), { flag: false }],
    'all values': ['Permit', claim('roles', { values: ['a', 'b'] }), { roles: ['b', 'c', 'a'] }],
    'one of all missing': ['TokenClaimNotAllowed', claim('roles', { values: ['a', 'b'] }), { roles: ['a'] }],
    'any value': ['Permit', claim('roles', { match: 'Any', values: ['a', 'b'] }), { roles: ['b'] }],
    'none of any': ['TokenClaimNotAllowed', claim('roles', { match: 'Any', values: ['a'] }), { roles: 'A' }],
    'scope splits on spaces': [
      'Permit',
      claim('scope', { values: ['ManagementApi'] }),
      { scope: 'openid ManagementApi' },
    ],
    'scp too': ['Permit', claim('scp', { values: ['b'] }), { scp: 'a b' }],
    'scope as a list': ['Permit', claim('scope', { values: ['b'] }), { scope: ['a', 'b'] }],
    'scope present without the value': ['InsufficientScope', claim('scope', { values: ['b'] }), { scope: 'a bb' }],
    'scope absent': ['TokenClaimNotFound', claim('scope', { values: ['b'] }), {}],
    'another claim does not split on spaces': ['TokenClaimNotAllowed', claim('r', { values: ['b'] }), { r: 'a b' }],
    'a separator splits': ['Permit', claim('r', { values: ['b'], separator: ',' }), { r: 'a,b' }],
    'a number by its JSON text': ['Permit', claim('n', { values: ['42'] }), { n: 42 }],
    'a boolean by its JSON text': ['Permit', claim('b', { values: ['true'] }), { b: true }],
    'an object has no value': ['TokenClaimNotAllowed', claim('o', { values: ['[object Object]'] }), { o: { a: 1 } }],
    'a name is literal, not a path': ['TokenClaimNotFound', claim('a.b'), { a: { b: 1 } }],
    'a name with dots': ['Permit', claim('https://x/roles', { values: ['y'] }), { 'https://x/roles': 'y' }],
    'no claim is inherited': ['TokenClaimNotFound', claim('constructor'), {}],
    'nor is __proto__': ['TokenClaimNotFound', claim('__proto__'), {}],
  };
  for (const [name, [expected, required, claims]] of Object.entries(cases)) {
    test(name, () => assert.equal(reasonOf({ requiredClaims: [required] }, token(claims)), expected));
  }
  test('claims named as members of Object.prototype are ordinary claims', () => {
    const claims = JSON.parse('{"__proto__": "p", "constructor": "c", "toString": ["t"]}') as Record<string, unknown>;
    const evidence = token();
    for (const name of Object.keys(claims))
      Object.defineProperty(evidence.token.claims, name, { value: claims[name], enumerable: true });
    const required = [
      claim('__proto__', { values: ['p'] }),
      claim('constructor', { values: ['c'] }),
      claim('toString'),
    ];
    assert.equal(reasonOf({ requiredClaims: required }, evidence), 'Permit');
  });
  test('a claim set with hostile names can still be read by expressions', () => {
    const evidence = token({ constructor: 'c', role: 'admin' });
    const permit = permitOf(verdictOf({}, evidence));
    const bindings = permit.bindingsOf(
      responseStep({ type: 'removeHeaders', removeHeaders: [] }, { origin: origin() }),
      {},
    );
    assert.equal(read(bindings, 'jwt.claims.role'), 'admin');
  });
});

suite('P1: claimHeaders', () => {
  const sent = (claim: unknown) => {
    const verdict = verdictOf({ claimHeaders: [{ name: 'X-Claim', claim: 'c' }] }, token({ c: claim }));
    return verdict.verdict === 'Deny' ? verdict.reason : permitOf(verdict).edits.headers.get('x-claim')?.values;
  };
  const cases: [unknown, unknown][] = [
    ['web-1', ['web-1']],
    ['', []],
    [[''], []],
    [['', 'a'], [',a']],
    [0, ['0']],
    [42, ['42']],
    [true, ['true']],
    [['a', 'b'], ['a,b']],
    [['a,b', 'c'], ['a%2Cb,c']],
    ['a,b', ['a%2Cb']],
    ['100%', ['100%25']],
    [' José ', ['%20Jos%C3%A9%20']],
    ['two words', ['two words']],
    ['😀', ['%F0%9F%98%80']],
    [undefined, []],
    [null, []],
    [[], []],
    [{ a: 1 }, []],
    [['a', {}], []],
    ['a\r\nX-Admin: 1', 'ExpressionFailed'],
    ['a\u0000', 'ExpressionFailed'],
    [['a', 'b\n'], 'ExpressionFailed'],
  ];
  for (const [claim, expected] of cases) {
    test(`${JSON.stringify(claim)} → ${JSON.stringify(expected)}`, () => assert.deepEqual(sent(claim), expected));
  }
  test('a claim that is absent removes the header, whatever the client sent', () => {
    const parts = { claimHeaders: [{ name: 'X-Client-Id', claim: 'clientId' }] };
    assert.deepEqual(permitOf(verdictOf(parts, token())).edits.headers.get('x-client-id')?.values, []);
  });
});

suite('P1: boundToCertificate (RFC 8705)', () => {
  const outcome = (claims: Readonly<Record<string, unknown>>, binding: string | undefined) =>
    summary(
      judgeNow(route([step({ type: 'jwt', jwt: jwt({ boundToCertificate: true }) })]), {
        request: request([BEARER_LINE]),
        source: { token: () => token(claims), binding: () => binding },
      }),
    );
  const cases: Record<string, [string, Readonly<Record<string, unknown>>, string | undefined]> = {
    'the same certificate': ['Permit', { cnf: { 'x5t#S256': 'abc' } }, 'abc'],
    'another certificate': ['TokenBindingMismatch policy/jwt', { cnf: { 'x5t#S256': 'abc' } }, 'abd'],
    'no certificate': ['TokenBindingMismatch policy/jwt', { cnf: { 'x5t#S256': 'abc' } }, undefined],
    'a token without confirmation': ['TokenBindingMismatch policy/jwt', {}, 'abc'],
    neither: ['TokenBindingMismatch policy/jwt', {}, undefined],
    'an empty confirmation': ['TokenBindingMismatch policy/jwt', { cnf: { 'x5t#S256': '' } }, ''],
    'a confirmation that is no object': ['TokenBindingMismatch policy/jwt', { cnf: 'abc' }, 'abc'],
  };
  for (const [name, [expected, claims, binding]] of Object.entries(cases)) {
    test(name, () => assert.equal(outcome(claims, binding), expected));
  }
});

test('E5: the token of a refused step is never visible', () => {
  const steps = [
    step({ type: 'jwt', jwt: jwt({ audiences: new Set(['x']) }) }, { origin: origin({ name: 'a', audit: true }) }),
    step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] }, { origin: origin({ name: 'b' }) }),
  ];
  const verdict = judgeNow(route(steps), { request: request([BEARER_LINE]), source: { token: () => token() } });
  const later = responseStep(
    { type: 'removeHeaders', removeHeaders: [] },
    { origin: origin({ name: 'b', scope: 'Operation' }) },
  );
  assert.equal(has(permitOf(verdict).bindingsOf(later, {}), 'jwt.subject'), false);
});
