import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { startApp } from './app.ts';
import { ATTEMPTS, TOKENS } from './attempts.ts';
import { type ClientRequest, send } from './client.ts';
import { startDeviceService } from './device-service.ts';
import { ISSUER, startIssuer } from './issuer.ts';
import { createDemoMaterial } from './material.ts';
import { renderCurl } from './walkthrough.ts';

const material = createDemoMaterial();
const meshCa = material.mesh.certificatePem;
const app = await startApp(material.servers.app, meshCa);
const issuer = await startIssuer(material.servers.issuer);
const deviceAuth = await startDeviceService(
  { server: material.servers.deviceAuth, meshCa },
  { devices: new Map([['robot-7', 'AA']]), broken: new Set(['robot-5']) },
);
after(() => Promise.all([app, issuer, deviceAuth].map(server => server.close())));

function ask(changes: Partial<ClientRequest>): ReturnType<typeof send> {
  const ca = material.appCa.certificatePem;
  return send({ port: app.port, host: 'fleet.shop.svc', ca, method: 'GET', path: '/', headers: {}, ...changes });
}

test('the app answers its sidecar, and tells what it should not', async () => {
  const answer = await ask({
    certificate: material.sidecar,
    path: '/v1/devices/robot-7',
    headers: { 'X-Client-Id': 'a' },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-powered-by'], 'ASP.NET');
  assert.match(answer.body, /"x-client-id":"a".*"peer":"spiffe:\/\/demo\.local\/ns\/shop\/sa\/fleet"/);
  assert.equal(app.seen.at(-1)?.path, '/v1/devices/robot-7');
});

const REFUSED = {
  'no certificate': {},
  'a device’s certificate': { certificate: material.devices['robot-7'] },
  'a certificate of the mesh for another workload': { certificate: material.mesh.issue({ subject: 'other' }) },
};
for (const [sentence, changes] of Object.entries(REFUSED)) {
  test(`the app refuses ${sentence}`, async () => {
    const before = app.seen.length;
    const { status } = await ask(changes);
    assert.ok(status === 0 || status === 403, `status ${status}`);
    assert.equal(app.seen.length, before);
  });
}

test('the issuer’s tokens verify by its published keys, but for the forged one', async () => {
  const ca = material.corp.certificatePem;
  const { body } = await ask({ port: issuer.port, host: 'login.example.com', ca, path: '/keys' });
  const keys = createLocalJWKSet(JSON.parse(body) as Parameters<typeof createLocalJWKSet>[0]);
  const { payload } = await jwtVerify(await issuer.mint(TOKENS.web), keys, { issuer: ISSUER, audience: 'api://fleet' });
  assert.equal(payload['clientId'], 'web-portal');
  await assert.rejects(async () => jwtVerify(await issuer.mint(TOKENS.forged), keys), /signature verification failed/);
  await assert.rejects(
    async () => jwtVerify(await issuer.mint(TOKENS.expired), keys),
    /"exp" claim timestamp check failed/,
  );
});

const CHECKS: Readonly<Record<string, readonly [query: string, status: number]>> = {
  'knows a device with its certificate': ['deviceId=robot-7&certificateThumbprint=AA', 200],
  'does not know the device with another certificate': ['deviceId=robot-7&certificateThumbprint=BB', 404],
  'does not know another device': ['deviceId=robot-8&certificateThumbprint=AA', 404],
  'breaks where it is told to': ['deviceId=robot-5&certificateThumbprint=AA', 500],
};
for (const [sentence, [query, status]] of Object.entries(CHECKS)) {
  test(`device-auth ${sentence}`, async () => {
    const ca = material.corp.certificatePem;
    const path = `/check?${query}`;
    const certificate = material.sidecar;
    const asked = { port: deviceAuth.port, host: 'device-auth.fleet.svc', ca, path };
    assert.equal((await ask({ ...asked, certificate })).status, status);
    assert.equal((await ask(asked)).status, 0, 'nobody else is answered');
  });
}

test('the commands to paste name every certificate, token and header of their attempts', () => {
  const ports = { sidecar: 1, app: 2, issuer: 3, deviceAuth: 4, health: 5 };
  for (const attempt of ATTEMPTS) {
    const line = renderCurl(attempt, ports);
    for (const part of [
      attempt.path,
      attempt.token,
      attempt.device,
      attempt.body,
      ...Object.keys(attempt.headers ?? {}),
    ]) {
      assert.ok(part === undefined || line.includes(part), `${String(part)} is missing in ${line}`);
    }
  }
});
