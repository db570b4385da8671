/** P10: signed webhooks, live and in explain: the vendors' presets with signatures made here, and the general form. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import type { Seen } from '../support/servers.ts';
import { testTable } from '../support/table.ts';

const KEY = "It's a secret";
const BODY = '{"hello":"Sallyport"}';
const hmac = (text: string, key: string | Buffer = KEY, algorithm = 'sha256') =>
  createHmac(algorithm, key).update(text);
const now = (offset = 0): string => String(Math.floor(Date.now() / 1000) + offset);

const post = (path: string, headers: NonNullable<Ask['headers']>, body = BODY): Ask => ({
  method: 'POST',
  path,
  headers,
  body,
});
const github = (path: string, body = BODY, signed = body): Ask =>
  post(path, [['X-Hub-Signature-256', `sha256=${hmac(signed).digest('hex')}`]], body);
const stripe = (time: string): Ask =>
  post('/stripe', [['Stripe-Signature', `t=${time},v1=${hmac(`${time}.${BODY}`, 'whsec_text').digest('hex')},v0=x`]]);
const slack = (time: string): Ask =>
  post('/slack', [
    ['X-Slack-Request-Timestamp', time],
    ['X-Slack-Signature', `v0=${hmac(`v0:${time}:${BODY}`).digest('hex')}`],
  ]);
const standard = (time: string, id: string): Ask =>
  post('/standard', [
    ['webhook-id', id],
    ['webhook-timestamp', time],
    ['webhook-signature', `v1,${hmac(`msg_1.${time}.${BODY}`, Buffer.from('key')).digest('base64')}`],
  ]);
const general = (key: Buffer): Ask => {
  const time = now();
  return post('/general', [
    ['X-Time', time],
    ['X-Sig', `hmac-${hmac(`${time}\n${BODY}`, key, 'sha512').digest('base64')}`],
  ]);
};

const got = ({ body }: Seen): void => assert.equal(body, BODY);
const hook = (name: string, spec: made.Spec, more: made.Spec = {}): made.Manifest =>
  made.authPolicy(name, {
    ...made.onApi('hooks', name),
    request: [{ name: 'hook', hmacSignature: { keys: [made.fromSecret('keys', 'text')], ...spec } }],
    ...more,
  });
const NAMES = ['github', 'stripe', 'slack', 'standard', 'general', 'small', 'once', 'trial', 'lost', 'either'];

testTable('hmacSignature', {
  manifests: [
    made.api('hooks', { operations: NAMES.map(name => ({ name, path: `/${name}` })) }),
    hook('github', { preset: 'GitHub', keys: [made.fromSecret('keys', 'other'), made.fromSecret('keys', 'text')] }),
    hook('stripe', { preset: 'Stripe', keys: [made.fromSecret('keys', 'stripe')] }),
    hook('slack', { preset: 'Slack', tolerance: '60s' }),
    hook('standard', { preset: 'StandardWebhooks', keys: [made.fromSecret('keys', 'standard')] }),
    hook('general', {
      header: 'X-Sig',
      prefix: 'hmac-',
      encoding: 'Base64',
      algorithm: 'SHA512',
      keyEncoding: 'Hex',
      payload: '${timestamp}\n${body}',
      timestampHeader: 'X-Time',
      keys: [made.fromSecret('keys', 'hex')],
    }),
    hook('small', { preset: 'GitHub', maxBody: 8 }),
    hook('once', { preset: 'GitHub', rejectReplays: true }),
    hook('trial', { preset: 'GitHub' }, { mode: 'Audit' }),
    hook('lost', {
      preset: 'GitHub',
      keys: [made.fromSecret('keys', 'other'), made.fromSecret('keys', 'no-such-key')],
    }),
    made.authPolicy('either', {
      ...made.onApi('hooks', 'either'),
      request: [
        {
          name: 'caller',
          anyOf: [
            { subscription: { header: 'X-Key' } },
            { hmacSignature: { preset: 'GitHub', keys: [made.fromSecret('keys', 'text')] } },
          ],
        },
      ],
    }),
    made.secret('keys', { text: KEY, other: 'another', stripe: 'whsec_text', standard: 'whsec_a2V5', hex: '00ff' }),
  ],
  rows: {
    'GitHub, with the second of two keys': { ask: github('/github'), says: '200', app: got },
    'GitHub, another body': {
      ask: github('/github', BODY, 'x'),
      says: '401 SignatureInvalid',
      headers: { 'WWW-Authenticate': /^Signature realm="hooks"$/ },
    },
    'GitHub, unsigned': {
      ask: post('/github', []),
      says: '401 SignatureNotPresent',
      headers: { 'WWW-Authenticate': /^Signature realm="hooks"$/ },
    },
    'GitHub, signed twice': {
      ask: post('/github', [...(github('').headers ?? []), ...(github('').headers ?? [])]),
      says: '400 DuplicateCredential',
    },
    Stripe: { ask: stripe(now()), says: '200', app: got },
    'Stripe, 299 s old': { ask: stripe(now(-295)), says: '200', app: got },
    'Stripe, too old': { ask: stripe(now(-400)), says: '401 SignatureExpired' },
    'Stripe, from the future': { ask: stripe(now(400)), says: '401 SignatureExpired' },
    Slack: { ask: slack(now()), says: '200', app: got },
    'Slack, older than the policy tolerates': { ask: slack(now(-90)), says: '401 SignatureExpired' },
    'Standard Webhooks': { ask: standard(now(), 'msg_1'), says: '200', app: got },
    'Standard Webhooks, another id than the signed one': {
      ask: standard(now(), 'msg_2'),
      says: '401 SignatureInvalid',
    },
    'the general form': { ask: general(Buffer.from([0, 255])), says: '200', app: got },
    'the general form, another key': { ask: general(Buffer.from([1])), says: '401 SignatureInvalid' },
    'a body of maxBody': {
      ask: github('/small', '12345678'),
      says: '200',
      app: ({ body }) => assert.equal(body, '12345678'),
    },
    'a longer one': { ask: github('/small', '123456789'), says: '413 BodyTooLarge' },
    'rejectReplays: the first time': { ask: github('/once'), says: '200', app: got },
    'rejectReplays: the second time': { ask: github('/once'), says: '401 SignatureReplayed', offline: '200' },
    'rejectReplays: another body': { ask: github('/once', 'x'), says: '200' },
    'S8: an Audit policy lets it pass, whole': {
      ask: github('/trial', BODY, 'x'),
      says: '200',
      app: got,
      audit: ['trial/hook SignatureInvalid'],
    },
    'S6: a key is missing, and no other signed it': { ask: github('/lost'), says: '503 KeysUnavailable' },
    'E2: a signature instead of a key': { ask: github('/either'), says: '200', app: got },
    'E2: neither': {
      ask: post('/either', []),
      says: '401 SubscriptionKeyNotFound',
      headers: { 'WWW-Authenticate': /^ApiKey realm="hooks"\nSignature realm="hooks"$/ },
    },
  },
});
