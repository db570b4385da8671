import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_MATERIAL, type Material } from '../material/material.ts';
import { FetchError } from '../outbound/fetch-error.ts';
import type { FetchAnswer } from '../outbound/fetcher.ts';
import {
  describe,
  factsOf,
  json,
  NOW,
  openScene,
  planOf,
  requestOf,
  SERVICE,
  type Scene,
} from './testing/device-kit.ts';

const down = (): never => {
  throw new FetchError('TIMEOUT', 'device-auth.test:8443');
};
const robot = { deviceId: 'robot-7' };

test('the service is asked for the thumbprint and the device id, and its answer is handed on', async () => {
  const scene = openScene();
  const evidence = await scene.view.device(requestOf(), NOW);
  assert.ok(evidence.state === 'answered');
  assert.deepEqual([evidence.status, { ...evidence.body }], [200, robot]);
  assert.equal(Object.getPrototypeOf(evidence.body), null);
  const [call] = scene.calls;
  assert.equal(
    call?.url,
    `https://device-auth.test:8443/check?certificateThumbprint=${'A'.repeat(40)}&deviceId=robot-7`,
  );
  const { method, trust, redirects, timeoutMs, maxBytes } = call.options;
  assert.deepEqual(
    { method, trust, redirects, timeoutMs, maxBytes },
    { method: 'GET', trust: 'systemRoots', redirects: 'refuse', timeoutMs: 2000, maxBytes: 65_536 },
  );
});

test('values are percent-encoded where they land, and cannot leave their place', async () => {
  const scene = openScene(
    planOf({
      url: 'https://device-auth.test/devices/${deviceId}/check',
      request: { method: 'POST', headers: { 'X-Device': '${deviceId}' }, body: 'id=${deviceId}' },
    }),
  );
  scene.answer = () => json(robot);
  await scene.outcome(requestOf('a/b?c&d=e#f%2f'));
  const [call] = scene.calls;
  assert.equal(
    call?.url,
    `https://device-auth.test/devices/a%2Fb%3Fc%26d%3De%23f%252f/check?certificateThumbprint=${'A'.repeat(40)}&deviceId=a%2Fb%3Fc%26d%3De%23f%252f`,
  );
  assert.deepEqual({ ...call.options.headers }, { accept: 'application/json', 'x-device': 'a/b?c&d=e#f%2f' });
  assert.equal(call.options.body, 'id=a/b?c&d=e#f%2f');
});

test('E8: a value that may not stand in its place is refused, without a call, and opens no breaker', async () => {
  const scene = openScene(
    planOf({ url: 'https://device-auth.test/${deviceId}', request: { headers: { a: '${deviceId}' } } }),
  );
  for (const id of ['..', '.', 'a\r\nx: y', 'a\u0000b', 'ü'])
    assert.equal(await scene.outcome(requestOf(id)), 'ExpressionFailed', id);
  const identity = openScene(planOf({ request: { query: { id: '${certificateIdentity}' } } }));
  assert.equal(await identity.outcome(), 'ExpressionFailed');
  assert.deepEqual(
    scene.view.status().map(({ breaker, lastError }) => [breaker, lastError]),
    [['closed', '']],
  );
  assert.deepEqual([scene.calls.length, identity.calls.length], [0, 0]);
});

test('a denial is handed on whatever its body is, an unknown status is undecided', async () => {
  for (const [status, outcome] of [
    [401, '401'],
    [403, '403'],
    [404, '404'],
    [500, '503'],
    [302, '503'],
    [204, '503'],
    [418, '503'],
  ] as const) {
    const scene = openScene();
    scene.answer = () => ({ status, headers: {}, body: Buffer.from('<html>') });
    assert.equal(await scene.outcome(), outcome, String(status));
  }
});

const nested = (depth: number): string => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth);

for (const [sentence, body] of Object.entries<string | Buffer>({
  'is empty': '',
  'is no JSON': '<html>',
  'is a list': '[]',
  'is null': 'null',
  'is text': '"robot-7"',
  'is not UTF-8': Buffer.from([0x7b, 0xff, 0x7d]),
  'breaks off': '{"deviceId":"robot-7"',
  'begins with a byte order mark': '\ufeff{"deviceId":"robot-7"}',
  'names a member twice': '{"deviceId":"robot-8","deviceId":"robot-7"}',
  'names a member twice, once escaped': '{"deviceId":"robot-8","device\\u0049d":"robot-7"}',
  'names a member twice, far inside': '{"deviceId":"robot-7","a":[{},{"b":{"c":1,"x":"}","c":2}}]}',
  'is nested more than 32 deep': nested(33),
  'is larger than 64 KiB': JSON.stringify({ ...robot, padding: 'x'.repeat(65_536) }),
})) {
  test(`an allowing answer is undecided when its body ${sentence}`, async () => {
    const scene = openScene();
    scene.answer = () => ({ status: 200, headers: {}, body: Buffer.from(body) });
    assert.equal(await scene.outcome(), '503');
    assert.equal(await scene.outcome(), '503');
    assert.equal(scene.calls.length, 2);
  });
}

const TYPES: Record<string, string> = {
  'application/json': '200',
  'Application/JSON; charset=utf-8': '200',
  'application/problem+json': '200',
  'application/vnd.fleet.v1+json;v=1': '200',
  'text/html': '503',
  'text/plain; a=application/json': '503',
  'application/json, text/html': '503',
  'application/jsonp': '503',
  '': '503',
};
for (const [type, outcome] of Object.entries(TYPES)) {
  test(`an allowing answer of the media type ${JSON.stringify(type)}: ${outcome}`, async () => {
    const scene = openScene();
    scene.answer = () => json(robot, 200, { 'content-type': type });
    assert.equal(await scene.outcome(), outcome);
    scene.answer = () => json(robot, 404, { 'content-type': type });
    assert.equal(await scene.outcome(requestOf('robot-9')), '404');
  });
}

test('equal names in different objects, and in texts, are no member given twice', async () => {
  const scene = openScene();
  const body = '{"deviceId": "robot-7", "x": {"deviceId": 1, "y": [{"y": "\\",\\"y"}, {"y": 2}]}, "t": ",\\"x\\":{"}';
  scene.answer = () => ({ status: 200, headers: {}, body: Buffer.from(body) });
  assert.equal(await scene.outcome(), '200');
});

test('a body nested 32 deep is read, names of Object.prototype are ordinary members', async () => {
  const scene = openScene(planOf({ allow: { expression: 'true' } }));
  scene.answer = () => ({ status: 200, headers: {}, body: Buffer.from(nested(32)) });
  assert.equal(await scene.outcome(), '200');
  scene.answer = () => ({ status: 200, headers: {}, body: Buffer.from('{"__proto__":{"deviceId":"x"},"a":2}') });
  const evidence = await scene.view.device(requestOf('other'), NOW);
  assert.ok(evidence.state === 'answered');
  assert.equal(evidence.body['deviceId'], undefined);
  assert.equal(evidence.body['a'], 2);
});

async function countCalls(scene: Scene, answer: () => FetchAnswer, ages: readonly number[]): Promise<number> {
  scene.answer = answer;
  for (const age of ages) {
    scene.now = NOW + age;
    await scene.outcome();
  }
  return scene.calls.length;
}

test('a yes is kept for cache.ttl, and handed out at once', async () => {
  const scene = openScene();
  assert.equal(await countCalls(scene, () => json(robot), [0, 59_999]), 1);
  assert.ok(!(scene.view.device(requestOf(), scene.now) instanceof Promise));
  assert.equal(await countCalls(scene, () => json(robot), [60_000]), 2);
});

test('a no is kept for cache.negativeTtl: a denial, and an answer that allow.expression refuses', async () => {
  for (const answer of [(): FetchAnswer => json(null, 404), (): FetchAnswer => json({ deviceId: 'another' })]) {
    assert.equal(await countCalls(openScene(), answer, [0, 9999]), 1);
    assert.equal(await countCalls(openScene(), answer, [0, 10_000]), 2);
  }
});

test('what decides nothing is not kept', async () => {
  assert.equal(await countCalls(openScene(), () => json(robot, 500), [0, 0]), 2);
  const failing = planOf({ allow: { expression: 'body.registered' } });
  assert.equal(await countCalls(openScene(failing), () => json(robot), [0, 0]), 2);
});

for (const [cacheControl, until] of [
  ['max-age=5', 5000],
  ['private, MAX-AGE="5"', 5000],
  ['max-age=3600', 60_000],
  ['max-age=nonsense', 0],
  ['max-age=-5', 0],
  ['no-store', 0],
  ['no-cache, max-age=60', 0],
] as const) {
  test(`Cache-Control: ${cacheControl} keeps a yes for ${until / 1000} s`, async () => {
    const answer = (): FetchAnswer => json(robot, 200, { 'cache-control': cacheControl });
    if (until > 0) assert.equal(await countCalls(openScene(), answer, [0, until - 1]), 1);
    assert.equal(await countCalls(openScene(), answer, [0, until]), 2);
  });
}

test('an answer counts for its certificate and its device id only', async () => {
  const scene = openScene();
  scene.answer = ({ url }) => json({ deviceId: new URL(url).searchParams.get('deviceId') });
  await scene.outcome();
  await scene.outcome(requestOf('robot-8'));
  await scene.outcome(requestOf('robot-7', factsOf('robot-7', 'B')));
  assert.equal(scene.calls.length, 3);
});

test('the number of answers kept is bounded; the least recently used goes first', async () => {
  const scene = openScene(planOf({ cache: { maxEntries: 2 } }));
  for (const id of ['a', 'b', 'a', 'c', 'a']) await scene.outcome(requestOf(id));
  assert.equal(scene.calls.length, 3);
  assert.equal(scene.view.status()[0]?.cached, 2);
  await scene.outcome(requestOf('b'));
  assert.equal(scene.calls.length, 4);
});

test('a service that did not change keeps its answers, another spec or generation does not', async () => {
  const scene = openScene();
  await scene.outcome();
  scene.view = scene.prepare(planOf());
  await scene.outcome();
  assert.equal(scene.calls.length, 1);
  scene.view = scene.prepare(planOf({}, 2));
  await scene.outcome();
  assert.equal(scene.calls.length, 2);
  scene.view = scene.prepare(planOf({ timeout: 1000 }, 2));
  await scene.outcome();
  assert.equal(scene.calls.length, 3);
});

test('requests for one key share one call', async () => {
  const scene = openScene();
  const answer = Promise.withResolvers<FetchAnswer>();
  scene.answer = () => answer.promise;
  const outcomes = [scene.outcome(), scene.outcome(), scene.outcome()];
  assert.equal(scene.view.status()[0]?.inFlight, 1);
  answer.resolve(json(robot));
  assert.deepEqual(await Promise.all(outcomes), ['200', '200', '200']);
  assert.equal(scene.calls.length, 1);
});

test('calls beyond the concurrency are undecided at once', async () => {
  const scene = openScene(planOf({ concurrency: 2 }));
  const answer = Promise.withResolvers<FetchAnswer>();
  scene.answer = () => answer.promise;
  const first = [scene.outcome(requestOf('a')), scene.outcome(requestOf('b'))];
  assert.equal(await scene.outcome(requestOf('c')), '503');
  answer.resolve(json(robot));
  await Promise.all(first);
  assert.equal(await scene.outcome(requestOf('c')), '200');
});

test('the breaker opens after consecutive errors, admits one call after a while, and closes when that succeeds', async () => {
  const scene = openScene();
  const state = (): string | undefined => scene.view.status()[0]?.breaker;
  scene.answer = down;
  for (let i = 0; i < 3; i++) assert.equal(await scene.outcome(requestOf(String(i))), '503');
  assert.equal(state(), 'open');
  assert.equal(await scene.outcome(requestOf('x')), '503');
  assert.equal(scene.calls.length, 3);

  scene.now = NOW + 15_000;
  assert.equal(state(), 'halfOpen');
  const probe = Promise.withResolvers<FetchAnswer>();
  scene.answer = () => probe.promise;
  const probing = scene.outcome(requestOf('probe'));
  assert.equal(await scene.outcome(requestOf('y')), '503');
  assert.equal(scene.calls.length, 4);
  probe.reject(new FetchError('CONNECT', ''));
  // A probe that cannot connect is retried once, as every call.
  assert.equal(await probing, '503');
  assert.equal(state(), 'open');

  scene.now = NOW + 30_000;
  scene.answer = () => json(robot);
  assert.equal(await scene.outcome(requestOf('z')), '200');
  assert.equal(state(), 'closed');
});

test('an answer between errors keeps the breaker closed, a denial is an answer', async () => {
  const scene = openScene();
  for (let i = 0; i < 9; i++) {
    scene.answer = i % 3 === 2 ? (): FetchAnswer => json(null, 404) : down;
    await scene.outcome(requestOf(String(i)));
  }
  assert.equal(scene.view.status()[0]?.breaker, 'closed');
});

test('an answer that dislikes the request opens no breaker: a client chose part of what was asked', async () => {
  const scene = openScene();
  for (const status of [400, 414, 422, 431, 400, 405]) {
    scene.answer = () => json(null, status);
    assert.equal(await scene.outcome(requestOf(String(status))), '503');
  }
  assert.equal(scene.view.status()[0]?.breaker, 'closed');
  for (const status of [429, 408, 500]) {
    scene.answer = () => json(null, status);
    assert.equal(await scene.outcome(requestOf(String(status))), '503');
  }
  assert.equal(scene.view.status()[0]?.breaker, 'open');
});

test('a failure to connect is tried again as often as the plan says, within its timeout; others are not', async () => {
  const refused = (): never => {
    throw new FetchError('CONNECT', 'device-auth.test:8443', 'ECONNREFUSED');
  };
  const scene = openScene(planOf({ retry: { attempts: 2 } }));
  scene.answer = () => (scene.calls.length < 3 ? refused() : json(robot));
  assert.equal(await scene.outcome(), '200');
  const slow = openScene(planOf({ retry: { attempts: 3 } }));
  slow.answer = () => {
    slow.now += 1500;
    return refused();
  };
  assert.equal(await slow.outcome(), '503');
  assert.deepEqual(
    slow.calls.map(({ options }) => options.timeoutMs),
    [2000, 500],
  );
  const timeout = openScene(planOf({ retry: { attempts: 3 } }));
  timeout.answer = down;
  assert.equal(await timeout.outcome(), '503');
  assert.equal(timeout.calls.length, 1);
});

test('with staleIfError a yes past its time serves an outage, a no does not', async () => {
  const scene = openScene(planOf({ cache: { staleIfError: 30_000 }, breaker: { consecutiveErrors: 2 } }));
  await scene.outcome();
  scene.answer = () => json(null, 404);
  await scene.outcome(requestOf('unknown'));
  scene.answer = down;
  scene.now = NOW + 89_999;
  assert.equal(await scene.outcome(), '200');
  assert.equal(await scene.outcome(requestOf('unknown')), '503');
  // Also while the breaker is open.
  assert.equal(scene.view.status()[0]?.breaker, 'open');
  assert.equal(await scene.outcome(), '200');
  scene.now = NOW + 90_000;
  assert.equal(await scene.outcome(), '503');
});

test('a fresh no takes the place of a stale yes', async () => {
  const scene = openScene(planOf({ cache: { staleIfError: 3_600_000 } }));
  await scene.outcome();
  scene.now = NOW + 60_000;
  scene.answer = () => json(null, 404, { 'cache-control': 'no-store' });
  assert.equal(await scene.outcome(), '404');
  scene.answer = down;
  assert.equal(await scene.outcome(), '503');
});

const materialOf = (text: string | undefined): Material => ({
  ...EMPTY_MATERIAL,
  configMap: key => (text === undefined || key !== 'shop/lists' ? undefined : new Map([['list', Buffer.from(text)]])),
});
const listed = planOf({ revoke: { configMapKeyRef: { name: 'lists', key: 'list' } } });
const revocationOf = (scene: Scene, digit: string): unknown => {
  const { step, certificate } = requestOf('robot-7', factsOf('robot-7', digit));
  return scene.view.revocation({ type: 'revocation', step, certificate });
};

test('a listed thumbprint is revoked at once, SHA-1 or SHA-256, in any spelling', () => {
  const list = `# stolen\n${'aa:'.repeat(20).slice(0, -1)}  # robot-7\r\n\n${'B'.repeat(64)}\n`;
  const scene = openScene(listed, undefined, materialOf(list));
  const revoked = { state: 'refused', reason: 'DeviceRevoked' };
  assert.deepEqual(revocationOf(scene, 'A'), revoked);
  assert.deepEqual(revocationOf(scene, 'B'), revoked);
  assert.deepEqual(revocationOf(scene, 'C'), { state: 'clear' });
  assert.equal(scene.view.status()[0]?.revoked, 2);
});

test('a line that is no thumbprint was meant for somebody: nobody is clear, who is listed is revoked', () => {
  const scene = openScene(listed, undefined, materialOf(`${'aa'.repeat(20)}\nnonsense\n${'c'.repeat(39)}\n`));
  assert.deepEqual(revocationOf(scene, 'A'), { state: 'refused', reason: 'DeviceRevoked' });
  assert.deepEqual(revocationOf(scene, 'C'), { state: 'undecided', reason: 'DeviceAuthUnavailable' });
  assert.equal(scene.view.status()[0]?.revoked, undefined);
  assert.ok(
    scene.lines.some(line => line.includes('[2,3]')),
    scene.lines.join(),
  );
});

test('a list that is named but missing revokes nobody and clears nobody', () => {
  const scene = openScene(listed, undefined, materialOf(undefined));
  assert.deepEqual(revocationOf(scene, 'A'), { state: 'undecided', reason: 'DeviceAuthUnavailable' });
  assert.deepEqual(revocationOf(openScene(), 'A'), { state: 'clear' });
});

test('trust, server name and certificate are those of the plan; without one of them nothing is asked', async () => {
  const material = materialOf('PEM of the authority');
  const tls = {
    trust: { configMapKeyRef: { name: 'lists', key: 'list' } },
    credential: 'mesh',
    serverName: 'auth.test',
  };
  const certificate = { certificate: 'c', key: 'k', sha1: '', sha256: 'AB', notAfter: 0 };
  const scene = openScene(planOf({ tls }), certificate, material);
  assert.equal(await scene.outcome(), '200');
  const { trust, serverName, clientCertificate } = scene.calls[0]?.options ?? {};
  assert.deepEqual([trust, serverName, clientCertificate], [{ ca: 'PEM of the authority' }, 'auth.test', certificate]);
  for (const bare of [openScene(planOf({ tls }), undefined, material), openScene(planOf({ tls }), certificate)]) {
    assert.equal(await bare.outcome(), '503');
    assert.equal(bare.calls.length, 0);
    assert.equal(bare.view.status()[0]?.lastError, 'TRUST_OR_CREDENTIAL_MISSING');
  }
});

test('a service that is not in the view is undecided', async () => {
  const { devices } = openScene();
  const credentials = { clientCertificate: () => undefined, present: () => undefined };
  const view = devices.prepare(new Map(), EMPTY_MATERIAL, credentials);
  assert.equal(describe(await view.device(requestOf(), NOW)), '503');
  assert.deepEqual(view.status(), []);
});

test('neither device id nor thumbprint nor answer reaches the log', async () => {
  const scene = openScene();
  scene.answer = () => json({ secret: 'canary-body' }, 500);
  await scene.outcome(requestOf('canary-device', factsOf('canary-name', 'E')));
  scene.answer = () => {
    throw new FetchError('TLS', 'device-auth.test:8443', 'CERT_HAS_EXPIRED');
  };
  await scene.outcome(requestOf('canary-device', factsOf('canary-name', 'E')));
  const told = scene.lines.join('\n') + JSON.stringify(scene.view.status());
  assert.ok(told.includes('HTTP_500') && told.includes('CERT_HAS_EXPIRED') && told.includes(SERVICE));
  assert.ok(!/canary|EEEE/.test(told), told);
});

test('a header credential is sent to the service and to it alone; one that cannot be had is 503, without a call', async () => {
  const asked: unknown[] = [];
  for (const [header, expected] of [
    [{ name: 'X-Api-Key', value: 's3cr3t' }, '200'],
    [undefined, '503'],
  ] as const) {
    const scene = openScene();
    const plan = planOf({ credential: 'key' });
    const present = (key: string, host: object) => {
      asked.push([key, host]);
      return Promise.resolve(header);
    };
    const credentials = { clientCertificate: () => undefined, present };
    scene.view = scene.devices.prepare(new Map([[SERVICE, plan]]), EMPTY_MATERIAL, credentials);
    assert.equal((await scene.outcome()).startsWith('503'), expected === '503');
    assert.deepEqual(
      scene.calls.map(({ options }) => options.headers?.['x-api-key']),
      header === undefined ? [] : ['s3cr3t'],
    );
    assert.equal(scene.lines.join().includes('s3cr3t'), false);
  }
  assert.deepEqual(asked[0], ['shop/key', { name: 'device-auth.test', port: 8443 }]);
});
