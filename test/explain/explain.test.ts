import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { runProgram } from '../../src/cli/commands.ts';
import { createAuthority } from '../../src/demo/pki.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/fleet', import.meta.url));
const GET = 'GET https://fleet.example.com/v1/devices/robot-7';
const POST = 'POST https://fleet.example.com/v1/devices/robot-7/telemetry';
const CANARY = 'canary-value-of-a-claim';

let folder = '';
const file = (name: string): string => join(folder, name);

const indent = (pem: string): string =>
  pem
    .trim()
    .split('\n')
    .map(line => `    ${line}`)
    .join('\n');

async function explain(...argv: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const io = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    stdin: () => Promise.resolve('not.a.token'),
    isTTY: false,
    columns: 80,
    env: {},
    cwd: folder,
    program: ['node', 'sallyport'],
  };
  const code = await runProgram(['explain', ...argv], io, { signal: new AbortController().signal, version: '0' });
  return { code, stdout, stderr };
}

interface Told {
  readonly verdict: string;
  readonly port?: number | string;
  readonly closed?: string;
  readonly conditional?: boolean;
  readonly status?: number;
  readonly reason?: string;
  readonly step?: string;
  readonly caller?: string;
  readonly steps: readonly { readonly step: string; readonly verdict: string; readonly reason?: string }[];
  readonly headers?: readonly { readonly name: string; readonly action: string; readonly characters?: number }[];
  readonly notChecked: readonly string[];
}

async function tell(...argv: readonly string[]): Promise<Told & { code: number }> {
  const { code, stdout, stderr } = await explain(...argv, '-o', 'json');
  assert.equal(stderr, '');
  return { ...(JSON.parse(stdout) as Told), code };
}
const summary = ({ code, verdict, reason, step }: Awaited<ReturnType<typeof tell>>): string =>
  [code, verdict, reason, step].filter(part => part !== undefined).join(' ');

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'explain-'));
  const authority = createAuthority({ name: 'Device CA' });
  const robot = authority.issue({ subject: 'robot-7', san: { uri: ['urn:device:robot-7'] } });
  const stolen = authority.issue({ subject: 'robot-7' });
  authority.revoke(stolen);
  const stranger = createAuthority({ name: 'Another CA' }).issue({ subject: 'robot-7' });
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const claims = { clientId: CANARY, scope: 'ManagementApi' };
  const sign = (audience: string, lifetime: string) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'a' })
      .setIssuer('https://login.example.com')
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(lifetime)
      .sign(privateKey);
  const token = await sign('api://fleet', '10m');
  const forged = `${token.slice(0, -8)}${token.endsWith('AAAAAAAA') ? 'BBBBBBBB' : 'AAAAAAAA'}`;
  const jwk = JSON.stringify({ ...(await exportJWK(publicKey)), kid: 'a', alg: 'ES256' });
  const manifests = {
    'device-ca.yaml': [
      'apiVersion: v1',
      'kind: ConfigMap',
      'metadata: {name: device-ca, namespace: shop}',
      'data:',
      '  ca.crt: |',
      indent(authority.certificatePem),
      '  crl.pem: |',
      indent(authority.crlPem()),
    ],
    'inline.yaml': [
      'apiVersion: v1',
      'kind: ConfigMap',
      'metadata: {name: keys, namespace: shop}',
      `data: {a: '${jwk}'}`,
      '---',
      'apiVersion: sallyport.dev/v1alpha1',
      'kind: TokenIssuer',
      'metadata: {name: corp, namespace: shop}',
      'spec: {issuer: "https://login.example.com", keys: [{kid: a, configMapKeyRef: {name: keys, key: a}}]}',
    ],
  };
  const files: Record<string, string> = {
    'plain.yaml': [
      'apiVersion: sallyport.dev/v1alpha1',
      'kind: Api',
      'metadata: {name: plain, namespace: shop}',
      'spec: {podSelector: {matchLabels: {app: plain}}, port: web}',
      '---',
      'apiVersion: sallyport.dev/v1alpha1',
      'kind: AuthPolicy',
      'metadata: {name: open, namespace: shop}',
      'spec: {request: [{name: open, anyOf: [{anonymous: {}}]}]}',
    ].join('\n'),
    ...Object.fromEntries(Object.entries(manifests).map(([name, lines]) => [name, `${lines.join('\n')}\n`])),
    'robot.pem': robot.chainPem,
    'stolen.pem': stolen.chainPem,
    'stranger.pem': stranger.chainPem,
    'token.jwt': `${token}\n`,
    'forged.jwt': forged,
    'expired.jwt': await sign('api://fleet', '-10m'),
    'other.jwt': await sign('api://other', '10m'),
    'known.json': '{"deviceId": "robot-7"}',
    'other.json': '{"deviceId": "robot-8"}',
    'list.json': '["robot-7"]',
    'broken.yaml': 'kind: [\n',
    'wrong.yaml':
      'apiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: w, namespace: shop}\nspec: {requests: []}\n',
  };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(file(name), text)));
});
after(() => rm(folder, { recursive: true }));

suite('a web client', () => {
  test('passes by the example’s manifests, and what was not checked is said', async () => {
    const told = await tell(EXAMPLE, '--request', GET, '--token', 'token.jwt');
    assert.equal(summary(told), '0 Permit');
    assert.equal(told.caller, 'Jwt');
    assert.deepEqual(told.headers, [
      { name: 'x-client-id', action: 'set', characters: CANARY.length },
      { name: 'authorization', action: 'removed' },
    ]);
    assert.ok(
      told.notChecked.includes("token of shop/corp: signature not checked: the issuer's keys are not in the manifests"),
    );
  });

  const outcomes: Record<string, [string, string]> = {
    'expired.jwt': ['an expired token', '1 Deny TokenExpired fleet/caller'],
    'other.jwt': ['a token for another audience', '1 Deny TokenAudienceNotAllowed fleet/caller'],
    '-': ['something that is no token, from standard input', '1 Deny TokenMalformed fleet/caller'],
  };
  for (const [name, [what, expected]] of Object.entries(outcomes)) {
    test(`${what} is refused`, async () =>
      assert.equal(summary(await tell(EXAMPLE, '--request', GET, '--token', name)), expected));
  }

  test('--now decides what is expired', async () => {
    const later = String(Math.floor(Date.now() / 1000) + 3600);
    assert.equal(
      summary(await tell(EXAMPLE, '--request', GET, '--token', 'token.jwt', '--now', later)),
      '1 Deny TokenExpired fleet/caller',
    );
  });

  test('is refused where only devices may go', async () =>
    assert.equal(
      summary(await tell(EXAMPLE, '--request', POST, '--token', 'token.jwt')),
      '1 Deny AuthorizationDenied telemetry/devices-only',
    ));
});

suite('signatures', () => {
  // The example without its issuer, and one whose keys the manifests hold.
  const inline = [
    '00-namespace',
    '10-baseline',
    '21-devices',
    '22-mesh-credential',
    '30-api',
    '40-product-policy',
    '41-api-policy',
    '42-operation-policy',
  ];
  const manifests = () => [...inline.map(name => join(EXAMPLE, `${name}.yaml`)), 'inline.yaml'];
  test('are checked when the keys are in the manifests', async () => {
    const told = await tell(...manifests(), '--request', GET, '--token', 'token.jwt');
    assert.equal(summary(told), '0 Permit');
    assert.ok(!told.notChecked.some(note => note.includes('signature')));
  });
  test('that do not verify are refused', async () =>
    assert.equal(
      summary(await tell(...manifests(), '--request', GET, '--token', 'forged.jwt')),
      '1 Deny TokenSignatureInvalid fleet/caller',
    ));
});

suite('a device', () => {
  const at = (certificate: string, ...more: readonly string[]) =>
    tell(EXAMPLE, 'device-ca.yaml', '--request', POST, '--certificate', certificate, ...more);

  test('passes when its service knows it', async () => {
    const told = await at('robot.pem', '--device-auth', '200:known.json');
    assert.equal(summary(told), '0 Permit');
    assert.deepEqual(
      told.steps.map(({ step, verdict }) => `${step} ${verdict}`),
      ['rate passed', 'caller passed', 'device passed', 'context passed', 'devices-only passed'],
    );
    assert.deepEqual(
      told.headers?.map(({ name, action }) => [name, action]),
      [['x-request-context-data', 'set']],
    );
    assert.deepEqual(told.notChecked, ['rate limit AuthPolicy shop/gold/rate: not counted, taken as admitted']);
  });

  const outcomes: Record<string, [string, readonly string[], string]> = {
    'unknown to its service': ['robot.pem', ['--device-auth', '404'], 'DeviceNotRecognized fleet/device'],
    'whose service speaks of another': [
      'robot.pem',
      ['--device-auth', '200:other.json'],
      'DeviceMismatch fleet/device',
    ],
    'whose service is away': ['robot.pem', ['--device-auth', 'unreachable'], 'DeviceAuthUnavailable fleet/device'],
    'whose service was not told': ['robot.pem', [], 'DeviceAuthUnavailable fleet/device'],
    'of another authority': [
      'stranger.pem',
      ['--device-auth', '200:known.json'],
      'ClientCertificateUntrusted fleet/caller',
    ],
    'on the revocation list': [
      'stolen.pem',
      ['--device-auth', '200:known.json'],
      'ClientCertificateRevoked fleet/caller',
    ],
  };
  for (const [name, [certificate, more, expected]] of Object.entries(outcomes)) {
    test(`${name} is refused`, async () => assert.equal(summary(await at(certificate, ...more)), `1 Deny ${expected}`));
  }

  test('whose anchors are not in the manifests is taken as trusted, and that is said', async () => {
    const told = await tell(
      EXAMPLE,
      '--request',
      POST,
      '--certificate',
      'stranger.pem',
      '--device-auth',
      '200:known.json',
    );
    assert.equal(summary(told), '0 Permit');
    assert.ok(
      told.notChecked.some(note => note.startsWith('certificate by shop/devices: chain and revocation not checked')),
    );
  });
});

suite('what is printed', () => {
  test('a plain table names scope, policy, verdict and reason of every step', async () => {
    const { code, stdout } = await explain(EXAMPLE, '--request', GET);
    assert.equal(code, 1);
    const lines = stdout.split('\n');
    assert.equal(lines[0], `Request  ${GET}`);
    assert.equal(lines[1], 'Matched  Api shop/fleet, operation device (/v1/devices/{deviceId}), port 8443');
    assert.match(stdout, /^SCOPE +POLICY\/STEP +TYPE +VERDICT +REASON +COST +DETAIL$/m);
    assert.match(
      stdout,
      /^Api +fleet\/caller +anyOf +denied +TokenNotPresent +[\d.]+ µs {2}jwt: TokenNotPresent, client/m,
    );
    assert.match(stdout, /^Api +fleet\/device +deviceAuth +not run$/m);
    assert.match(stdout, /^Verdict {2}Deny 401 TokenNotPresent by fleet\/caller$/m);
  });

  test('no value of a claim, a header or a token, in either form', async () => {
    for (const form of ['text', 'json']) {
      const { stdout, stderr } = await explain(
        EXAMPLE,
        '--request',
        GET,
        '--token',
        'token.jwt',
        '-H',
        `X-Secret: ${CANARY}`,
        '-o',
        form,
      );
      assert.ok(!stdout.includes(CANARY) && !stdout.includes('eyJ') && stderr === '');
    }
  });

  test('a request that nothing matches, or that no path is read from, is explained too', async () => {
    const requests: Record<string, string> = {
      'GET https://fleet.example.com/v1/nothing': 'OperationNotFound',
      'DELETE https://fleet.example.com/v1/devices/robot-7': 'OperationNotFound',
      'GET https://other.example.com/v1/devices/robot-7': 'OperationNotFound',
      'GET https://fleet.example.com/v1/%2e%2e%2fadmin': 'AmbiguousPath',
      'GET https://fleet.example.com/v1//devices': 'AmbiguousPath',
    };
    for (const [request, reason] of Object.entries(requests)) {
      assert.equal(summary(await tell(EXAMPLE, '--request', request)), `1 Deny ${reason}`, request);
    }
  });
});

suite('explain says no more than it knows', () => {
  test('a permit by an unchecked signature is conditional', async () => {
    const { stdout } = await explain(EXAMPLE, '--request', GET, '--token', 'token.jwt');
    assert.match(stdout, /^Verdict {2}Permit, if what was not checked holds; caller Jwt$/m);
    assert.equal((await tell(EXAMPLE, '--request', GET, '--token', 'token.jwt')).conditional, true);
  });

  test('a permit of which everything was checked is not, and neither is a denial', async () => {
    const { stdout } = await explain('plain.yaml', '--request', 'GET http://x.example.com/');
    assert.match(stdout, /^Verdict {2}Permit, caller Anonymous$/m);
    assert.equal((await tell('plain.yaml', '--request', 'GET http://x.example.com/')).conditional, undefined);
    assert.equal((await tell(EXAMPLE, '--request', POST, '--token', 'token.jwt')).conditional, undefined);
  });

  test('http:// to a port that ends TLS gets no answer at all', async () => {
    const { code, stdout } = await explain(EXAMPLE, '--request', GET.replace('https', 'http'), '--token', 'token.jwt');
    assert.equal(code, 1);
    assert.match(stdout, /^Verdict {2}Deny: the port speaks TLS only/m);
    const told = await tell(EXAMPLE, '--request', GET.replace('https', 'http'));
    assert.deepEqual([told.code, told.verdict, told.status, told.reason], [1, 'Deny', undefined, undefined]);
    assert.match(told.closed ?? '', /TLS only/);
  });

  const misses: Readonly<Record<string, readonly [request: string, matched: string]>> = {
    'a path that is refused before it is matched': [
      'GET https://fleet.example.com/v1//devices',
      'not matched: the path is refused first',
    ],
    'a parameter that is refused before it is matched': [
      'GET https://fleet.example.com/v1/devices/a%2fb',
      'not matched: the path is refused first',
    ],
    'another host': [
      'GET https://other.example.com/v1/devices/robot-7',
      'nothing: no Api has the host other.example.com; the manifests have fleet.example.com',
    ],
    'another method': [
      'DELETE https://fleet.example.com/v1/devices/robot-7',
      'nothing: Api shop/fleet matches the host, but no operation has DELETE /v1/devices/robot-7; the path has GET and HEAD',
    ],
    'another path': [
      'GET https://fleet.example.com/robots',
      'nothing: Api shop/fleet matches the host, but no operation has GET /robots; paths begin with /v1',
    ],
  };
  for (const [name, [request, matched]] of Object.entries(misses)) {
    test(`why nothing matched: ${name}`, async () => {
      const { code, stdout } = await explain(EXAMPLE, '--request', request);
      assert.deepEqual([code, stdout.split('\n')[1]], [1, `Matched  ${matched}`]);
    });
  }

  test('a named port is shown by its name', async () => {
    const { stdout } = await explain('plain.yaml', '--request', 'GET http://x.example.com/');
    assert.equal(stdout.split('\n')[1], 'Matched  Api shop/plain, no operation (/*), port web (by its name)');
    const { port } = await tell('plain.yaml', '--request', 'GET http://x.example.com/');
    assert.equal(port, 'web');
  });
});

suite('wrong usage', () => {
  const wrong: Record<string, [number, RegExp, readonly string[]]> = {
    'no request': [64, /needs --request/, []],
    'a request without a URL': [64, /--request must be 'METHOD URL'/, ['--request', 'GET /v1']],
    'a header without a colon': [64, /--header must be 'Name: value'/, ['--request', GET, '--header', 'x']],
    'a header that would break the line': [64, /--header must be/, ['--request', GET, '--header', 'x: a\r\ny: b']],
    'a status that is none': [64, /--device-auth must be/, ['--request', GET, '--device-auth', '600']],
    'a time that is none': [64, /--now must be/, ['--request', GET, '--now', 'yesterday']],
    'an address that is none': [64, /--source-ip must be an IP address/, ['--request', GET, '--source-ip', 'host']],
    'a token file that does not exist': [
      69,
      /--token takes a FILE \(- for standard input\); no such file/,
      ['--request', GET, '--token', 'nowhere.jwt'],
    ],
    'a certificate file without a certificate': [
      69,
      /the file of --certificate holds no certificate/,
      ['--request', GET, '--certificate', 'token.jwt'],
    ],
    'a body that is no object': [
      69,
      /the file of --device-auth holds no JSON object/,
      ['--request', GET, '--device-auth', '200:list.json'],
    ],
  };
  for (const [name, [code, message, argv]] of Object.entries(wrong)) {
    test(name, async () => {
      const told = await explain(EXAMPLE, ...argv);
      assert.deepEqual([told.code, told.stdout], [code, '']);
      assert.match(told.stderr, message);
    });
  }
  test('a token or certificate written where its file belongs is never repeated', async () => {
    const pasted: Readonly<Record<string, readonly [option: string, text: string]>> = {
      'a token': ['--token', `eyJhbGciOiJFUzI1NiJ9.${CANARY}.c2lnbmF0dXJl`],
      'a long token': ['--token', `eyJhbGciOiJFUzI1NiJ9.${CANARY.repeat(300)}.c2lnbmF0dXJl`],
      'a certificate': ['--certificate=', `-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`],
      'a certificate as its own argument': ['--certificate', `-----BEGIN CERTIFICATE-----\n${CANARY}\n`],
      'an answer': ['--device-auth', `200:{"deviceId": "${CANARY}"}`],
    };
    for (const [name, [option, text]] of Object.entries(pasted)) {
      const words = option.endsWith('=') ? [`${option}${text}`] : [option, text];
      const told = await explain(EXAMPLE, 'device-ca.yaml', '--request', POST, ...words);
      assert.equal(told.stdout, '', name);
      assert.ok(!told.stderr.includes(CANARY) && !told.stderr.includes('eyJ'), `${name}: ${told.stderr}`);
      assert.match(told.stderr, /(takes .*; no such file|needs a value \(FILE\))/, name);
    }
  });
  test('manifests that cannot be read', async () => {
    const told = await explain(EXAMPLE, 'broken.yaml', '--request', GET);
    assert.deepEqual([told.code, told.stdout], [69, '']);
    assert.match(told.stderr, /^broken\.yaml:/m);
  });
  test('a policy that is invalid is 503 wherever it would apply (S6), and its problem is printed', async () => {
    const { code, stdout, stderr } = await explain(EXAMPLE, 'wrong.yaml', '--request', GET, '--token', 'token.jwt');
    assert.equal(code, 1);
    assert.match(stdout, /Deny 503 PolicyInvalid/);
    assert.match(stderr, /^wrong\.yaml:4:spec\.requests: /m);
  });
});
