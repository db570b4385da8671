/** Probes that the injector moved to the health port reach an app that takes nobody but its sidecar. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { writeProbePath, type ProbeReplay } from '../../src/api/probe-replay.ts';
import { openFleet } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';

const path = (probe: 'liveness' | 'readiness', digit: string): string => writeProbePath('app', probe, digit.repeat(32));

test('a probe is answered by an app that demands the mesh certificate, without a policy, and by its exact path alone', async t => {
  const seen: (string | undefined)[] = [];
  const app = createServer({ requestCert: true, rejectUnauthorized: true }, (request, response) => {
    seen.push(request.url);
    response.writeHead(request.url === '/healthz' ? 200 : 500).end('secret of the app');
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  t.after(() => app.close());
  const { port } = app.address() as AddressInfo;
  const base = { kind: 'http', scheme: 'HTTPS', port, timeoutMs: 5000 } as const;
  const probes: readonly ProbeReplay[] = [
    { ...base, path: path('liveness', 'a'), target: '/healthz' },
    { ...base, path: path('readiness', 'b'), target: '/readyz' },
  ];
  const { sidecar } = await openFleet(t, {
    sidecar: {
      args: ['--pod-ips', '127.0.0.1', '--probes', Buffer.from(JSON.stringify(probes)).toString('base64')],
    },
    files: ({ servers, mesh }) => {
      app.setSecureContext({ cert: servers.app.chainPem, key: servers.app.keyPem, ca: mesh.certificatePem });
      const trust = made.fromConfigMap('app-ca');
      return { '95-app.yaml': [made.api('app', { port, app: { scheme: 'https', credential: 'mesh', trust } })] };
    },
  });
  const ask = async (target: string, init: RequestInit = {}): Promise<readonly [number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${sidecar.healthPort}${target}`, init);
    return [answer.status, await answer.text()];
  };
  assert.deepEqual(await ask(path('liveness', 'a')), [200, '']);
  assert.deepEqual(await ask(path('readiness', 'b')), [500, '']);
  assert.deepEqual(seen, ['/healthz', '/readyz']);
  for (const target of [
    path('liveness', 'b'),
    path('readiness', 'a'),
    `${path('liveness', 'a')}/healthz`,
    '/app-health/app/liveness/',
    '/healthz',
  ]) {
    assert.deepEqual(await ask(target), [404, 'not found\n'], target);
  }
  assert.deepEqual(await ask(path('liveness', 'a'), { method: 'POST', body: 'x' }), [405, 'method not allowed\n']);
  assert.deepEqual(seen, ['/healthz', '/readyz']);
});

test('a sidecar that is given something else for probes does not start, and does not repeat it', async t => {
  const args = ['--pod-ips', '127.0.0.1', '--probes', Buffer.from('[{"path":"/admin"}]').toString('base64')];
  await assert.rejects(openFleet(t, { sidecar: { args } }), (error: unknown) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /--probes holds no probes as this version of the injector writes them/);
    assert.equal(error.message.includes('/admin') || error.message.includes(args[3] ?? ''), false);
    return true;
  });
});
