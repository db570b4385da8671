/** choose, setVariables, cors, replaceText and respond in the running program: what reaches the app, and what comes back. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Answer, type Ask, openPlain } from '../support/connection.ts';
import { createAuthority } from '../../src/demo/pki.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp, type Behaviour } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';

const CANARY = 'canary-named-value-31b7';

async function start(t: TestContext, spec: made.Spec, behaviour?: Behaviour, more: readonly made.Manifest[] = []) {
  const app = await new RecordingApp(behaviour).start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({
    manifests: {
      'all.yaml': [made.api('fleet'), made.authPolicy('flow', { ...made.onApi('fleet'), ...spec }), ...more],
    },
    app: app.port,
  });
  t.after(() => sidecar.close());
  return { app, sidecar };
}

async function ask(sidecar: Sidecar, what: Ask): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    return await connection.ask(what);
  } finally {
    connection.close();
  }
}
const names = ({ headers }: Answer, prefix: string): readonly string[] =>
  [...headers]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, values]) => `${name}: ${values.join('|')}`)
    .sort();

test('browsers: preflights never reach the app, answers and denials say who may read them', async t => {
  const cors = {
    allowOrigins: ['https://a.example'],
    allowMethods: ['PUT'],
    allowHeaders: ['X-One'],
    allowCredentials: true,
  };
  const { app, sidecar } = await start(
    t,
    {
      request: [{ name: 'browsers', cors }, { name: 'env', requireHeader: { name: 'X-Env' } }, made.OPEN],
    },
    ({ path }, response) => {
      response.setHeader('Access-Control-Allow-Origin', '*').setHeader('Vary', 'Accept');
      if (path === '/broken') response.socket?.end('HTTP/1.1 200 OK\r\nbroken\r\n\r\n');
      else response.end('ok');
    },
  );
  const origin = ['Origin', 'https://a.example'] as const;
  const env = ['X-Env', 'prod'] as const;
  const preflight = await ask(sidecar, {
    method: 'OPTIONS',
    path: '/x',
    headers: [origin, ['Access-Control-Request-Method', 'PUT'], ['Access-Control-Request-Headers', 'x-one']],
  });
  assert.deepEqual([preflight.status, app.seen.length], [204, 0]);
  assert.deepEqual(names(preflight, 'access-control-'), [
    'access-control-allow-credentials: true',
    'access-control-allow-headers: X-One',
    'access-control-allow-methods: PUT',
    'access-control-allow-origin: https://a.example',
    'access-control-max-age: 600',
  ]);
  const line = await sidecar.lineOf(preflight.headers.get('x-request-id')?.[0] ?? '');
  assert.deepEqual([line['verdict'], line['policy'], line['step']], ['Respond', 'shop/flow', 'browsers']);

  const OURS = ['access-control-allow-credentials: true', 'access-control-allow-origin: https://a.example'];
  for (const [path, status] of [
    ['/x', 200],
    ['/x', 200],
    ['/broken', 502],
  ] as const) {
    const answer = await ask(sidecar, { path, headers: [origin, env] });
    assert.deepEqual([answer.status, names(answer, 'access-control-')], [status, OURS], path);
  }
  const denied = await ask(sidecar, { path: '/x', headers: [origin] });
  assert.deepEqual([denied.reason, names(denied, 'access-control-')], ['HeaderNotFound', OURS]);
  const stranger = await ask(sidecar, { path: '/x', headers: [['Origin', 'https://b.example'], env] });
  assert.deepEqual(
    [stranger.status, names(stranger, 'access-control-'), names(stranger, 'vary')],
    [200, [], ['vary: Accept|Origin']],
  );
  const ordinary = await ask(sidecar, { method: 'OPTIONS', path: '/x', headers: [origin, env] });
  assert.deepEqual([ordinary.status, app.last.method], [200, 'OPTIONS']);
});

test('replaceText: bodies in pieces, encoded ones and large ones', async t => {
  const rewrite = { from: 'internal.example', to: 'fleet.example.com', mediaTypes: ['text/*'], maxBytes: '1Ki' };
  const { app, sidecar } = await start(
    t,
    { request: [made.OPEN], response: [{ name: 'swap', replaceText: rewrite }] },
    ({ path }, response) => {
      response.setHeader('content-type', path === '/png' ? 'image/png' : 'text/plain').setHeader('etag', '"1"');
      if (path === '/large') return void response.end('internal.example '.repeat(100));
      if (path === '/gzip') response.setHeader('content-encoding', 'gzip');
      response.write('at inter');
      setImmediate(() => response.end('nal.example\n'));
    },
  );
  const pieces = await ask(sidecar, {
    path: '/a',
    headers: [
      ['Accept-Encoding', 'gzip'],
      ['Range', 'bytes=0-3'],
    ],
  });
  assert.equal(pieces.body, 'at fleet.example.com\n');
  assert.deepEqual([pieces.headers.get('content-length'), pieces.headers.get('etag')], [['21'], undefined]);
  assert.deepEqual(folded(app.last.lines, 'accept-encoding'), ['identity']);
  assert.deepEqual(folded(app.last.lines, 'range'), []);
  assert.equal((await ask(sidecar, { path: '/png' })).body, 'at internal.example\n');
  for (const path of ['/large', '/gzip']) {
    const answer = await ask(sidecar, { path });
    assert.deepEqual([answer.status, answer.reason], [502, 'AppProtocolError'], path);
    assert.equal(answer.body.includes('internal'), false);
  }
});

test('choose, setVariables and respond decide what reaches the app; named values show nowhere but there', async t => {
  const branch = (path: string, ...steps: readonly made.Spec[]) => ({ condition: `request.path == '${path}'`, steps });
  const fails = {
    name: 'failing',
    setHeaders: [{ name: 'x-a', value: "${vars.copied} ${request.headers['x-none']}" }],
  };
  const { app, sidecar } = await start(
    t,
    {
      variables: {
        key: { secretKeyRef: { name: 'named', key: 'key' } },
        zone: { configMapKeyRef: { name: 'named', key: 'zone' } },
      },
      request: [
        made.OPEN,
        { name: 'copy', setVariables: { copied: '${vars.key}/${vars.zone}' } },
        {
          name: 'by-path',
          choose: {
            when: [
              branch('/gone', { name: 'gone', respond: { status: 410, body: 'gone' } }),
              branch('/denied', { name: 'denied', authorize: { deny: [{ expression: "vars.copied != ''" }] } }),
              branch('/failing', fails),
            ],
            otherwise: [{ name: 'rest', setHeaders: [{ name: 'x-key', value: '${vars.copied}' }] }],
          },
        },
      ],
      response: [
        {
          name: 'by-status',
          choose: {
            when: [
              {
                condition: 'response.status == 404',
                steps: [{ name: 'missing', respond: { status: 404, body: 'nothing here' } }],
              },
            ],
          },
        },
      ],
    },
    ({ path }, response) => void response.writeHead(path === '/missing' ? 404 : 200).end('of the app'),
    [made.secret('named', { key: CANARY }), made.configMap('named', { zone: 'canary-zone-1b' })],
  );
  const told = async (path: string) => {
    const { status, body, reason } = await ask(sidecar, { path, headers: [['X-Key', 'forged']] });
    return [status, reason === '' ? body : reason];
  };
  assert.deepEqual(await told('/a'), [200, 'of the app']);
  assert.deepEqual(folded(app.last.lines, 'x-key'), [`${CANARY}/canary-zone-1b`]);
  assert.deepEqual(await told('/missing'), [404, 'nothing here']);
  const count = app.seen.length;
  assert.deepEqual(await told('/gone'), [410, 'gone']);
  assert.deepEqual(await told('/denied'), [403, 'AuthorizationDenied']);
  assert.deepEqual(await told('/failing'), [403, 'ExpressionFailed']);
  assert.equal(app.seen.length, count);

  const status = await sidecar.command('status', '-o', 'json');
  const places = [
    sidecar.output,
    await sidecar.metrics(),
    status.stdout + status.stderr,
    JSON.stringify(await sidecar.status()),
  ];
  for (const text of places)
    assert.equal(text.includes('canary'), false, text.slice(Math.max(0, text.indexOf('canary') - 200)));
});

test('every step of an Audit policy counts what it would deny', async t => {
  const denials: readonly (readonly [made.Spec, reason: string])[] = [
    [{ jwt: { issuers: ['corp'], audiences: ['a'] } }, 'TokenNotPresent'],
    [{ clientCertificate: { trust: 'devices' } }, 'ClientCertificateNotPresent'],
    [
      { anyOf: [{ jwt: { issuers: ['corp'], audiences: ['a'] } }, { clientCertificate: { trust: 'devices' } }] },
      'TokenNotPresent',
    ],
    [{ subscription: {} }, 'SubscriptionKeyNotFound'],
    [{ deviceAuth: { service: 'devices', deviceId: 'a' } }, 'ClientCertificateNotPresent'],
    [{ authorize: { deny: [{ expression: 'true' }] } }, 'AuthorizationDenied'],
    [{ ipFilter: { deny: ['127.0.0.0/8'] } }, 'AddressBlocked'],
    [{ ipFilter: { allow: ['192.0.2.1'] } }, 'AddressNotAllowed'],
    [{ requireHeader: { name: 'X-None' } }, 'HeaderNotFound'],
    [{ requireHeader: { name: 'Host', values: ['other'] } }, 'HeaderValueNotAllowed'],
    [{ setHeaders: [{ name: 'x-a', value: "${request.headers['x-none']}" }] }, 'ExpressionFailed'],
    [{ setVariables: { a: "${request.headers['x-none']}" } }, 'ExpressionFailed'],
    [{ respond: { status: 200, body: "${request.headers['x-none']}" } }, 'ExpressionFailed'],
    [
      {
        choose: {
          when: [
            { condition: "request.headers['x-none'] == ''", steps: [{ name: 'in', requireHeader: { name: 'X' } }] },
          ],
        },
      },
      'ExpressionFailed',
    ],
    [{ when: "request.headers['x-none'] == ''", removeHeaders: ['X-A'] }, 'ExpressionFailed'],
  ];
  const policies = denials.map(([step], index) =>
    made.authPolicy(`audit-${index}`, { mode: 'Audit', request: [{ name: 'step', ...step }] }),
  );
  const { app, sidecar } = await start(t, { request: [made.OPEN] }, undefined, [
    ...policies,
    made.tokenIssuer('corp', { issuer: 'x', keys: [{ configMapKeyRef: { name: 'none', key: 'none' } }] }),
    made.clientTrust('devices', { anchors: [made.fromConfigMap('ca')], revocation: { mode: 'Disabled' } }),
    made.configMap('ca', { 'ca.crt': createAuthority({ name: 'devices' }).certificatePem }),
    made.deviceAuthService('devices', { url: 'http://device-auth.shop.svc/' }),
  ]);
  for (const times of [1, 2]) {
    assert.equal((await ask(sidecar, { path: '/a' })).status, 200);
    for (const [index, [, reason]] of denials.entries()) {
      const labels = { policy: `shop/audit-${index}`, step: 'step', reason };
      assert.equal(await sidecar.metric('sallyport_audit_denials_total', labels), times, JSON.stringify(labels));
    }
  }
  assert.equal(await sidecar.metric('sallyport_audit_denials_total'), 2 * denials.length);
  assert.equal(await sidecar.metric('sallyport_denials_total'), 0);
  assert.equal(app.seen.length, 2);
});
