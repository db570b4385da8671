import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { REASON_NAMES, REASONS, type Reason } from '../api/reasons.ts';
import { renderDenial } from './challenge.ts';
import { objectToScope } from './objection.ts';
import { refuse } from './refuse.ts';
import {
  errors,
  judgeNow,
  jwt,
  literal,
  origin,
  request,
  route,
  step,
  template,
  token,
  BEARER_LINE,
} from './testing/fakes.ts';
import type { Denial } from './verdict.ts';

const ABOUT = { requestId: 'req-1', realm: 'fleet' };
type Parts = Parameters<typeof errors>[0];
const denial = (reason: Reason, parts: Parts = {}, more: Partial<Denial> = {}): Denial => ({
  ...refuse(reason, errors(parts)),
  ...more,
});
const valuesOf = (name: string, rendered: ReturnType<typeof renderDenial>) =>
  rendered.headers.filter(([header]) => header.toLowerCase() === name).map(([, value]) => value);
const bodyOf = (one: Denial): unknown => JSON.parse(renderDenial(one, ABOUT).body);
const override = (reason: Reason, to: { status?: number; message?: string }) => ({
  overrides: new Map([[reason, to]]),
});

suite('problem documents (RFC 9457)', () => {
  test('say type, title, status, reason and request id', () => {
    const rendered = renderDenial(denial('TokenExpired'), ABOUT);
    assert.deepEqual(JSON.parse(rendered.body), {
      type: 'https://sallyport.dev/problems/TokenExpired',
      title: 'Token expired',
      status: 401,
      reason: 'TokenExpired',
      requestId: 'req-1',
    });
    assert.deepEqual(rendered.headers, [
      ['WWW-Authenticate', 'Bearer realm="fleet", error="invalid_token"'],
      ['Content-Type', 'application/problem+json'],
      ['Cache-Control', 'no-store'],
      ['X-Request-Id', 'req-1'],
    ]);
  });

  test('includeReason: false: title, status and request id only, with a type and a title that tell nothing', () => {
    for (const reason of REASON_NAMES) {
      const { status } = REASONS[reason];
      const one = denial(
        reason,
        { includeReason: false, includePolicy: true },
        { message: 'm', label: 'p/s', origin: origin() },
      );
      const body = bodyOf(one) as Record<string, unknown>;
      assert.deepEqual(Object.keys(body), ['type', 'title', 'status', 'requestId']);
      assert.equal(body['type'], 'about:blank');
      const other = REASON_NAMES.find(name => name !== reason && REASONS[name].status === status);
      if (other !== undefined) assert.deepEqual(bodyOf(denial(other, { includeReason: false })), body);
    }
  });

  test('includeReason: false leaves the scopes out of the challenge as well', () => {
    const { challenges } = objectToScope(['secret-scope']);
    const rendered = renderDenial(denial('InsufficientScope', { includeReason: false }, { challenges }), ABOUT);
    assert.deepEqual(valuesOf('www-authenticate', rendered), ['Bearer realm="fleet", error="insufficient_scope"']);
  });

  test('includePolicy names policy and step', () => {
    const one = denial(
      'AuthorizationDenied',
      { includePolicy: true },
      { label: 'fleet/rules', origin: origin({ name: 'fleet' }) },
    );
    assert.partialDeepStrictEqual(bodyOf(one), { policy: 'shop/fleet', step: 'fleet/rules' });
    const silent = denial('AuthorizationDenied', {}, { label: 'fleet/rules', origin: origin({ name: 'fleet' }) });
    assert.ok(!renderDenial(silent, ABOUT).body.includes('fleet'));
  });

  test('a rule’s message is the detail, an override’s message comes before it', () => {
    const told = { message: 'lab devices are not served here' };
    assert.partialDeepStrictEqual(bodyOf(denial('AuthorizationDenied', {}, told)), { detail: told.message });
    const overridden = denial('AuthorizationDenied', override('AuthorizationDenied', { message: 'No.' }), told);
    assert.partialDeepStrictEqual(bodyOf(overridden), { detail: 'No.', status: 403 });
  });

  test('nothing in a message can break out of the document', () => {
    const message = '"}\r\nX: </script>\u2028';
    assert.partialDeepStrictEqual(bodyOf(denial('AuthorizationDenied', {}, { message })), { detail: message });
  });

  test('Text and Empty', () => {
    const text = renderDenial(denial('TokenExpired', { format: 'Text' }), ABOUT);
    assert.equal(text.body, 'Token expired\nreason: TokenExpired\nrequest: req-1\n');
    const hidden = renderDenial(denial('TokenExpired', { format: 'Text', includeReason: false }), ABOUT);
    assert.equal(hidden.body, 'Unauthorized\nrequest: req-1\n');
    const empty = renderDenial(denial('TokenExpired', { format: 'Empty' }), ABOUT);
    assert.deepEqual([empty.body, valuesOf('content-type', empty)], ['', []]);
  });
});

suite('status, challenges and Retry-After', () => {
  test('every reason has its own status', () => {
    for (const reason of REASON_NAMES) assert.equal(renderDenial(denial(reason), ABOUT).status, REASONS[reason].status);
  });

  test('every 401 carries a challenge, nothing but 401 and RFC 6750’s 400 and 403 does', () => {
    for (const reason of REASON_NAMES) {
      const rendered = renderDenial(denial(reason), ABOUT);
      const expected = rendered.status === 401 || reason === 'DuplicateCredential';
      assert.equal(valuesOf('www-authenticate', rendered).length > 0, expected, reason);
    }
  });

  const overridden: Record<string, [Reason, number, string[]]> = {
    '401 told as 403 loses its challenge': ['TokenExpired', 403, []],
    '403 told as 401 gets one': ['AuthorizationDenied', 401, ['Bearer realm="fleet"']],
    'of a certificate’s sort where a certificate was refused': [
      'ClientCertificateRevoked',
      401,
      ['ClientCertificate realm="fleet"'],
    ],
    'or a device': ['DeviceNotRecognized', 401, ['ClientCertificate realm="fleet"']],
    '401 told as 401 keeps it': ['TokenExpired', 401, ['Bearer realm="fleet", error="invalid_token"']],
    '400 told as 404 has none': ['DuplicateCredential', 404, []],
  };
  for (const [name, [reason, status, expected]] of Object.entries(overridden)) {
    test(name, () => {
      const rendered = renderDenial(denial(reason, override(reason, { status })), ABOUT);
      assert.deepEqual([rendered.status, valuesOf('www-authenticate', rendered)], [status, expected]);
    });
  }

  test('insufficient_scope names the scopes that would do (RFC 6750 section 3.1)', () => {
    const required = [{ name: 'scope', match: 'All', values: ['a', 'b"', 'c'] }] as const;
    const verdict = judgeNow(route([step({ type: 'jwt', jwt: jwt({ requiredClaims: required }) })]), {
      request: request([BEARER_LINE]),
      source: { token: () => token({ scope: 'x' }) },
    });
    assert.ok(verdict.verdict === 'Deny');
    const rendered = renderDenial(verdict, ABOUT);
    assert.equal(rendered.status, 403);
    assert.deepEqual(valuesOf('www-authenticate', rendered), [
      'Bearer realm="fleet", error="insufficient_scope", scope="a c"',
    ]);
  });

  test('a realm cannot break out of its quotes', () => {
    const rendered = renderDenial(denial('TokenNotPresent'), { requestId: 'r', realm: 'a"\\\r\nb é' });
    assert.deepEqual(valuesOf('www-authenticate', rendered), ['Bearer realm="a\\"\\\\b "']);
  });

  test('Retry-After where it is known, and on every 503 that is sent', () => {
    const after = (one: Denial) => valuesOf('retry-after', renderDenial(one, ABOUT));
    assert.deepEqual(after(denial('RateLimitExceeded', {}, { retryAfter: 7 })), ['7']);
    assert.deepEqual(after(denial('KeysUnavailable')), ['5']);
    assert.deepEqual(after(denial('Draining', {}, { retryAfter: 1 })), ['1']);
    assert.deepEqual(after(denial('KeysUnavailable', override('KeysUnavailable', { status: 500 }))), []);
    assert.deepEqual(after(denial('QuotaExceeded', {}, { retryAfter: 7 })), ['7']);
    assert.deepEqual(after(denial('AuthorizationDenied')), []);
  });
});

suite('errors.headers', () => {
  test('are sent, but cannot replace what is ours', () => {
    const names = [
      'X-Support',
      'WWW-Authenticate',
      'content-length',
      'Transfer-Encoding',
      'Cache-Control',
      'X-Request-Id',
    ];
    const plan = errors({ headers: names.map(name => ({ name, value: literal('mine') })) });
    const rendered = renderDenial(refuse('TokenExpired', plan), ABOUT);
    assert.deepEqual(
      rendered.headers.filter(([, value]) => value === 'mine').map(([name]) => name),
      ['X-Support'],
    );
  });
  test('before a match they see the request when there is one', () => {
    const plan = errors({
      headers: [{ name: 'X-Host', value: template(b => (b['request'] as { host: string }).host) }],
    });
    assert.deepEqual(refuse('OperationNotFound', plan, { request: request() }).errorHeaders, [
      { name: 'X-Host', value: 'fleet.example.com' },
    ]);
    assert.deepEqual(refuse('MalformedRequest', plan).errorHeaders, []);
  });
});

test('respond is sent as it was rendered, with the request id', () => {
  const respond = {
    status: 410,
    headers: [{ name: 'X-A', value: literal('1') }],
    contentType: 'text/plain',
    body: literal('gone'),
  };
  const verdict = judgeNow(route([step({ type: 'respond', respond })]));
  assert.ok(verdict.verdict === 'Respond');
  assert.deepEqual(renderDenial(verdict, ABOUT), {
    status: 410,
    headers: [
      ['X-A', '1'],
      ['Content-Type', 'text/plain'],
      ['X-Request-Id', 'req-1'],
    ],
    body: 'gone',
  });
});
