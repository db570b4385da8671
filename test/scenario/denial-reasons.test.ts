/** Every reason of a denial that this version can give: status, headers, body and log line. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { REASON_NAMES, REASONS, type Reason } from '../../src/api/reasons.ts';
import { createDemoMaterial, type DemoMaterial } from '../../src/demo/material.ts';
import type { IssuedCertificate } from '../../src/demo/pki.ts';
import { findFreePort } from '../../src/demo/listening.ts';
import { type Answer, type Connection, openPlain, openTls, type TlsClient } from '../support/connection.ts';
import { describeMaterial, WEB_CLAIMS } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { type Behaviour, DeviceAuth, RecordingApp, TestIssuer } from '../support/servers.ts';
import { type LogLine, type Sidecar, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

/** Reasons of the closed list that nobody is given, and why each of them cannot occur. */
const CANNOT_OCCUR: Readonly<Partial<Record<Reason, string>>> = {
  Draining: 'a draining sidecar goes on serving (HTTP/2 says GOAWAY), and one that stops accepts nothing',
};

interface Expected {
  /** Scheme and, where RFC 6750 has one, error of each challenge. */
  readonly challenges?: readonly RegExp[];
  readonly retryAfter?: RegExp;
  /** Policy and step of the log line; absent: no step denied. */
  readonly by?: readonly [policy: string, step: string];
  /** The rule, claim or field that the log line names. */
  readonly detail?: string;
  /** The connection must end after it. */
  readonly closes?: boolean;
}

interface Case extends Expected {
  readonly reason: Reason;
  /** Where a reason has several. */
  readonly how?: string;
  readonly ask: () => Promise<Answer>;
}

const INVALID_TOKEN = [/^Bearer realm="reasons", error="invalid_token"/];
const NO_CERTIFICATE = [/^ClientCertificate realm="reasons"$/];

/** What the app of a path does. */
const behave: Behaviour = ({ path }, response) => {
  if (path === '/slow/') return; // for ever
  if (path === '/v1/garbage')
    response.socket?.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab');
  else response.end('ok');
};

function describeApis(ports: Record<'closed' | 'app', number>): made.Manifest[] {
  const tls = { tls: { certificate: { secretName: 'fleet-tls' } }, hosts: ['fleet.example.com'] };
  const reach = {
    scheme: 'https',
    serverName: 'fleet.shop.svc',
    trust: made.fromConfigMap('app-ca'),
    credential: 'mesh',
  };
  const operation = (name: string, path = `/${name}`): made.Spec => ({ name, path });
  const names = ['jwt', 'aged', 'picky', 'dark', 'claims', 'bound', 'certificate', 'identity', 'stale-list', 'header'];
  const more = [
    'subscribed',
    'signed',
    'timed',
    'elsewhere',
    'banned',
    'header-value',
    'expression',
    'unguarded',
    'rules',
    'rate',
    'window',
    'few',
    'invalid',
    'garbage',
    'open',
    'unable',
  ];
  return [
    made.api('reasons', {
      ...tls,
      basePath: '/v1',
      app: reach,
      operations: [...names, ...more].map(name => operation(name)).concat(operation('device', '/devices/{deviceId}')),
    }),
    made.api('slow', { ...tls, basePath: '/slow', app: { ...reach, timeouts: { response: '150ms' } } }),
    made.api('small', { ...tls, basePath: '/small', app: reach, limits: { bodyBytes: 16, bodyIdle: '150ms' } }),
    made.api('gone', { ...tls, basePath: '/gone', app: { url: `http://127.0.0.1:${ports.closed}` } }),
    made.api('stranger', {
      ...tls,
      basePath: '/stranger',
      app: { ...reach, trust: made.fromConfigMap('corp-ca') },
    }),
    made.api('bare', { ...tls, basePath: '/bare', app: { ...reach, credential: 'lost' } }),
    made.api('other', { ...tls, hosts: ['other.example.com'], tls: { certificate: { secretName: 'other-tls' } } }),
    ...['slow', 'small', 'gone', 'stranger', 'bare', 'other'].map(name =>
      made.authPolicy(`open-${name}`, { ...made.onApi(name), request: [made.OPEN] }),
    ),
  ];
}

function describePolicies(): made.Manifest[] {
  const on = (operation: string, ...request: readonly made.Spec[]): made.Manifest =>
    made.authPolicy(operation, { ...made.onApi('reasons', operation), request });
  const jwt = (parts: made.Spec = {}): made.Spec => ({
    name: 'caller',
    jwt: { issuers: ['corp'], audiences: ['api://fleet'], ...parts },
  });
  const certificate = (parts: made.Spec = {}): made.Spec => ({
    name: 'caller',
    clientCertificate: { trust: 'devices', ...parts },
  });
  const lookUp: made.Spec = {
    name: 'device',
    deviceAuth: {
      service: 'devices',
      deviceId: '${params.deviceId}',
      certificateIdentity: '${cert.subject.CN}',
    },
  };
  return [
    on('jwt', jwt()),
    on('aged', jwt({ issuers: ['aged'] })),
    on('picky', jwt({ issuers: ['picky'] })),
    on('dark', jwt({ issuers: ['dark'] })),
    on(
      'claims',
      jwt({
        requiredClaims: [
          { name: 'clientId' },
          { name: 'tier', values: ['gold'] },
          { name: 'scope', match: 'Any', values: ['ManagementApi'] },
        ],
      }),
    ),
    on('bound', jwt({ boundToCertificate: true })),
    on('certificate', certificate()),
    on('identity', certificate({ identities: [{ commonName: 'robot-1' }] })),
    on('stale-list', certificate({ trust: 'stale' })),
    on('device', certificate(), lookUp),
    on('header', made.OPEN, { name: 'need', requireHeader: { name: 'X-Env' } }),
    on('header-value', made.OPEN, { name: 'need', requireHeader: { name: 'X-Env', values: ['prod'] } }),
    on('expression', made.OPEN, { name: 'broken', when: "request.query.tier[0] == 'gold'", removeHeaders: ['X-A'] }),
    on('unguarded', { name: 'trim', removeHeaders: ['X-Debug'] }),
    on('rules', made.OPEN, {
      name: 'deny',
      authorize: { deny: [{ name: 'all', expression: 'true', message: 'closed' }] },
    }),
    on('subscribed', { name: 'caller', subscription: {} }),
    on('signed', {
      name: 'caller',
      hmacSignature: { preset: 'GitHub', keys: [made.fromSecret('partner', 'hash')], rejectReplays: true },
    }),
    on('timed', { name: 'caller', hmacSignature: { preset: 'Slack', keys: [made.fromSecret('partner', 'hash')] } }),
    on('elsewhere', made.OPEN, { name: 'from', ipFilter: { allow: ['192.0.2.0/24'] } }),
    on('banned', made.OPEN, { name: 'from', ipFilter: { deny: ['127.0.0.0/8'] } }),
    on('rate', made.OPEN, { name: 'slowly', rateLimit: { calls: 1, period: '24h' } }),
    on('window', made.OPEN, { name: 'daily', quota: { calls: 1, period: '24h' } }),
    on('few', made.OPEN, { name: 'alone', concurrency: { max: 1 } }),
    on('invalid', { name: 'future', telepathy: {} }),
    on('garbage', made.OPEN),
    on('open', made.OPEN),
    on('unable', certificate({ trust: 'lost' })),
  ];
}

function describeSupport(material: DemoMaterial, stale: string): made.Manifest[] {
  const trust = made.fromConfigMap('corp-ca');
  const discovery = { url: 'https://login.example.com/.well-known/openid-configuration', trust };
  const jwks = { url: 'https://login.example.com/keys', trust };
  const anchors = [made.fromConfigMap('device-ca')];
  const strict = (map: string): made.Spec => ({ mode: 'Strict', crls: [made.fromConfigMap(map, 'crl.pem')] });
  const issuer = 'https://login.example.com';
  return [
    made.tokenIssuer('corp', { discovery }),
    made.tokenIssuer('aged', { discovery, maxTokenAge: '1m' }),
    made.tokenIssuer('picky', { jwks, issuer, algorithms: ['RS256'] }),
    made.tokenIssuer('dark', { jwks: { url: 'https://dark.example.com/keys', trust }, issuer }),
    made.clientTrust('devices', { anchors, revocation: strict('device-ca') }),
    made.clientTrust('stale', { anchors, revocation: strict('stale-list') }),
    made.clientTrust('lost', { anchors: [made.fromConfigMap('no-such-map')] }),
    made.configMap('stale-list', { 'crl.pem': stale }),
    made.configMap('stolen', { list: `${material.devices['robot-8'].sha256}\n` }),
    made.deviceAuthService('devices', {
      url: 'https://device-auth.fleet.svc:8443/check',
      tls: { trust, credential: 'mesh' },
      revoke: made.fromConfigMap('stolen', 'list'),
      cache: { ttl: '0s', negativeTtl: '0s' },
      timeout: '20s',
    }),
    made.subscription('partner', { primaryKeyHash: made.fromSecret('partner', 'hash') }),
    made.secret('partner', { hash: 'ab'.repeat(32) }),
    made.backendCredential('mesh', { meshCertificate: { managed: {} } }),
    made.backendCredential('lost', { meshCertificate: { secretName: 'no-such-secret' } }),
    ...describeMaterial(material),
    made.tlsSecret(
      'other-tls',
      material.corp.issue({ subject: 'other', san: { dns: ['other.example.com'] }, usages: ['serverAuth'] }),
    ),
  ];
}

const covered = new Set<Reason>();

/** What every denial has in common, and what is said of this one. */
async function assertDenial(
  answer: Answer,
  sidecar: Sidecar,
  expected: Expected & { reason: Reason },
): Promise<LogLine> {
  const { status, title } = REASONS[expected.reason];
  assert.equal(`${answer.status} ${answer.reason}`, `${status} ${expected.reason}`, answer.head);
  const requestId = answer.headers.get('x-request-id')?.[0] ?? '';
  assert.match(requestId, /^[\w-]{8,}$/);
  const document = JSON.parse(answer.body) as Record<string, unknown>;
  assert.deepEqual(
    { ...document, detail: undefined },
    {
      type: `https://sallyport.dev/problems/${expected.reason}`,
      title,
      status,
      reason: expected.reason,
      requestId,
      detail: undefined,
    },
  );
  assert.deepEqual(answer.headers.get('cache-control'), ['no-store']);
  for (const name of ['server', 'x-powered-by', 'via']) assert.equal(answer.headers.has(name), false);
  const challenges = answer.headers.get('www-authenticate') ?? [];
  assert.equal(challenges.length, expected.challenges?.length ?? 0, challenges.join(' | '));
  for (const [index, pattern] of (expected.challenges ?? []).entries()) assert.match(challenges[index] ?? '', pattern);
  const retryAfter = answer.headers.get('retry-after')?.[0];
  if (status === 429 || status === 503) assert.match(retryAfter ?? 'absent', expected.retryAfter ?? /^5$/);
  else if (expected.retryAfter !== undefined) assert.match(retryAfter ?? 'absent', expected.retryAfter);
  else assert.equal(retryAfter, undefined);
  if (expected.closes === true) assert.deepEqual(answer.headers.get('connection'), ['close']);
  covered.add(expected.reason);
  const line = await sidecar.lineOf(requestId);
  assert.equal(line['reason'], expected.reason);
  assert.equal(line['status'], status);
  assert.deepEqual([line['policy'], line['step']], expected.by ?? [undefined, undefined]);
  if (expected.detail !== undefined) assert.equal(line['detail'], expected.detail);
  return line;
}

describe('denials', () => {
  const ends: (() => unknown)[] = [];
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting;
    ends.unshift(() => started.stop());
    return started;
  };
  const material = createDemoMaterial();
  const { devicesCa, corp, mesh, servers, devices } = material;
  const hour = 3_600_000;
  const special = {
    future: devicesCa.issue({ subject: { CN: 'robot-7' }, notBefore: new Date(Date.now() + hour) }),
    server: devicesCa.issue({ subject: { CN: 'robot-7' }, usages: ['serverAuth'] }),
  };
  let sidecar: Sidecar;
  let issuer: TestIssuer;
  let deviceAuth: DeviceAuth;

  before(async () => {
    issuer = await keep(new TestIssuer({ server: servers.issuer }).start());
    issuer.create('unpublished');
    deviceAuth = await keep(new DeviceAuth({ server: servers.deviceAuth, clients: mesh.certificatePem }).start());
    const app = await keep(new RecordingApp(behave, { server: servers.app, clients: mesh.certificatePem }).start());
    const closed = await findFreePort();
    sidecar = await startSidecar({
      manifests: {
        'apis.yaml': describeApis({ closed, app: app.port }),
        'policies.yaml': describePolicies(),
        'support.yaml': describeSupport(
          material,
          devicesCa.crlPem({ thisUpdate: new Date(Date.now() - 3 * hour), nextUpdate: new Date(Date.now() - hour) }),
        ),
      },
      app: app.port,
      mesh: material.sidecar,
      resolve: {
        'login.example.com': issuer.port,
        'dark.example.com': closed,
        'device-auth.fleet.svc:8443': deviceAuth.port,
      },
    });
    ends.unshift(() => sidecar.close());
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const client = (certificate?: IssuedCertificate): TlsClient => ({
    ca: corp.certificatePem,
    ...(certificate === undefined ? {} : { certificate }),
  });
  const talk = async <T>(certificate: IssuedCertificate | undefined, say: (connection: Connection) => Promise<T>) => {
    const connection = await openTls(sidecar.port, client(certificate));
    try {
      return await say(connection);
    } finally {
      connection.close();
    }
  };
  const get = (path: string, certificate?: IssuedCertificate): Promise<Answer> =>
    talk(certificate, connection => connection.ask({ path }));
  const send = (text: string): Promise<Answer> => talk(undefined, connection => connection.send(text).readAnswer());
  const bear = async (path: string, token: string | Promise<string>, certificate?: IssuedCertificate) => {
    const text = await token;
    return talk(certificate, connection => connection.ask({ path, token: text }));
  };
  const head = (line: string, ...lines: string[]): string =>
    [line, 'Host: fleet.example.com', ...lines, '', ''].join('\r\n');
  const forge = async (token: Promise<string>): Promise<string> =>
    (await token).replace(/\.[^.]+$/, `.${'A'.repeat(86)}`);
  const sign = (parts: Parameters<TestIssuer['mint']>[0] = {}): Promise<string> =>
    issuer.mint({ kid: 'key-1', ...parts });
  const claims = { ...WEB_CLAIMS, tier: 'gold' };
  const seconds = (): number => Math.floor(Date.now() / 1000);
  const caller = (policy: string): { by: readonly [string, string] } => ({
    by: [`shop/${policy}`, 'caller'],
  });

  const cases: readonly Case[] = [
    { reason: 'MalformedRequest', closes: true, ask: () => send(head('GET / HTTP/1.1', 'Bad Name: x')) },
    { reason: 'AmbiguousPath', ask: () => get('/v1/a%2fb') },
    {
      reason: 'DuplicateCredential',
      ask: async () => {
        const bearer = `Authorization: Bearer ${await sign()}`;
        return send(head('GET /v1/jwt HTTP/1.1', bearer, bearer));
      },
      challenges: [/^Bearer realm="reasons", error="invalid_request"/],
      ...caller('jwt'),
    },
    {
      reason: 'TokenNotPresent',
      ask: () => get('/v1/jwt'),
      challenges: [/^Bearer realm="reasons"$/],
      ...caller('jwt'),
    },
    { reason: 'TokenMalformed', ask: () => bear('/v1/jwt', 'abc'), challenges: INVALID_TOKEN, ...caller('jwt') },
    {
      reason: 'TokenSignatureInvalid',
      ask: () => bear('/v1/jwt', forge(sign())),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenKeyNotFound',
      ask: () => bear('/v1/jwt', sign({ kid: 'unpublished' })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenAlgorithmNotAllowed',
      ask: () => bear('/v1/picky', sign()),
      challenges: INVALID_TOKEN,
      ...caller('picky'),
    },
    {
      reason: 'TokenIssuerNotAllowed',
      ask: () => bear('/v1/jwt', sign({ issuer: 'https://login.evil.example' })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenAudienceNotAllowed',
      ask: () => bear('/v1/jwt', sign({ audience: 'api://billing' })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenExpired',
      ask: () => bear('/v1/jwt', sign({ expiresIn: -600 })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenNotYetValid',
      ask: () => bear('/v1/jwt', sign({ claims: { nbf: seconds() + 600 } })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenExpirationMissing',
      ask: () => bear('/v1/jwt', sign({ expiresIn: null })),
      challenges: INVALID_TOKEN,
      ...caller('jwt'),
    },
    {
      reason: 'TokenTooOld',
      ask: () => bear('/v1/aged', sign({ claims: { iat: seconds() - 600 } })),
      challenges: INVALID_TOKEN,
      ...caller('aged'),
    },
    {
      reason: 'TokenClaimNotFound',
      ask: () => bear('/v1/claims', sign({ claims: { scope: 'ManagementApi' } })),
      challenges: INVALID_TOKEN,
      ...caller('claims'),
    },
    {
      reason: 'TokenClaimNotAllowed',
      ask: () => bear('/v1/claims', sign({ claims: { ...claims, tier: 'lead' } })),
      challenges: INVALID_TOKEN,
      ...caller('claims'),
    },
    {
      reason: 'InsufficientScope',
      ask: () => bear('/v1/claims', sign({ claims: { ...claims, scope: 'profile' } })),
      challenges: [/^Bearer realm="reasons", error="insufficient_scope", .*scope="ManagementApi"/],
      ...caller('claims'),
    },
    {
      reason: 'TokenBindingMismatch',
      ask: () => bear('/v1/bound', sign({ claims: { cnf: { 'x5t#S256': 'A'.repeat(43) } } }), devices['robot-7']),
      challenges: INVALID_TOKEN,
      ...caller('bound'),
    },
    {
      reason: 'ClientCertificateNotPresent',
      ask: () => get('/v1/certificate'),
      challenges: NO_CERTIFICATE,
      ...caller('certificate'),
    },
    {
      reason: 'ClientCertificateUntrusted',
      ask: () => get('/v1/certificate', devices.untrusted),
      ...caller('certificate'),
    },
    {
      reason: 'ClientCertificateExpired',
      ask: () => get('/v1/certificate', devices.expired),
      ...caller('certificate'),
    },
    {
      reason: 'ClientCertificateNotYetValid',
      ask: () => get('/v1/certificate', special.future),
      ...caller('certificate'),
    },
    {
      reason: 'ClientCertificateRevoked',
      ask: () => get('/v1/certificate', devices.revoked),
      ...caller('certificate'),
    },
    { reason: 'ClientCertificatePurpose', ask: () => get('/v1/certificate', special.server), ...caller('certificate') },
    {
      reason: 'ClientCertificateIdentityNotAllowed',
      ask: () => get('/v1/identity', devices['robot-7']),
      ...caller('identity'),
    },
    { reason: 'RevocationUnavailable', ask: () => get('/v1/stale-list', devices['robot-7']), ...caller('stale-list') },
    {
      reason: 'DeviceNotRecognized',
      ask: () => get('/v1/devices/robot-7', devices['robot-7']),
      by: ['shop/device', 'device'],
    },
    {
      reason: 'DeviceMismatch',
      ask: () => get('/v1/devices/robot-8', devices['robot-7']),
      by: ['shop/device', 'device'],
    },
    {
      reason: 'DeviceMismatch',
      how: 'device-auth answers about another device',
      ask: async () => {
        deviceAuth.answerAll({ status: 200, body: { deviceId: 'robot-1' } });
        const answer = await get('/v1/devices/robot-7', devices['robot-7']);
        deviceAuth.answerAll(undefined);
        return answer;
      },
      by: ['shop/device', 'device'],
    },
    {
      reason: 'DeviceRevoked',
      ask: () => get('/v1/devices/robot-8', devices['robot-8']),
      by: ['shop/device', 'device'],
    },
    {
      reason: 'DeviceAuthUnavailable',
      ask: async () => {
        deviceAuth.answerAll({ status: 500 });
        const answer = await get('/v1/devices/robot-7', devices['robot-7']);
        deviceAuth.answerAll(undefined);
        return answer;
      },
      by: ['shop/device', 'device'],
    },
    { reason: 'KeysUnavailable', ask: () => bear('/v1/dark', sign()), ...caller('dark') },
    { reason: 'HeaderNotFound', ask: () => get('/v1/header'), by: ['shop/header', 'need'] },
    {
      reason: 'HeaderValueNotAllowed',
      ask: () => send(head('GET /v1/header-value HTTP/1.1', 'X-Env: test')),
      by: ['shop/header-value', 'need'],
    },
    { reason: 'ExpressionFailed', ask: () => get('/v1/expression'), by: ['shop/expression', 'broken'] },
    { reason: 'NoPolicyMatches', ask: () => get('/v1/unguarded') },
    {
      reason: 'AuthorizationDenied',
      ask: () => get('/v1/rules'),
      by: ['shop/rules', 'deny'],
      detail: 'deny rule all',
    },
    {
      reason: 'SubscriptionKeyNotFound',
      ask: () => get('/v1/subscribed'),
      challenges: [/^ApiKey realm="reasons"$/],
      ...caller('subscribed'),
    },
    {
      reason: 'SubscriptionKeyInvalid',
      ask: () => send(head('GET /v1/subscribed HTTP/1.1', 'Ocp-Apim-Subscription-Key: x')),
      challenges: [/^ApiKey realm="reasons"$/],
      detail: 'no Subscription has the key',
      ...caller('subscribed'),
    },
    {
      reason: 'SignatureNotPresent',
      ask: () => get('/v1/signed'),
      challenges: [/^Signature realm="reasons"$/],
      ...caller('signed'),
    },
    {
      reason: 'SignatureInvalid',
      ask: () => send(head('GET /v1/signed HTTP/1.1', `X-Hub-Signature-256: sha256=${'ab'.repeat(32)}`)),
      challenges: [/^Signature realm="reasons"$/],
      ...caller('signed'),
    },
    {
      reason: 'SignatureExpired',
      ask: () =>
        send(
          head(
            'GET /v1/timed HTTP/1.1',
            `X-Slack-Signature: v0=${'ab'.repeat(32)}`,
            'X-Slack-Request-Timestamp: 1531420618',
          ),
        ),
      challenges: [/^Signature realm="reasons"$/],
      ...caller('timed'),
    },
    {
      reason: 'SignatureReplayed',
      ask: async () => {
        const signature = createHmac('sha256', 'ab'.repeat(32)).update('').digest('hex');
        const signed = head('GET /v1/signed HTTP/1.1', `X-Hub-Signature-256: sha256=${signature}`);
        assert.equal((await send(signed)).status, 200);
        return send(signed);
      },
      challenges: [/^Signature realm="reasons"$/],
      ...caller('signed'),
    },
    { reason: 'AddressNotAllowed', ask: () => get('/v1/elsewhere'), by: ['shop/elsewhere', 'from'] },
    { reason: 'AddressBlocked', ask: () => get('/v1/banned'), by: ['shop/banned', 'from'] },
    {
      reason: 'RateLimitExceeded',
      ask: async () => {
        const first = await get('/v1/rate');
        assert.equal(first.status, 200);
        return get('/v1/rate');
      },
      retryAfter: /^8(6[34]\d\d)$/,
      by: ['shop/rate', 'slowly'],
    },
    {
      reason: 'QuotaExceeded',
      ask: async () => {
        const first = await get('/v1/window');
        assert.equal(first.status, 200);
        return get('/v1/window');
      },
      retryAfter: /^8(6[34]\d\d)$/,
      by: ['shop/window', 'daily'],
    },
    {
      reason: 'ConcurrencyExceeded',
      // Its body never ends, so that it stays open.
      ask: () =>
        talk(undefined, async connection => {
          connection.send(head('POST /v1/few HTTP/1.1', 'Content-Length: 5'));
          return until('another to be refused', async () => {
            const answer = await get('/v1/few');
            return answer.status === 429 ? answer : undefined;
          });
        }),
      by: ['shop/few', 'alone'],
    },
    { reason: 'OperationNotFound', ask: () => get('/v1/nowhere') },
    {
      reason: 'MethodNotAllowed',
      ask: () => send('CONNECT fleet.example.com:443 HTTP/1.1\r\nHost: fleet.example.com:443\r\n\r\n'),
      closes: true,
    },
    {
      reason: 'RequestTimeout',
      ask: () => send(head('POST /small/ HTTP/1.1', 'Content-Length: 5') + 'ab'),
      closes: true,
    },
    {
      reason: 'BodyTooLarge',
      ask: () => send(`${head('POST /small/ HTTP/1.1', 'Content-Length: 17')}${'x'.repeat(17)}`),
    },
    {
      reason: 'BodyTooLarge',
      how: 'without a length told',
      ask: () =>
        send(`${head('POST /small/ HTTP/1.1', 'Transfer-Encoding: chunked')}11\r\n${'x'.repeat(17)}\r\n0\r\n\r\n`),
    },
    { reason: 'TargetTooLong', ask: () => send(head(`GET /v1/open?${'a'.repeat(17_000)} HTTP/1.1`)), closes: true },
    {
      reason: 'HeadersTooLarge',
      ask: () => send(head('GET /v1/open HTTP/1.1', ...Array.from({ length: 101 }, (_, n) => `X-${n}: a`))),
      closes: true,
    },
    { reason: 'ExpectationFailed', ask: () => send(head('GET /v1/open HTTP/1.1', 'Expect: miracles')), closes: true },
    {
      reason: 'TransferCodingNotSupported',
      ask: () => send(head('POST /v1/open HTTP/1.1', 'Transfer-Encoding: gzip')),
      closes: true,
    },
    { reason: 'VersionNotSupported', ask: () => send(head('GET /v1/open HTTP/1.2')), closes: true },
    {
      reason: 'MisdirectedRequest',
      ask: () => talk(undefined, connection => connection.ask({ path: '/', host: 'other.example.com' })),
    },
    { reason: 'AppUnavailable', ask: () => get('/gone/') },
    { reason: 'AppProtocolError', ask: () => get('/v1/garbage') },
    { reason: 'AppCertificateInvalid', ask: () => get('/stranger/') },
    { reason: 'AppTimeout', ask: () => get('/slow/') },
    // S6: the log names the object.
    { reason: 'PolicyInvalid', ask: () => get('/v1/invalid'), by: ['shop/invalid', 'invalid'] },
    { reason: 'CredentialUnavailable', ask: () => get('/bare/') },
  ];

  for (const { reason, how, ask, ...expected } of cases) {
    test(`${REASONS[reason].status} ${reason}${how === undefined ? '' : `: ${how}`}`, async () => {
      await assertDenial(await ask(), sidecar, { reason, ...expected });
    });
  }

  test('503 PolicyNotLoaded: a sidecar that never saw a good policy', async t => {
    const empty = await startSidecar({ manifests: { 'bad.yaml': 'kind: [' }, app: 9, until: 'listening' });
    t.after(() => empty.close());
    const connection = await openPlain(empty.port);
    await assertDenial(await connection.ask({ path: '/v1/open' }), empty, { reason: 'PolicyNotLoaded' });
    connection.close();
  });

  test('503 Overloaded: memory is short, on a connection that was open before', async t => {
    const piece = JSON.stringify('x'.repeat(1 << 20));
    const app = await new RecordingApp((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let n = 0; n < 60; n++) response.write(piece);
    }).start();
    t.after(() => app.stop());
    const api = made.api('fleet');
    const bodies = { mediaTypes: ['application/json'], maxBytes: '64Mi' };
    const open = made.authPolicy('open', {
      request: [made.OPEN],
      response: [{ name: 'hide', hideBackend: { bodies } }],
    });
    const small = await startSidecar({
      manifests: { 'all.yaml': [api, open] },
      app: app.port,
      args: ['--max-memory', '160Mi'],
    });
    t.after(() => small.close());
    const early = await openPlain(small.port);
    // Bodies that are held until they end, which they do not.
    const others = await Promise.all([openPlain(small.port), openPlain(small.port)]);
    for (const other of others) other.send(head('GET /large HTTP/1.1'));
    await small.line('memory is short', line => line['msg'] === 'memory is short: new requests are refused');
    await assertDenial(await early.ask({ path: '/' }), small, { reason: 'Overloaded' });
    await assert.rejects(async () => (await openPlain(small.port)).ask({ path: '/' }), 'new connections are closed');
    for (const connection of [early, ...others]) connection.close();
  });

  test('every reason is shown here, but for those that cannot occur', () => {
    const missing = REASON_NAMES.filter(reason => !covered.has(reason));
    assert.deepEqual(missing.toSorted(), Object.keys(CANNOT_OCCUR).toSorted());
  });
});
