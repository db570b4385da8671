/**
 * The same requests under the same generated policies: once through the running program with its real adapters (TLS, keys,
 * certificates), once through `explain`. Both must come to the same verdict, for the same reason, at the same step.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { exportJWK, SignJWT } from 'jose';
import { runProgram } from '../../src/cli/commands.ts';
import { createAuthority, createKeyPair } from '../../src/demo/pki.ts';
import { openTls, type Connection } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp } from '../support/servers.ts';
import { type Sidecar, startSidecar, writeFiles } from '../support/sidecar.ts';

const SETS = 24;
const REQUESTS = 16;

const HOST = 'fleet.example.com';
const server = createAuthority({ name: 'server' });
const tls = server.issue({ subject: 'fleet', san: { dns: [HOST] }, usages: ['serverAuth'] });
const devices = createAuthority({ name: 'devices' });
const certificates = {
  'robot-7': devices.issue({ subject: 'robot-7', san: { uri: ['urn:device:robot-7'] } }),
  'robot-8': devices.issue({ subject: 'robot-8' }),
  stranger: createAuthority({ name: 'stranger' }).issue({ subject: 'robot-7' }),
};
const key = createKeyPair('P-256');

// --- requests

const tokens = ['none', 'good', 'expired', 'elsewhere', 'poor', 'forged', 'garbage', 'twice'] as const;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token: (typeof tokens)[number];
  readonly certificate: keyof typeof certificates | 'none';
  readonly headers: readonly (readonly [string, string])[];
}

const header = fc.constantFrom<readonly [string, string]>(
  ['X-Env', 'prod'],
  ['X-Env', 'test'],
  ['X-Tier', 'gold'],
  ['X-Tier', 'ünicode'],
  ['Origin', 'https://a.example'],
  ['Origin', 'https://b.example'],
  ['Access-Control-Request-Method', 'PUT'],
  ['X-Out', 'forged'],
);
const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'PUT', 'PUT', 'PUT', 'POST', 'POST', 'OPTIONS', 'DELETE'),
  path: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('/v1/a', '/v1/devices/robot-7', '/v1/devices/robot-8?x=1', '/v1/A/') },
    { weight: 1, arbitrary: fc.constantFrom('/v1/none', '/v1/devices/a%2fb') },
  ),
  token: fc.constantFrom(...tokens),
  certificate: fc.constantFrom('none', 'none', 'robot-7', 'robot-8', 'stranger'),
  headers: fc.uniqueArray(header, { maxLength: 4, selector: ([name]) => name }),
});

// --- policies

const condition = fc.constantFrom(
  'true',
  'true',
  'true',
  'false',
  "request.method == 'GET'",
  "has(request.headers['x-env'])",
  "request.headers['x-env'] == 'prod'",
  "'x-tier' in request.headers",
  'has(cert.sha1)',
  "jwt.claims.scope.contains('admin')",
  "caller.kind == 'Jwt'",
  "request.path.endsWith('robot-7')",
  "params.deviceId == 'robot-7'",
  '!has(cert.sha1)',
  "request.method != 'PUT'",
  "!has(jwt.subject) || jwt.subject == 'alice'",
  "source.ip.startsWith('127.')",
  "vars.set == 'fixed'",
  "vars.set == 'PUT'",
  "vars.fixed == 'yes'",
  'request.size > 3',
);
const text = fc.constantFrom(
  'fixed',
  '${source.ip}',
  '${request.host}',
  '${request.method}',
  '${params.deviceId}',
  '${jwt.subject}',
  "${request.headers['x-tier']}",
  '${vars.fixed}',
);

const jwt = fc.record({
  issuers: fc.constant(['corp']),
  audiences: fc.constantFrom(['api://fleet'], ['api://other'], ['Any']),
  requiredClaims: fc.constantFrom([], [{ name: 'scope', values: ['admin'] }], [{ name: 'tier' }]),
  forwardToken: fc.boolean(),
});
const clientCertificate = fc.record({
  trust: fc.constant('devices'),
  identities: fc.constantFrom([{ commonName: 'robot-7' }], [{ commonName: 'robot-7' }, { commonName: 'robot-8' }]),
});
const simple = fc.oneof(
  fc.record({ jwt }),
  fc.record({ clientCertificate }),
  fc.record({
    anyOf: fc.uniqueArray(
      fc.oneof(fc.record({ jwt }), fc.record({ clientCertificate }), fc.constant({ anonymous: {} })),
      {
        minLength: 1,
        maxLength: 3,
        selector: alternative => Object.keys(alternative)[0],
      },
    ),
  }),
  fc.record({
    authorize: fc.oneof(
      fc.record({ allow: fc.array(fc.record({ expression: condition }), { minLength: 1, maxLength: 2 }) }),
      fc.record({ deny: fc.array(fc.record({ expression: condition }), { minLength: 1, maxLength: 2 }) }),
    ),
  }),
  fc.record({
    requireHeader: fc.constantFrom({ name: 'X-Env' }, { name: 'X-Env', values: ['PROD'], ignoreCase: true }),
  }),
  fc.record({
    ipFilter: fc.constantFrom({ allow: ['127.0.0.0/8'] }, { deny: ['127.0.0.1/32'] }, { allow: ['192.0.2.0/24'] }),
  }),
  fc.record({
    setHeaders: fc.array(fc.record({ name: fc.constantFrom('X-Out', 'X-More'), value: text }), {
      minLength: 1,
      maxLength: 2,
    }),
  }),
  fc.constant({ removeHeaders: ['X-Env'] }),
  fc.record({ setVariables: fc.record({ set: text }) }),
  fc.record({ respond: fc.record({ status: fc.integer({ min: 200, max: 299 }), body: text }) }),
  fc.constant({ cors: { allowOrigins: ['https://a.example'], allowMethods: ['PUT'] } }),
);
type Step = Readonly<Record<string, unknown>>;
const conditional = (step: fc.Arbitrary<Step>): fc.Arbitrary<Step> =>
  fc
    .tuple(step, fc.option(condition, { nil: undefined, freq: 3 }))
    .map(([body, when]) => (when === undefined ? body : { when, ...body }));
const choose: fc.Arbitrary<Step> = fc
  .record({
    when: fc.array(fc.record({ condition, steps: fc.array(conditional(simple), { minLength: 1, maxLength: 2 }) }), {
      minLength: 1,
      maxLength: 2,
    }),
    otherwise: fc.option(fc.array(conditional(simple), { minLength: 1, maxLength: 2 }), { nil: undefined }),
  })
  .map(branches => ({ choose: branches }));

const TARGETS = {
  Cluster: {},
  Namespace: {},
  Product: { targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }] },
  Api: made.onApi('fleet'),
  Operation: made.onApi('fleet', 'device'),
} as const;
type Scope = keyof typeof TARGETS;

interface Policy {
  readonly scope: Scope;
  readonly spec: Readonly<Record<string, unknown>>;
}

const policy: fc.Arbitrary<Policy> = fc
  .record({
    scope: fc.constantFrom<Scope>('Cluster', 'Namespace', 'Product', 'Api', 'Operation'),
    mode: fc.constantFrom('Enforce', 'Enforce', 'Enforce', 'Audit'),
    sealed: fc.boolean(),
    inherit: fc.constantFrom('Before', 'After', 'None'),
    request: fc.array(conditional(fc.oneof({ weight: 5, arbitrary: simple }, { weight: 1, arbitrary: choose })), {
      minLength: 1,
      maxLength: 3,
    }),
  })
  .map(({ scope, inherit, ...spec }) => ({
    scope,
    spec: {
      ...TARGETS[scope],
      ...spec,
      ...(scope === 'Cluster' ? {} : { inherit }),
      variables: { fixed: { value: 'yes' }, set: { value: 'no' } },
    },
  }));

/** Names that no other step of the policy has; a variable that nobody has set before is left out of expressions. */
function nameSteps(value: unknown, next: () => string): unknown {
  if (Array.isArray(value)) return value.map(item => nameSteps(item, next));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const named = members.map(([name, member]) => [
    name,
    name === 'steps' || name === 'otherwise' ? nameList(member, next) : nameSteps(member, next),
  ]);
  return Object.fromEntries(named) as unknown;
}
const nameList = (steps: unknown, next: () => string): unknown =>
  (steps as readonly Step[]).map(step => ({ name: next(), ...(nameSteps(step, next) as object) }));

const qualify = (spec: unknown): unknown =>
  JSON.parse(
    JSON.stringify(spec).replaceAll('"corp"', '"shop/corp"').replaceAll('"trust":"devices"', '"trust":"shop/devices"'),
  );

/** Policies of another set have other names: what was in force before must not stand in for them. */
function writePolicies(policies: readonly Policy[], set: number): readonly made.Manifest[] {
  return policies.map(({ scope, spec }, index) => {
    let count = 0;
    const next = (): string => `s${count++}`;
    const name = `p${set}-${index}`;
    const whole = { ...spec, request: nameList(spec['request'], next) };
    return scope === 'Cluster'
      ? made.clusterAuthPolicy(name, qualify(whole) as made.Spec)
      : made.authPolicy(name, whole);
  });
}

async function describeSupport(): Promise<readonly made.Manifest[]> {
  const jwk = { ...(await exportJWK(key.publicKey)), kid: 'k', alg: 'ES256' };
  const api = made.api('fleet', {
    hosts: [HOST],
    basePath: '/v1',
    tls: { certificate: { secretName: 'tls' } },
    operations: [
      { name: 'a', methods: ['GET', 'PUT', 'POST', 'OPTIONS'], path: '/a' },
      { name: 'device', methods: ['GET', 'PUT', 'POST'], path: '/devices/{deviceId}' },
    ],
  });
  return [
    { ...api, metadata: { name: 'fleet', namespace: 'shop', labels: { product: 'gold' } } },
    made.tlsSecret('tls', tls),
    made.configMap('keys', { 'jwk.json': JSON.stringify(jwk) }),
    made.configMap('device-ca', { 'ca.crt': devices.certificatePem }),
    made.tokenIssuer('corp', {
      issuer: 'https://login.example.com',
      keys: [{ kid: 'k', configMapKeyRef: { name: 'keys', key: 'jwk.json' } }],
      clockSkew: '0s',
    }),
    made.clientTrust('devices', { anchors: [made.fromConfigMap('device-ca')], revocation: { mode: 'Disabled' } }),
  ];
}

async function mintTokens(): Promise<Readonly<Record<Asked['token'], readonly string[]>>> {
  const mint = (audience: string, expires: string, claims: Readonly<Record<string, string>>, by = key) =>
    new SignJWT({ sub: 'alice', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer('https://login.example.com')
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(by.privateKey);
  const rich = { scope: 'read admin', tier: 'gold' };
  const good = `Bearer ${await mint('api://fleet', '1h', rich)}`;
  return {
    none: [],
    good: [good],
    expired: [`Bearer ${await mint('api://fleet', '-1h', rich)}`],
    elsewhere: [`Bearer ${await mint('api://other', '1h', rich)}`],
    poor: [`Bearer ${await mint('api://fleet', '1h', {})}`],
    forged: [`Bearer ${await mint('api://fleet', '1h', rich, createKeyPair('P-256'))}`],
    garbage: ['Bearer not-a-token'],
    twice: [good, good],
  };
}

type Minted = Awaited<ReturnType<typeof mintTokens>>;
const linesOf = ({ token, headers }: Asked, minted: Minted): readonly (readonly [string, string])[] => [
  ...minted[token].map(value => ['Authorization', value] as const),
  ...headers.map(([name, value]) => [name, Buffer.from(value, 'utf8').toString('latin1')] as const),
];

/** `Deny 403 HeaderNotFound p0-1/s2`. */
const sayOutcome = (...parts: readonly (string | number | undefined)[]): string =>
  parts.filter(part => part !== undefined && part !== '').join(' ');

interface Live {
  readonly sidecar: Sidecar;
  readonly app: RecordingApp;
  readonly minted: Minted;
}

async function askLive({ sidecar, app, minted }: Live, what: Asked, number: string): Promise<string> {
  let connection: Connection | undefined;
  try {
    const certificate = what.certificate === 'none' ? undefined : certificates[what.certificate];
    connection = await openTls(sidecar.port, {
      ca: server.certificatePem,
      ...(certificate === undefined ? {} : { certificate }),
    });
    const answer = await connection.ask({
      method: what.method,
      path: what.path,
      headers: [...linesOf(what, minted), ['X-Number', number]],
    });
    // Of an answer of the app it is the app that knows the id.
    const seen = app.seen.find(({ lines }) => folded(lines, 'x-number')[0] === number);
    const id = answer.headers.get('x-request-id')?.[0] ?? folded(seen?.lines ?? [], 'x-request-id')[0] ?? '';
    const line = await sidecar.lineOf(id);
    return tellLine(line, answer.status);
  } finally {
    connection?.close();
  }
}

function tellLine(line: Readonly<Record<string, unknown>>, status: number): string {
  const { verdict, reason, policy: by, step } = line as Readonly<Record<string, string | undefined>>;
  const label = by === undefined ? undefined : `${by.replace(/^.*\//, '')}/${step ?? ''}`;
  const permitted = verdict === 'Permit' || verdict === 'AuditPermit';
  return sayOutcome(verdict, permitted ? undefined : status, reason, label);
}

async function askOffline(folder: string, what: Asked, minted: Minted): Promise<string> {
  let [stdout, stderr] = ['', ''];
  const io = {
    stdout: { write: (chunk: string) => void (stdout += chunk) },
    stderr: { write: (chunk: string) => void (stderr += chunk) },
    isTTY: false,
    columns: 80,
    env: {},
    cwd: folder,
    program: ['node', 'sallyport'],
  };
  const argv = [
    'explain',
    'manifests',
    '-o',
    'json',
    '--peer',
    '127.0.0.1',
    '--request',
    `${what.method} https://${HOST}${what.path}`,
  ];
  for (const [name, value] of linesOf(what, minted)) argv.push('-H', `${name}: ${value}`);
  if (what.certificate !== 'none') argv.push('--certificate', `${what.certificate}.pem`);
  await runProgram(argv, io, { signal: new AbortController().signal, version: '0' });
  const told = JSON.parse(stdout === '' ? '{}' : stdout) as Readonly<Record<string, string | undefined>>;
  if (told['verdict'] === undefined) assert.fail(stderr);
  return sayOutcome(told['verdict'], told['status'], told['reason'], told['step']);
}

test('the running program and explain come to the same verdict, reason and step', async t => {
  const minted = await mintTokens();
  const support = await describeSupport();
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const folder = await mkdtemp(join(tmpdir(), 'live-and-offline-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, { chainPem }] of Object.entries(certificates))
    await writeFile(join(folder, `${name}.pem`), chainPem);
  const sidecar = await startSidecar({
    manifests: { '00-support.yaml': support, '10-policies.yaml': [] },
    app: app.port,
  });
  t.after(() => sidecar.close());
  const { mkdir } = await import('node:fs/promises');
  await mkdir(join(folder, 'manifests'));
  await writeFiles(join(folder, 'manifests'), { '00-support.yaml': support });

  let set = 0;
  const outcomes = new Map<string, number>();
  // Without somebody who is let in, nearly every request would be denied.
  const open: Policy = { scope: 'Namespace', spec: { request: [{ anyOf: [{ anonymous: {} }] }] } };
  const sets = fc.tuple(
    fc
      .tuple(fc.array(policy, { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([policies, isOpen]) => (isOpen ? [...policies, open] : policies)),
    fc.array(asked, { minLength: REQUESTS, maxLength: REQUESTS }),
  );
  await fc.assert(
    fc.asyncProperty(sets, async ([policies, requests]) => {
      const manifests = writePolicies(policies, set++);
      await writeFiles(join(folder, 'manifests'), { '10-policies.yaml': manifests });
      await sidecar.apply({ '10-policies.yaml': manifests });
      const live = await Promise.all(
        requests.map((what, at) => askLive({ sidecar, app, minted }, what, `${set}-${at}`)),
      );
      for (const [at, what] of requests.entries()) {
        const offline = await askOffline(folder, what, minted);
        assert.equal(offline, live[at], `${JSON.stringify(what)}\n${made.renderManifests(manifests)}`);
        const kind = offline.split(' ').slice(0, 3).join(' ');
        outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
      }
    }),
    { numRuns: SETS, endOnFailure: true },
  );
  assert.ok(outcomes.size >= 6, `what was generated is poor: ${JSON.stringify([...outcomes])}`);
});
