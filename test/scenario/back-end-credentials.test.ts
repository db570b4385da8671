/** Credentials that are sent in headers: each accepted by a back end that checks it by its own means. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { createAuthority } from '../../src/demo/pki.ts';
import { type Answer, type Ask, openPlain } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { authorizationOf, SasQueue } from '../support/sas-queue.ts';
import { Endpoint, folded, RecordingApp, type Behaviour } from '../support/servers.ts';
import { type Sidecar, startSidecar, type SidecarOptions } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const HOST = 'contoso.servicebus.windows.net';
const PRIMARY = 'canary-primary-key-41d7+/==';
const SECONDARY = 'canary-secondary-key-9c20';
const authority = createAuthority({ name: 'back end' });
const server = authority.issue({ subject: 'queue', san: { dns: [HOST, 'login.example.com'] }, usages: ['serverAuth'] });
const caBundle = made.configMap('ca', { 'ca.crt': authority.certificatePem });
const trust = made.fromConfigMap('ca');

/** One Api, open to everybody, whose back end gets the credential. */
const exposing = (app: made.Spec, credential: made.Spec, parts: made.Spec = {}) => [
  made.api('orders', { basePath: '/orders', app, ...parts }),
  made.backendCredential('ours', credential),
  made.authPolicy('open', { ...made.onApi('orders'), request: [made.OPEN], backend: { credential: 'ours' } }),
  caBundle,
];

async function start(t: TestContext, options: SidecarOptions): Promise<Sidecar> {
  const sidecar = await startSidecar(options);
  t.after(() => sidecar.close());
  return sidecar;
}

async function ask(sidecar: Sidecar, what: Partial<Ask> = {}): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    return await connection.ask({ method: 'POST', path: '/orders', body: 'message', ...what });
  } finally {
    connection.close();
  }
}

async function assertHidden(sidecar: Sidecar, secrets: readonly string[]): Promise<void> {
  const status = await sidecar.command('status', '-o', 'json');
  const places = { log: sidecar.output, metrics: await sidecar.metrics(), status: status.stdout + status.stderr };
  for (const [place, text] of Object.entries(places)) {
    for (const secret of secrets)
      for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
        assert.equal(text.includes(form), false, `${secret} stands in ${place}`);
  }
}

test('a queue accepts the Shared Access Signature, renewed and over a rotation of its keys, and never the client’s', async t => {
  const keys = { SendPolicy: [PRIMARY, SECONDARY] };
  const queue = await new SasQueue(HOST, { keys }, { server }).start();
  t.after(() => queue.stop());
  const key = (name: string) => ({ secretKeyRef: { name: 'sb', key: name } });
  const sas = (activeKey = 'Primary', uri = `https://${HOST}/orders/messages`) => ({
    sharedAccessSignature: {
      resourceUri: { value: uri },
      keyName: { configMapKeyRef: { name: 'sb', key: 'name' } },
      key: key('primary'),
      secondaryKey: key('secondary'),
      activeKey,
      ttl: '10s',
    },
  });
  const app = { url: `https://${HOST}/orders/messages`, trust };
  const named = [
    made.configMap('sb', { name: 'SendPolicy' }),
    made.secret('sb', { primary: `${PRIMARY}\n`, secondary: SECONDARY }),
  ];
  const sidecar = await start(t, {
    manifests: { 'all.yaml': [...exposing(app, sas()), ...named] },
    resolve: { [HOST]: queue.port },
  });
  const forged: Ask['headers'] = [['Authorization', 'SharedAccessSignature sr=forged&sig=forged&se=9999999999&skn=X']];

  const answer = await ask(sidecar, { headers: forged, body: 'first' });
  assert.equal(answer.status, 201, answer.body);
  assert.deepEqual(queue.messages, ['first']);
  assert.match(
    authorizationOf(queue.last),
    /^SharedAccessSignature sr=https%3A%2F%2Fcontoso\.servicebus\.windows\.net%2Forders%2Fmessages&sig=[A-Za-z0-9%]+%3D&se=[0-9]{10}&skn=SendPolicy$/,
  );
  const first = authorizationOf(queue.last);
  await ask(sidecar, { path: '/orders/batch' });
  assert.equal(authorizationOf(queue.last), first, 'a token is used again');
  await until('another token, since three quarters of its ten seconds have passed', async () => {
    assert.equal((await ask(sidecar)).status, 201);
    return authorizationOf(queue.last) !== first;
  });
  assert.deepEqual(queue.refused, []);

  // The primary key is withdrawn: the other one signs, without a gap.
  await sidecar.apply({ 'all.yaml': [...exposing(app, sas('Secondary')), ...named] });
  keys.SendPolicy.splice(0, 1);
  assert.equal((await ask(sidecar)).status, 201);

  // What the queue refuses shows that it looks: another resource, a key that was withdrawn.
  await sidecar.apply({ 'all.yaml': [...exposing(app, sas('Secondary', `https://${HOST}/other`)), ...named] });
  assert.equal((await ask(sidecar)).status, 401);
  await sidecar.apply({ 'all.yaml': [...exposing(app, sas('Primary')), ...named] });
  assert.equal((await ask(sidecar)).status, 401);
  assert.deepEqual(queue.refused, ['another resource', 'bad signature']);

  // A Secret that is gone is an outage (S6), not a call without a credential.
  const count = queue.seen.length;
  await sidecar.apply({ 'all.yaml': [...exposing(app, sas('Primary')), made.configMap('sb', { name: 'SendPolicy' })] });
  assert.deepEqual([(await ask(sidecar)).reason, queue.seen.length], ['CredentialUnavailable', count]);
  await assertHidden(sidecar, [PRIMARY, SECONDARY, first.slice(22)]);
});

test('an app next door gets a key in a header, its own host only, and what it sends back does not show it', async t => {
  const echo: Behaviour = ({ lines }, response) => {
    for (const value of folded(lines, 'x-api-key')) response.setHeader('X-Echo', `you sent ${value}`);
    response.setHeader('Authorization', 'Basic YTpi').setHeader('X-Kept', 'yes').end('ok');
  };
  const app = await new RecordingApp(echo).start();
  t.after(() => app.stop());
  const secret = (hosts?: string) => {
    const plain = made.secret('key', { key: 'canary-api-key-77fe' });
    const annotations = hosts === undefined ? {} : { annotations: { 'sallyport.dev/allowed-hosts': hosts } };
    return { ...plain, metadata: { ...(plain['metadata'] as object), ...annotations } };
  };
  const credential = { header: { name: 'X-Api-Key', value: { secretKeyRef: { name: 'key', key: 'key' } } } };
  const manifests = (hosts?: string) => ({
    // Api.app.credential is the broadest (S5).
    'all.yaml': [
      made.api('orders', { basePath: '/orders', app: { credential: 'ours' } }),
      made.backendCredential('ours', credential),
      made.authPolicy('open', { ...made.onApi('orders'), request: [made.OPEN] }),
      secret(hosts),
    ],
  });
  const sidecar = await start(t, { manifests: manifests(), app: app.port });
  const headers: Ask['headers'] = [
    ['X-Api-Key', 'forged'],
    ['x_api_key', 'forged'],
    ['Authorization', 'Basic Zm9yZ2Vk'],
  ];
  const answer = await ask(sidecar, { headers });
  assert.equal(answer.status, 200);
  assert.deepEqual(folded(app.last.lines, 'x-api-key'), ['canary-api-key-77fe']);
  assert.deepEqual(folded(app.last.lines, 'authorization'), []);
  assert.equal(answer.head.includes('canary'), false, answer.head);
  assert.equal(answer.head.includes('X-Kept: yes'), true);

  await sidecar.apply(manifests('queue.example.net'));
  assert.equal((await ask(sidecar)).reason, 'CredentialUnavailable');
  assert.equal(app.seen.length, 1);
  await sidecar.apply(manifests('queue.example.net, localhost'));
  assert.equal((await ask(sidecar)).status, 200);
  await assertHidden(sidecar, ['canary-api-key-77fe']);
});

test('a token of an authorization server is had once for many requests, and an outage is 503 only without one', async t => {
  let granted = 0;
  const asked: string[] = [];
  const login = new Endpoint(
    (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        asked.push(`${request.headers.authorization ?? ''} ${body}`);
        const token = { access_token: `canary-token-${++granted}`, token_type: 'Bearer', expires_in: 3600 };
        response.setHeader('content-type', 'application/json').end(JSON.stringify(token));
      });
    },
    { server },
  );
  await login.start();
  const port = login.port;
  await login.stop();
  t.after(() => login.stop());
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const credential = {
    oauth2ClientCredentials: {
      tokenUrl: 'https://login.example.com/token',
      clientId: { value: 'orders' },
      clientSecret: { secretKeyRef: { name: 'idp', key: 'secret' } },
      scopes: ['api://queue/.default'],
      trust,
    },
  };
  const sidecar = await start(t, {
    manifests: { 'all.yaml': [...exposing({}, credential), made.secret('idp', { secret: 'canary-client-secret-5e' })] },
    app: app.port,
    resolve: { 'login.example.com': port },
  });
  const down = await ask(sidecar);
  assert.deepEqual([down.status, down.reason, app.seen.length], [503, 'CredentialUnavailable', 0]);
  assert.ok(down.headers.has('retry-after'));
  await login.start();
  await until('the token endpoint to be asked again', async () => (await ask(sidecar)).status === 200);
  await Promise.all(Array.from({ length: 20 }, () => ask(sidecar)));
  assert.equal(authorizationOf(app.last), 'Bearer canary-token-1');
  const basic = Buffer.from('orders:canary-client-secret-5e').toString('base64');
  assert.deepEqual(asked, [`Basic ${basic} grant_type=client_credentials&scope=api%3A%2F%2Fqueue%2F.default`]);
  await login.stop();
  assert.equal((await ask(sidecar)).status, 200, 'the token is good for an hour');
  await assertHidden(sidecar, ['canary-client-secret-5e', 'canary-token-1']);
});

test('an app verifies who the caller is by a signed context and the keys of the health port', async t => {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const sidecar = await start(t, {
    manifests: { 'all.yaml': exposing({}, { signedContext: { audience: 'orders-app' } }) },
    app: app.port,
  });
  const forged: Ask['headers'] = [['X-Sallyport-Context', 'forged']];
  assert.equal((await ask(sidecar, { headers: forged })).status, 200);
  const [context = '', ...more] = folded(app.last.lines, 'x-sallyport-context');
  assert.deepEqual(more, []);
  const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${sidecar.healthPort}/.well-known/jwks.json`));
  const { payload } = await jwtVerify(context, keys, {
    issuer: 'urn:sallyport:shop:ours',
    audience: 'orders-app',
    typ: 'sallyport-context+jwt',
  });
  assert.deepEqual(
    [payload['kind'], payload['api'], (payload.exp ?? 0) - (payload.iat ?? 0)],
    ['Anonymous', 'shop/orders', 60],
  );
  await assertHidden(sidecar, [context]);
});
