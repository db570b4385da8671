/** Planted secrets pass through every path there is, and turn up nowhere: not in logs, metrics, status or denials. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { exportJWK, SignJWT } from 'jose';
import { createKeyPair } from '../../src/demo/pki.ts';
import type { Answer, Ask } from '../support/connection.ts';
import {
  describeMaterial,
  DEVICE,
  type Fleet,
  MATERIAL_FILE,
  openFleet,
  TELEMETRY,
  WEB_CLAIMS,
} from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { writeMesh } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

/** Canaries that are ours to choose: nothing else in the world looks like them. */
const CANARY = {
  claim: 'canary-claim-7fe1',
  claimName: 'canary_claim_name_08bd',
  subject: 'canary-subject-c2d9',
  query: 'canary-query-5b10',
  cookie: 'canary-cookie-94aa',
  header: 'canary-header-e771',
  path: 'canary-path-3c55',
  body: 'canary-body-1d0f',
  deviceAuthBody: 'canary-device-auth-6a42',
  deviceAuthHeader: 'canary-device-auth-header-f0f0',
  basic: 'canary-basic-b00c',
  variable: 'canary-variable-2d81',
  appHeader: 'canary-app-header-33c1',
  appError: 'canary-app-error-47b6',
  brokenToken: 'canary.broken.token-0a0a',
  symmetricKey: 'canary-symmetric-key-of-32-bytes-and-more-9e2c',
} as const;

/** What is secret of a text of several lines: each long line of it. */
const linesOf = (pem: string): string[] =>
  pem.split('\n').filter(line => line.length > 24 && !line.startsWith('-----'));

async function collectSecrets(fleet: Fleet, tokens: readonly string[]): Promise<Map<string, string>> {
  const secrets = new Map<string, string>(Object.entries(CANARY));
  for (const [number, token] of tokens.entries()) {
    for (const [part, text] of token.split('.').entries()) {
      if (text.length > 16) secrets.set(`part ${part} of token ${number}`, text);
    }
  }
  const { material } = fleet;
  const { sidecar, servers, devices } = material;
  for (const [name, { keyPem }] of Object.entries({ sidecar, public: servers.public, ...devices })) {
    linesOf(keyPem).forEach((line, index) => secrets.set(`line ${index} of the key of ${name}`, line));
  }
  for (const [name, { certificatePem }] of Object.entries(devices)) {
    linesOf(certificatePem).forEach((line, index) => secrets.set(`line ${index} of the certificate of ${name}`, line));
  }
  for (const file of await readdir(fleet.sidecar.folder)) {
    if (file.endsWith('.key'))
      linesOf(await readFile(`${fleet.sidecar.folder}/${file}`, 'utf8')).forEach(line => secrets.set(file, line));
  }
  return secrets;
}

function assertClean(where: string, text: string, secrets: ReadonlyMap<string, string>): void {
  for (const [name, secret] of secrets) {
    for (const form of new Set([secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])) {
      const at = text.indexOf(form);
      if (at >= 0) assert.fail(`${name} stands in ${where}: …${text.slice(Math.max(0, at - 80), at + 80)}…`);
    }
  }
}

test('no planted secret turns up in log lines at level debug, in metrics, in status or in denials', async t => {
  const trust = made.fromConfigMap('corp-ca');
  const unpublished = createKeyPair('P-256');
  const fleet = await openFleet(t, {
    sidecar: { args: ['--log-level', 'debug'] },
    behaviour: ({ path }, response) => {
      response.setHeader('X-Secret', CANARY.appHeader);
      if (path.includes('/files/broken')) response.socket?.end(`HTTP/1.1 200 OK\r\n${CANARY.appError}\r\n\r\n`);
      else if (path.includes('/files/crash'))
        response.writeHead(500, { 'content-type': 'text/plain' }).end(CANARY.appError);
      else response.end('ok');
    },
    files: () => ({
      '21-devices.yaml': [
        made.clientTrust('devices', {
          anchors: [made.fromConfigMap('device-ca')],
          revocation: { mode: 'Strict', crls: [made.fromConfigMap('device-ca', 'crl.pem')] },
        }),
        made.deviceAuthService('devices', {
          url: 'https://device-auth.fleet.svc:8443/check',
          request: { headers: { 'X-Key': CANARY.deviceAuthHeader } },
          tls: { trust, credential: 'mesh' },
          cache: { ttl: '0s', negativeTtl: '0s' },
          timeout: '20s',
        }),
      ],
      '23-secrets.yaml': [
        made.secret('hidden', { value: CANARY.variable, key: CANARY.symmetricKey }),
        made.tokenIssuer('symmetric', {
          issuer: 'https://symmetric.example.com',
          keys: [{ kid: 's', secretKeyRef: { name: 'hidden', key: 'key' } }],
          algorithms: ['HS256'],
        }),
      ],
      '50-steps.yaml': [
        made.authPolicy('canaries', {
          ...made.onApi('fleet', 'files'),
          variables: { hidden: { secretKeyRef: { name: 'hidden', key: 'value' } } },
          request: [
            {
              name: 'both',
              anyOf: [
                { jwt: { issuers: ['corp', 'symmetric'], audiences: ['api://fleet'] } },
                { clientCertificate: { trust: 'devices' } },
              ],
            },
            { name: 'send', setHeaders: [{ name: 'x-hidden', value: '${vars.hidden}' }] },
            {
              name: 'rules',
              authorize: {
                deny: [{ expression: "request.path.endsWith('denied') && vars.hidden != ''", message: 'no' }],
              },
            },
            {
              name: 'fails',
              when: "request.path.endsWith('failing')",
              setHeaders: [{ name: 'x-a', value: '${request.query.q[0]}\n' }],
            },
          ],
        }),
      ],
    }),
  });
  const { issuer, deviceAuth, sidecar, material } = fleet;
  const claims = { ...WEB_CLAIMS, sub: CANARY.subject, [CANARY.claimName]: CANARY.claim };
  const mint = (parts: Parameters<typeof issuer.mint>[0]): Promise<string> => issuer.mint({ claims, ...parts });
  const good = await mint({});
  const symmetric = await new SignJWT({ ...claims, aud: 'api://fleet', iss: 'https://symmetric.example.com' })
    .setProtectedHeader({ alg: 'HS256', kid: 's' })
    .setExpirationTime('1h')
    .sign(Buffer.from(CANARY.symmetricKey));
  const smuggledKey = await new SignJWT({ ...claims, aud: 'api://fleet', iss: 'https://login.example.com' })
    .setProtectedHeader({ alg: 'ES256', kid: 'key-1', jwk: await exportJWK(unpublished.publicKey) })
    .setExpirationTime('1h')
    .sign(unpublished.privateKey);
  const tokens = [
    good,
    symmetric,
    smuggledKey,
    await mint({ expiresIn: -600 }),
    await mint({ audience: 'api://other' }),
    await mint({ issuer: 'https://login.evil.example' }),
    await mint({ saysKid: 'nobody' }),
    await mint({ expiresIn: null }),
    await mint({ claims: { ...claims, scope: 'profile' } }),
    await mint({ claims: { ...claims, clientId: undefined } }),
    await mint({ claims: { ...claims, nbf: Math.floor(Date.now() / 1000) + 600 } }),
    `${good.slice(0, -6)}AAAAAA`,
    good.split('.').slice(0, 2).join('.'),
  ];
  const denials: Answer[] = [];
  const ask = async (what: Ask, device?: Parameters<Fleet['ask']>[1]): Promise<Answer> => {
    const answer = await fleet.ask(what, device);
    if (answer.status >= 400) denials.push(answer);
    return answer;
  };
  const spread: Ask['headers'] = [
    ['Cookie', `session=${CANARY.cookie}`],
    ['X-Api-Key', CANARY.header],
  ];

  // Every token, at routes that read it and at routes that refuse it.
  for (const token of tokens) {
    for (const path of [DEVICE, '/v1/files/a', '/v1/files/denied', '/v1/files/failing', '/v1/nowhere', '/v1/a%2fb']) {
      await ask({ path: `${path}?q=${CANARY.query}`, token, headers: spread });
    }
  }
  for (const value of [
    `Bearer ${CANARY.brokenToken}`,
    `Basic ${CANARY.basic}`,
    CANARY.basic,
    `Bearer ${good}, Bearer ${good}`,
  ]) {
    await ask({ path: DEVICE, headers: [['Authorization', value]] });
  }
  await ask({ path: DEVICE, token: good, headers: [['Authorization', `Bearer ${good}`]] });
  await ask({ path: `/v1/files/${CANARY.path}`, headers: spread });
  for (const path of ['/v1/files/broken', '/v1/files/crash']) await ask({ path, token: good });

  // Every device, and whatever device-auth may say.
  const post = { method: 'POST', path: TELEMETRY, body: CANARY.body } as const;
  const devices = ['robot-7', 'robot-8', 'revoked', 'expired', 'untrusted'] as const;
  for (const device of devices) await ask(post, device);
  const body = { deviceId: 'robot-7', secret: CANARY.deviceAuthBody };
  for (const status of [200, 202, 404, 500]) {
    deviceAuth.answerAll({ status, body, headers: { 'x-secret': CANARY.deviceAuthBody } });
    await ask(post, 'robot-7');
  }
  deviceAuth.answerAll({ status: 200, body: CANARY.deviceAuthBody });
  await ask(post, 'robot-7');
  deviceAuth.answerAll({ status: 200, body: { ...body, deviceId: CANARY.deviceAuthBody } });
  await ask(post, 'robot-7');

  // What cannot be parsed at all.
  const connection = await fleet.connect();
  connection.send(`GET /${CANARY.path} HTTP/1.1\r\nHost: fleet.example.com\r\n${CANARY.header}\r\n\r\n`);
  denials.push(await connection.readAnswer());

  // Bad material: keys that do not fit, keys that are none.
  const { mesh, servers } = material;
  const other = mesh.issue({ subject: 'other' });
  await writeMesh(sidecar.folder, { chainPem: other.chainPem, keyPem: material.sidecar.keyPem });
  await sidecar.apply({
    [MATERIAL_FILE]: [
      made.tlsSecret('fleet-tls', { chainPem: servers.app.chainPem, keyPem: servers.public.keyPem }),
      ...describeMaterial(material).slice(1),
    ],
  });
  await sidecar.apply({
    '23-secrets.yaml': `apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\nstringData: {value: ${CANARY.variable}: x\n`,
  });
  await sidecar.apply({
    '23-secrets.yaml': [
      made.secret('hidden', { key: CANARY.symmetricKey }),
      { ...made.secret('x', {}), data: { a: CANARY.variable } },
    ],
  });
  await ask({ path: '/v1/files/a', token: good });

  const secrets = await collectSecrets(fleet, tokens);
  assert.throws(() => assertClean('what holds a token', `error: ${good}`, secrets), 'the search finds what is there');
  assert.ok(denials.length > 60, `${denials.length} denials`);
  for (const { head, body: text } of denials) assertClean('a denial', `${head}\n${text}`, secrets);
  const requestId = denials.at(-1)?.headers.get('x-request-id')?.[0] ?? '';
  await sidecar.lineOf(requestId);
  assertClean('the log', sidecar.output, secrets);
  assertClean('the metrics', await sidecar.metrics(), secrets);
  const status = await until('status', async () => sidecar.command('status', '-o', 'json'));
  assertClean('status', status.stdout + status.stderr + JSON.stringify(await sidecar.status()), secrets);
  assert.ok(sidecar.lines.length > denials.length, 'there was something to look at');
});
