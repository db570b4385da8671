import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWarmUp } from './warm-up.ts';

test('a sidecar waits once for keys and mesh certificates, and never again', async () => {
  let missing = ['shop/mesh'];
  let warmed = 0;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const warmUp = createWarmUp({
    ready: async () => promise,
    missingCertificates: () => missing,
    onWarm: () => void (warmed += 1),
  });
  const certificate = 'ControllerUnavailable: no mesh certificate for BackendCredential shop/mesh yet';
  assert.deepEqual(warmUp.problems(), ['keys are being fetched', certificate]);
  const begun = [warmUp.begin(), warmUp.begin()];
  resolve(undefined);
  await Promise.all(begun);
  assert.equal(warmed, 1);
  assert.deepEqual(warmUp.problems(), [certificate]);
  missing = [];
  assert.deepEqual(warmUp.problems(), []);
  missing = ['shop/mesh'];
  assert.deepEqual(warmUp.problems(), []);
});
