import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlain } from '../support/connection.ts';
import { api, authPolicy, onApi, OPEN } from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';

test('S6: when the only Api of a port cannot be parsed, its requests are 503 and the sidecar is not ready', async t => {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({
    manifests: { 'api.yaml': [api('a', { unknown: 1 }), authPolicy('a', { ...onApi('a'), request: [OPEN] })] },
    app: app.port,
    until: 'listening',
  });
  t.after(() => sidecar.close());
  const connection = await openPlain(sidecar.port);
  t.after(() => connection.close());
  const answer = await connection.ask({ path: '/' });
  assert.deepEqual([answer.status, answer.reason], [503, 'PolicyInvalid']);
  assert.equal((await sidecar.readyz()).status, 503);
  await sidecar.apply({ 'api.yaml': [api('a'), authPolicy('a', { ...onApi('a'), request: [OPEN] })] });
  assert.equal((await connection.ask({ path: '/' })).status, 200);
  assert.equal((await sidecar.readyz()).status, 200);
});
