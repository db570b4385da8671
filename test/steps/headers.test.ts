/** requireHeader, setHeaders, removeHeaders, authorize, ipFilter and what counts: each row at five scopes. P13, E8, E9, S4. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { CouldNotDecide } from '../../src/decision/could-not-decide.ts';
import type { ConcurrencyRequest, QuotaRequest, RateRequest } from '../../src/decision/evidence.ts';
import { testRows, type Asked, type Row } from './step-table.ts';

const sends = (...headers: readonly (readonly [string, string])[]): Asked => ({ headers });

describe('requireHeader', () => {
  const step = (text: string): string => `request: [{name: s, requireHeader: {name: X-Env${text}}}]`;
  const oneOf = step(', values: [prod, test]');
  testRows({
    'a header that is there passes': { policy: step(''), request: sends(['x-env', 'a']), answer: 'Permit' },
    'one that is missing is 403 HeaderNotFound': { policy: step(''), answer: '403 HeaderNotFound p/s' },
    'one that is empty is there': { policy: step(''), request: sends(['X-Env', '']), answer: 'Permit' },
    'one that is empty is not a value of the list': {
      policy: oneOf,
      request: sends(['X-Env', '']),
      answer: '403 HeaderValueNotAllowed p/s',
    },
    'with ignoreCase they are not': {
      policy: step(', values: [prod], ignoreCase: true'),
      request: sends(['X-Env', 'PROD']),
      answer: 'Permit',
    },
    'a spelling that back ends fold into it is another header': {
      policy: step(''),
      request: sends(['X_Env', 'a']),
      answer: '403 HeaderNotFound p/s',
    },
    'a value of the list passes': { policy: oneOf, request: sends(['X-Env', 'test']), answer: 'Permit' },
    'another value is 403 HeaderValueNotAllowed': {
      policy: oneOf,
      request: sends(['X-Env', 'testing']),
      answer: '403 HeaderValueNotAllowed p/s',
    },
    'values are compared in their case': {
      policy: oneOf,
      request: sends(['X-Env', 'TEST']),
      answer: '403 HeaderValueNotAllowed p/s',
    },
    'two lines, of which one would do, do not': {
      policy: oneOf,
      request: sends(['X-Env', 'test'], ['X-Env', 'other']),
      answer: '403 HeaderValueNotAllowed p/s',
    },
  });
});

describe('setHeaders', () => {
  const set = (text: string): string => `request: [{name: s, setHeaders: [${text}]}]`;
  const row = (text: string, request: Asked, sent: Row['sent'] = {}): Row => ({
    policy: set(text),
    request,
    answer: 'Permit',
    sent,
  });
  testRows({
    'a header that the client sent is replaced': row('{name: X-Id, value: ours}', sends(['x-id', 'theirs']), {
      'x-id': ['ours'],
    }),
    'every line of it is': row('{name: X-Id, value: ours}', sends(['x-id', 'a'], ['X-ID', 'b']), { 'x-id': ['ours'] }),
    'Skip keeps what is there': row('{name: X-Id, value: ours, ifExists: Skip}', sends(['x-id', 'theirs'])),
    'Skip sets what is not there': row('{name: X-Id, value: ours, ifExists: Skip}', {}, { 'x-id': ['ours'] }),
    'Append puts ours after theirs': row('{name: X-Id, value: ours, ifExists: Append}', sends(['x-id', 'theirs']), {
      'x-id': ['theirs', 'ours'],
    }),
    'a template says what was verified': row(
      '{name: X-Device, value: "${params.deviceId}"}',
      {},
      {
        'x-device': ['robot-7'],
      },
    ),
    'pairs are encoded, in the order of their keys': row(
      '{name: X-C, pairs: {b: "a=b;c", a: "${request.method}"}}',
      {},
      { 'x-c': ['a=POST;b=a%3Db%3Bc;'] },
    ),
    'a dictionary is one of RFC 9651': row(
      '{name: X-C, dictionary: {id: "${params.deviceId}", n: "${request.size}"}}',
      {},
      {
        'x-c': ['id="robot-7", n=0'],
      },
    ),
    'a value that is not there is 403 ExpressionFailed': {
      policy: set('{name: X-C, value: "${cert.sha1}"}'),
      answer: '403 ExpressionFailed p/s',
    },
    'a value that would be another line is 403 ExpressionFailed': {
      policy: set('{name: X-C, value: "a${request.headers[\'x-a\']}"}'),
      request: sends(['x-a', 'b\u0007']),
      answer: '403 ExpressionFailed p/s',
    },
  });
});

describe('removeHeaders', () => {
  const row = (request: Asked, sent: Row['sent'] = {}): Row => ({
    policy: 'request: [{name: s, removeHeaders: [X-Debug]}]',
    request,
    answer: 'Permit',
    sent,
  });
  testRows({
    'every line of it is removed': row(sends(['x-debug', '1'], ['X-Debug', '2']), { 'x-debug': [] }),
    'another header stays': row(sends(['x-debugger', '1']), { 'x-debug': [] }),
    'what an earlier step set is removed too': {
      policy: 'request: [{name: a, setHeaders: [{name: X-A, value: "1"}]}, {name: s, removeHeaders: [X-A]}]',
      answer: 'Permit',
      sent: { 'x-a': [] },
    },
    'what a later step sets stays': {
      policy: 'request: [{name: s, removeHeaders: [X-A]}, {name: a, setHeaders: [{name: X-A, value: "1"}]}]',
      request: sends(['x-a', 'theirs']),
      answer: 'Permit',
      sent: { 'x-a': ['1'] },
    },
    'an authentication step reads the header as it was received (E1)': {
      policy: 'request: [{name: a, removeHeaders: [X-A]}, {name: s, requireHeader: {name: X-A}}]',
      request: sends(['x-a', '1']),
      answer: 'Permit',
    },
  });
});

describe('authorize', () => {
  const rules = (text: string): string => `request: [{name: s, authorize: {${text}}}]`;
  const denied = '403 AuthorizationDenied p/s';
  testRows({
    'one rule that allows is enough': {
      policy: rules('allow: [{expression: "false"}, {expression: "request.method == \'POST\'"}]'),
      answer: 'Permit',
    },
    'none that allows is 403': { policy: rules('allow: [{expression: "false"}]'), answer: denied },
    'one that denies is 403, whatever allows': {
      policy: rules('allow: [{expression: "true"}], deny: [{expression: "true"}]'),
      answer: denied,
    },
    'without allow, what is not denied is allowed': {
      policy: rules('deny: [{expression: "request.method == \'PUT\'"}]'),
      answer: 'Permit',
    },
    'a rule to allow that fails counts as false (E8)': {
      policy: rules('allow: [{expression: "jwt.claims.admin == true"}]'),
      answer: denied,
    },
    'a rule to deny that fails counts as true (E8)': {
      policy: rules("deny: [{expression: \"request.headers['x-none'] == 'a'\"}]"),
      answer: denied,
    },
    'what costs too much fails': {
      policy: rules(
        'deny: [{expression: "request.path.size() > 0 && [1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a+b+c+d+e < 0 || a > 0)))))"}]',
      ),
      answer: denied,
    },
  });
});

describe('ipFilter', () => {
  const filter = (text: string): string => `request: [{name: s, ipFilter: {${text}}}]`;
  const from = (sourceIp: string): Asked => ({ sourceIp });
  testRows({
    'an address of the list passes': { policy: filter('allow: [203.0.113.0/24]'), answer: 'Permit' },
    'another is 403 AddressNotAllowed': {
      policy: filter('allow: [203.0.113.0/24]'),
      request: from('203.0.114.9'),
      answer: '403 AddressNotAllowed p/s',
    },
    'deny comes first': {
      policy: filter('allow: [203.0.113.0/24], deny: [203.0.113.9/32]'),
      answer: '403 AddressBlocked p/s',
    },
    'a range includes both its ends': {
      policy: filter('allow: [198.51.100.7-198.51.100.20]'),
      request: from('198.51.100.20'),
      answer: 'Permit',
    },
    'an IPv4 address in IPv6 form is that address': {
      policy: filter('deny: [203.0.113.9/32]'),
      request: from('::ffff:203.0.113.9'),
      answer: '403 AddressBlocked p/s',
    },
  });
});

describe('rateLimit, quota and concurrency (their counters: src/limits)', () => {
  const on = (step: string): string => `request: [{name: s, ${step}}]`;
  const limit = on('rateLimit: {calls: 1, period: 60s, key: "${source.ip}", headers: true}');
  const quota = on('quota: {calls: 1, period: 60s, key: "${source.ip}"}');
  const few = on('concurrency: {max: 1, key: "${source.ip}"}');
  const full = { admitted: false, limit: 1, remaining: 0, retryAfter: 7.2, reset: 12 };
  const away = (): never => {
    throw new CouldNotDecide('Overloaded');
  };
  const counted = (expected: string, request: RateRequest | QuotaRequest | ConcurrencyRequest): void =>
    assert.equal(request.key, expected);
  testRows({
    'who is within the rate passes': {
      policy: limit,
      evidence: {
        rate: request => {
          counted('203.0.113.9', request);
          return { ...full, admitted: true };
        },
      },
      answer: 'Permit',
    },
    'who is beyond it is 429 RateLimitExceeded, and told when to come back': {
      policy: limit,
      evidence: { rate: () => full },
      answer: '429 RateLimitExceeded p/s',
      lines: [
        'RateLimit-Policy: "limit-1";q=1;w=60',
        'RateLimit: "limit-1";r=0;t=12',
        'Content-Type: application/problem+json',
      ],
    },
    'who is within the quota passes': { policy: quota, answer: 'Permit' },
    'who is beyond it is 403 QuotaExceeded': {
      policy: quota,
      evidence: {
        quota: request => {
          counted('203.0.113.9', request);
          return full;
        },
      },
      answer: '403 QuotaExceeded p/s',
    },
    'while there is room a request passes': {
      policy: few,
      evidence: {
        concurrency: request => {
          counted('203.0.113.9', request);
          return { leased: true };
        },
      },
      answer: 'Permit',
    },
    'without room it is 429 ConcurrencyExceeded': {
      policy: few,
      evidence: { concurrency: () => ({ leased: false }) },
      answer: '429 ConcurrencyExceeded p/s',
    },
    'a rate that cannot be counted is 503 Overloaded': {
      policy: limit,
      evidence: { rate: away },
      answer: '503 Overloaded p/s',
    },
    'a quota that cannot be counted is 503 Overloaded': {
      policy: quota,
      evidence: { quota: away },
      answer: '503 Overloaded p/s',
    },
    'concurrency that cannot be counted is 503 Overloaded': {
      policy: few,
      evidence: { concurrency: away },
      answer: '503 Overloaded p/s',
    },
    'a key that cannot be worked out is 403 ExpressionFailed': {
      policy: limit.replace('source.ip', 'jwt.subject'),
      answer: '403 ExpressionFailed p/s',
    },
    'so it is of a quota': { policy: quota.replace('source.ip', 'jwt.subject'), answer: '403 ExpressionFailed p/s' },
    'and of concurrency': { policy: few.replace('source.ip', 'jwt.subject'), answer: '403 ExpressionFailed p/s' },
  });
});
