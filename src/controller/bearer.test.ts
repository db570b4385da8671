import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTROLLER_AUDIENCE } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { createLocalError } from '../kube/kube-error.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createAuthenticator, type Authentication } from './bearer.ts';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const tokenFor = (audience: unknown, more = ''): string =>
  `${encode({ alg: 'RS256' })}.${encode({ aud: audience })}.sig${more}`;
const TOKEN = tokenFor([CONTROLLER_AUDIENCE]);
const POD = { 'authentication.kubernetes.io/pod-name': ['fleet-1'], 'authentication.kubernetes.io/pod-uid': ['u-1'] };
const review = (changes: Record<string, unknown> = {}, extra: unknown = POD) => ({
  status: {
    authenticated: true,
    audiences: [CONTROLLER_AUDIENCE],
    user: { username: 'system:serviceaccount:shop:fleet', extra },
    ...changes,
  },
});

/** An API server that answers as it is told: real ones do not err in these ways (test/cluster has the real ones). */
function open(answer: unknown, clock: () => number = () => 0) {
  const asked: unknown[] = [];
  const client: KubeClient = {
    request: <T>(_method: string, _path: string, options?: { body?: unknown }) => {
      asked.push(options?.body);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T);
    },
    stream: () => assert.fail('nothing is watched'),
    close: () => Promise.resolve(),
  };
  const authenticator = createAuthenticator({ client, ...SILENT, clock });
  return { asked, authenticate: (header: string | undefined) => authenticator.authenticate(header) };
}

const show = (authentication: Authentication): string =>
  'bearer' in authentication
    ? JSON.stringify(authentication.bearer)
    : `${authentication.failure}: ${authentication.problem}`;

describe('whose token it is', () => {
  test('is what the API server says, with the pod that the token is bound to', async () => {
    const { authenticate } = open(review());
    assert.deepEqual(await authenticate(`Bearer ${TOKEN}`), {
      bearer: { namespace: 'shop', serviceAccount: 'fleet', pod: { name: 'fleet-1', uid: 'u-1' } },
    });
  });

  const cases: Readonly<Record<string, readonly [answer: unknown, header: string | undefined, expected: RegExp]>> = {
    'no header': [review(), undefined, /^Refused: there is no bearer token/],
    'another scheme': [review(), 'Basic eDp5', /^Refused: there is no bearer token/],
    'a token with a space in it': [review(), `Bearer ${TOKEN} x`, /^Refused: there is no bearer token/],
    'a token that is too long': [
      review(),
      `Bearer ${TOKEN}${'x'.repeat(20_000)}`,
      /^Refused: there is no bearer token/,
    ],
    'a server that says no': [review({ authenticated: false }), `Bearer ${TOKEN}`, /^Refused: .*audience/],
    'a server that knows no audiences': [review({ audiences: undefined }), `Bearer ${TOKEN}`, /^Refused: .*audience/],
    'a server that says another audience': [review({ audiences: ['x'] }), `Bearer ${TOKEN}`, /^Refused: .*audience/],
    'a user who is no service account': [
      review({ user: { username: 'admin' } }),
      `Bearer ${TOKEN}`,
      /^Refused: .*no service account/,
    ],
    'a user whose name only begins like one': [
      review({ user: { username: 'system:serviceaccount:shop:fleet:x' } }),
      `Bearer ${TOKEN}`,
      /^Refused: .*no service account/,
    ],
    'an answer that is none': [{}, `Bearer ${TOKEN}`, /^Refused/],
    'a token without a pod': [review({}, {}), `Bearer ${TOKEN}`, /^\{"namespace":"shop","serviceAccount":"fleet"\}$/],
    'a pod’s name without its uid': [
      review({}, { 'authentication.kubernetes.io/pod-name': ['fleet-1'] }),
      `Bearer ${TOKEN}`,
      /^\{"namespace":"shop","serviceAccount":"fleet"\}$/,
    ],
    'two pods': [
      review({}, { ...POD, 'authentication.kubernetes.io/pod-uid': ['u-1', 'u-2'] }),
      `Bearer ${TOKEN}`,
      /^\{"namespace":"shop","serviceAccount":"fleet"\}$/,
    ],
    'no answer': [createLocalError('Timeout', 'no answer'), `Bearer ${TOKEN}`, /^Undecided/],
  };
  for (const [name, [answer, header, expected]] of Object.entries(cases)) {
    test(`with ${name}`, async () => assert.match(show(await open(answer).authenticate(header)), expected));
  }

  test('is not asked of the API server where the token itself says that it is for somebody else', async () => {
    for (const token of [tokenFor('kubernetes'), tokenFor(['a', 'b']), 'x', 'a.b.c', `${encode({})}.${encode([])}.x`]) {
      const { authenticate, asked } = open(review());
      assert.match(show(await authenticate(`Bearer ${token}`)), /^Refused/);
      assert.deepEqual(asked, []);
    }
  });

  test('is remembered for a while, a refusal is not', async () => {
    let now = 0;
    const good = open(review(), () => now);
    await good.authenticate(`Bearer ${TOKEN}`);
    await good.authenticate(`Bearer ${TOKEN}`);
    await good.authenticate(`Bearer ${tokenFor([CONTROLLER_AUDIENCE], 'x')}`);
    assert.equal(good.asked.length, 2);
    now = 11_000;
    await good.authenticate(`Bearer ${TOKEN}`);
    assert.equal(good.asked.length, 3);
    const bad = open(review({ authenticated: false }));
    await bad.authenticate(`Bearer ${TOKEN}`);
    await bad.authenticate(`Bearer ${TOKEN}`);
    assert.equal(bad.asked.length, 2);
  });

  test('is asked for so many tokens at once, and no more', async () => {
    const { authenticate, asked } = open(review());
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) => authenticate(`Bearer ${tokenFor([CONTROLLER_AUDIENCE], String(i))}`)),
    );
    assert.equal(asked.length, 64);
    assert.equal(all.filter(one => 'failure' in one && one.failure === 'Undecided').length, 36);
  });
});
