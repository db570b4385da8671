/** Certificates change while 20 clients send requests without pause: none of them notices. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DemoMaterial } from '../../src/demo/material.ts';
import { createAuthority, type Authority, type IssuedCertificate } from '../../src/demo/pki.ts';
import { MESH_IDENTITY } from '../../src/demo/app.ts';
import { PUBLIC_HOST } from '../support/connection.ts';
import { describeMaterial, DEVICE, type Fleet, MATERIAL_FILE, openFleet, TELEMETRY } from '../support/fleet.ts';
import { type Load, putUnderLoad } from '../support/load.ts';
import * as made from '../support/manifests.ts';
import { writeMesh } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const CLIENTS = 20;

/** Half of them web clients, half of them devices. */
async function startLoad(fleet: Fleet): Promise<Load> {
  const token = await fleet.webToken();
  const connections = await Promise.all(
    Array.from({ length: CLIENTS }, (_, n) => fleet.connect(fleet.tls(n % 2 === 0 ? undefined : 'robot-7'))),
  );
  return putUnderLoad(connections, client =>
    client % 2 === 0 ? { path: DEVICE, token } : { method: 'POST', path: TELEMETRY, body: '{}' },
  );
}

async function assertNothingFailed(load: Load): Promise<void> {
  const answers = await load.stop();
  assert.ok(answers.length > 100, `${answers.length} answers`);
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
}

const unlimited = { '40-product-policy.yaml': [made.authPolicy('gold', { request: [] })] };

test('the mesh certificate is renewed under load: no request fails, and the app sees each new one', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const load = await startLoad(fleet);
  for (let round = 0; round < 4; round++) {
    const renewed = fleet.material.mesh.issue({ subject: `sidecar ${round}`, san: { uri: [MESH_IDENTITY] } });
    await writeMesh(fleet.sidecar.folder, renewed);
    await until('the app to see the new certificate', () => fleet.app.seen.at(-1)?.peer === renewed.sha256);
    await load.further(50);
  }
  await assertNothingFailed(load);
});

test('a mesh certificate that does not fit its key is not used: the last good one stays', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const load = await startLoad(fleet);
  const from = fleet.sidecar.lines.length;
  const other = fleet.material.mesh.issue({ subject: 'other', san: { uri: [MESH_IDENTITY] } });
  await writeMesh(fleet.sidecar.folder, { chainPem: other.chainPem, keyPem: fleet.material.sidecar.keyPem });
  const line = await fleet.sidecar.line(
    'the bad certificate',
    ({ level, msg }) => (level === 'warn' || level === 'error') && String(msg).includes('certificate'),
    from,
  );
  assert.equal(JSON.stringify(line).includes('PRIVATE KEY'), false);
  await load.further(200);
  assert.equal(fleet.app.last.peer, fleet.material.sidecar.sha256);
  await writeMesh(fleet.sidecar.folder, other);
  await until('the mended certificate', () => fleet.app.seen.at(-1)?.peer === other.sha256);
  await assertNothingFailed(load);
});

test('a mesh certificate whose files vanish, are empty or half written stays in use', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const { material, sidecar } = fleet;
  const load = await startLoad(fleet);
  const next = material.mesh.issue({ subject: 'next', san: { uri: [MESH_IDENTITY] } });
  for (const bad of [
    { chainPem: '', keyPem: '' },
    { chainPem: next.chainPem, keyPem: next.keyPem.slice(0, 100) },
    { chainPem: next.chainPem.slice(0, 200), keyPem: next.keyPem },
  ]) {
    const from = sidecar.lines.length;
    await writeMesh(sidecar.folder, bad);
    await sidecar.line('the bad files', ({ level }) => level === 'warn' || level === 'error', from);
    await load.further(50);
    assert.equal(fleet.app.last.peer, material.sidecar.sha256);
  }
  await Promise.all(['mesh.crt', 'mesh.key'].map(name => rm(join(sidecar.folder, name))));
  await load.further(100);
  await sidecar.apply({
    'extra.yaml': [made.authPolicy('extra', { request: [{ name: 'a', removeHeaders: ['X-A'] }] })],
  });
  await load.further(100);
  assert.equal(fleet.app.last.peer, material.sidecar.sha256);
  await writeMesh(sidecar.folder, next);
  await until('the new certificate', () => fleet.app.seen.at(-1)?.peer === next.sha256);
  await assertNothingFailed(load);
});

const publicCertificate = (material: DemoMaterial, round: number): IssuedCertificate =>
  material.corp.issue({ subject: `round ${round}`, san: { dns: [PUBLIC_HOST] }, usages: ['serverAuth'] });

const replaceSecret = (material: DemoMaterial, pair: Pick<IssuedCertificate, 'chainPem' | 'keyPem'>) => ({
  [MATERIAL_FILE]: [
    made.tlsSecret('fleet-tls', pair),
    ...describeMaterial(material).filter(manifest => manifest['kind'] !== 'Secret'),
  ],
});

test('the server certificate is renewed under load: open connections stay, new ones get the new one', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const load = await startLoad(fleet);
  for (let round = 0; round < 4; round++) {
    const renewed = publicCertificate(fleet.material, round);
    await fleet.sidecar.apply(replaceSecret(fleet.material, renewed));
    const connection = await fleet.connect();
    assert.equal(connection.serverCertificate, renewed.sha256);
    connection.close();
    await load.further(50);
  }
  await assertNothingFailed(load);
});

test('a server certificate that cannot be used keeps the last good one, and says so', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const load = await startLoad(fleet);
  const { material, sidecar } = fleet;
  const [one, two] = [publicCertificate(material, 1), publicCertificate(material, 2)];
  for (const bad of [
    { chainPem: one.chainPem, keyPem: two.keyPem },
    { chainPem: 'no certificate', keyPem: 'no key' },
    { chainPem: '', keyPem: '' },
  ]) {
    const from = sidecar.lines.length;
    await sidecar.apply(replaceSecret(material, bad));
    await sidecar.line('the bad pair', ({ msg }) => msg === 'the certificate of a listener cannot be used', from);
    const connection = await fleet.connect();
    assert.equal(connection.serverCertificate, material.servers.public.sha256);
    connection.close();
    assert.equal((await sidecar.readyz()).status, 200);
  }
  await sidecar.apply(replaceSecret(material, one));
  const connection = await fleet.connect();
  assert.equal(connection.serverCertificate, one.sha256);
  await assertNothingFailed(load);
});

test('the CA of the app is replaced under load, with an overlap in which both are trusted', async t => {
  const fleet = await openFleet(t, { files: () => unlimited });
  const { material, sidecar, app } = fleet;
  const load = await startLoad(fleet);
  let trusted: Authority = material.appCa;
  const trust = (...authorities: readonly Authority[]): Promise<void> =>
    sidecar.apply({
      [MATERIAL_FILE]: [
        ...describeMaterial(material).filter(({ metadata }) => (metadata as { name: string }).name !== 'app-ca'),
        made.configMap('app-ca', { 'ca.crt': authorities.map(({ certificatePem }) => certificatePem).join('') }),
      ],
    });
  for (let round = 0; round < 3; round++) {
    const next = createAuthority({ name: `app root ${round}` });
    await trust(trusted, next);
    const server = next.issue({ subject: 'app', san: { dns: ['fleet.shop.svc'] }, usages: ['serverAuth'] });
    app.secure({ server, clients: material.mesh.certificatePem });
    await load.further(50);
    await trust(next);
    trusted = next;
    await load.further(50);
  }
  await assertNothingFailed(load);

  // The old authority is really gone.
  app.secure({ server: material.servers.app, clients: material.mesh.certificatePem });
  await trust(trusted, createAuthority({ name: 'unused' })); // other trust, hence other connections to the app
  const answer = await fleet.ask({ path: DEVICE, token: await fleet.webToken() });
  assert.deepEqual([answer.status, answer.reason], [502, 'AppCertificateInvalid']);
});
