import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { OAuthSpec } from '../api/kinds/credential.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import { away, json, openScene, secret, START, type Scene } from './testing/header-kit.ts';

const SPEC: OAuthSpec = {
  tokenUrl: 'https://login.example.com/token',
  clientId: { value: 'sidecar' },
  clientSecret: secret('idp', 'secret'),
  authentication: 'Basic',
};
const granted = (token: string, expires: unknown = 3600) =>
  json({ access_token: token, token_type: 'Bearer', expires_in: expires });

function open(spec: Partial<OAuthSpec> = {}): Scene {
  const scene = openScene({ 'idp/secret': 'pa:ss wörd' });
  scene.prepare({ oauth2ClientCredentials: { ...SPEC, ...spec } });
  return scene;
}
/** Lets what was answered at once come through. */
const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('oauth2ClientCredentials', () => {
  test('asks as RFC 6749 sections 2.3.1 and 4.4.2 say, and presents the token', async () => {
    const scene = open({ scopes: ['a/.default', 'b'], parameters: { audience: 'https://a' } });
    scene.answer = () => granted('token-1');
    assert.equal(await scene.present(), 'Authorization: Bearer token-1');
    const [call] = scene.calls;
    assert.equal(call?.url, SPEC.tokenUrl);
    assert.equal(call.options.method, 'POST');
    assert.equal(call.options.body, 'grant_type=client_credentials&scope=a%2F.default%20b&audience=https%3A%2F%2Fa');
    assert.deepEqual(call.options.headers, {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from('sidecar:pa%3Ass%20w%C3%B6rd').toString('base64')}`,
    });
    assert.equal(call.options.redirects, 'refuse');
    assert.equal(call.options.trust, 'systemRoots');
  });

  test('with authentication: Body the secret stands in the body alone', async () => {
    const scene = open({ authentication: 'Body' });
    scene.answer = () => granted('t');
    await scene.present();
    const { body, headers } = scene.calls[0]?.options ?? {};
    assert.equal(body, 'grant_type=client_credentials&client_id=sidecar&client_secret=pa%3Ass%20w%C3%B6rd');
    assert.equal(headers?.['authorization'], undefined);
  });

  test('many requests at once make one call', async () => {
    const scene = open();
    const { promise, resolve } = Promise.withResolvers<ReturnType<typeof granted>>();
    scene.answer = () => promise;
    const waiting = Array.from({ length: 50 }, () => scene.present());
    resolve(granted('t'));
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['Authorization: Bearer t']));
    assert.equal(scene.calls.length, 1);
  });

  test('is renewed in the background from about three quarters of its lifetime on, while it still serves', async () => {
    const scene = open();
    scene.answer = () => granted('first', 1000);
    await scene.present();
    scene.answer = () => granted('second', 1000);
    // 0.75 + 0.1 × 0.5, the jitter of the scene
    scene.now = START + 799_999;
    assert.equal(await scene.present(), 'Authorization: Bearer first');
    await settle();
    assert.equal(scene.calls.length, 1);
    scene.now = START + 800_000;
    const both = await Promise.all([scene.present(), scene.present()]);
    assert.deepEqual(both, ['Authorization: Bearer first', 'Authorization: Bearer first']);
    await settle();
    assert.equal(scene.calls.length, 2);
    assert.equal(await scene.present(), 'Authorization: Bearer second');
  });

  test('an outage is felt only when the token has expired, and the endpoint is not flooded', async () => {
    const scene = open();
    scene.answer = () => granted('first', 1000);
    await scene.present();
    scene.answer = away;
    for (let second = 800; second < 1000; second += 10) {
      scene.now = START + second * 1000;
      assert.equal(await scene.present(), 'Authorization: Bearer first');
      await settle();
    }
    assert.ok(scene.calls.length < 16, `${scene.calls.length} calls`);
    scene.now = START + 1_000_000;
    assert.equal(await scene.present(), undefined);
    const calls = scene.calls.length;
    assert.equal(await scene.present(), undefined);
    assert.equal(scene.calls.length, calls, 'backs off');
    assert.equal(scene.view.status()[0]?.problem, 'CONNECT');
    scene.now += 60_000;
    scene.answer = () => granted('after');
    assert.equal(await scene.present(), 'Authorization: Bearer after');
    assert.equal(scene.view.status()[0]?.problem, undefined);
  });

  const BAD: Readonly<Record<string, readonly [Scene['answer'], string]>> = {
    'a refusal': [() => json({ error: 'invalid_client' }, 401), 'HTTP_401'],
    'an outage told as 500': [() => json('oops', 500), 'HTTP_500'],
    'no JSON': [() => json('<html>'), 'BAD_ANSWER'],
    'a list': [() => json([]), 'BAD_ANSWER'],
    'no token': [() => json({ token_type: 'Bearer' }), 'BAD_ANSWER'],
    'a token with a line break': [() => granted('a\r\nX-Admin: 1'), 'BAD_ANSWER'],
    'a token without end': [() => granted('x'.repeat(20_000)), 'BAD_ANSWER'],
    'a type that is not known': [() => json({ access_token: 'a', token_type: 'mac' }), 'BAD_ANSWER'],
    'no type': [() => json({ access_token: 'a' }), 'BAD_ANSWER'],
    'a lifetime that has passed': [() => granted('a', 0), 'BAD_ANSWER'],
    'a lifetime that is no number': [() => granted('a', 'soon'), 'BAD_ANSWER'],
    'a redirect': [
      () => {
        throw new FetchError('REDIRECT', 'login.example.com');
      },
      'REDIRECT',
    ],
  };
  for (const [name, [answer, problem]] of Object.entries(BAD)) {
    test(`gives nothing to present: ${name}`, async () => {
      const scene = open();
      scene.answer = answer;
      assert.equal(await scene.present(), undefined);
      assert.equal(scene.view.status()[0]?.problem, problem);
      assert.equal(scene.lines.join().includes('pa:ss'), false);
    });
  }

  test('a lifetime told as text counts, without one it is five minutes', async () => {
    for (const [expires, seconds] of [
      ['100', 100],
      [undefined, 300],
    ] as const) {
      const scene = open();
      scene.answer = () => json({ access_token: 'a', token_type: 'bearer', expires_in: expires });
      await scene.present();
      assert.equal(scene.view.status()[0]?.validUntil, START + seconds * 1000);
    }
  });

  test('a token that the app refuses is asked for anew, at most every half minute', async () => {
    const scene = open();
    let count = 0;
    scene.answer = () => granted(`t${++count}`);
    await scene.present();
    scene.view.refused('shop/back-end', scene.now);
    assert.equal(await scene.present(), 'Authorization: Bearer t2');
    scene.view.refused('shop/back-end', scene.now + 1000);
    assert.equal(await scene.present(), 'Authorization: Bearer t2');
    scene.now += 30_000;
    scene.view.refused('shop/back-end', scene.now);
    assert.equal(await scene.present(), 'Authorization: Bearer t3');
  });

  test('a new generation with the same content keeps the token, another secret asks again', async () => {
    const scene = open();
    scene.answer = () => granted('t');
    await scene.present();
    scene.prepare({ oauth2ClientCredentials: SPEC });
    await scene.present();
    assert.equal(scene.calls.length, 1);
    scene.secrets['idp/secret'] = 'rotated';
    scene.prepare({ oauth2ClientCredentials: SPEC });
    await scene.present();
    assert.equal(scene.calls.length, 2);
  });

  test('start-up asks for the token, so that the first request need not wait', async () => {
    const scene = open();
    scene.answer = () => granted('t');
    await scene.credentials.ready();
    assert.equal(scene.calls.length, 1);
    scene.answer = away;
    assert.equal(await scene.present(), 'Authorization: Bearer t');
  });

  test('a client secret for another host is not sent to the token endpoint', async () => {
    const scene = open();
    scene.hosts['shop/idp'] = ['elsewhere.example'];
    scene.prepare({ oauth2ClientCredentials: SPEC });
    assert.equal(await scene.present(), undefined);
    assert.equal(scene.calls.length, 0);
    assert.equal(scene.view.status()[0]?.problem, 'HOST_NOT_ALLOWED');
    scene.hosts['shop/idp'] = ['login.example.com'];
    scene.prepare({ oauth2ClientCredentials: SPEC });
    scene.answer = () => granted('t');
    assert.equal(await scene.present(), 'Authorization: Bearer t');
  });

  test('a named trust that is missing is not replaced by the public roots', async () => {
    const scene = open({ trust: { configMapKeyRef: { name: 'ca', key: 'ca.crt' } } });
    assert.equal(await scene.present(), undefined);
    assert.equal(scene.view.status()[0]?.problem, 'TRUST_MISSING');
    assert.equal(scene.calls.length, 0);
  });
});
