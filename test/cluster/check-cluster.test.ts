import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import { runInMemory } from '../support/run-in-memory.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { skipWithout } from './support/requirements.ts';

const readAll = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
    .join('\n---\n');

describe('check --cluster on a real API server', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  before(async () => {
    cluster = await openControlPlane();
  });
  after(() => cluster.close());

  const check = (...args: readonly string[]) =>
    runInMemory(['check', '--cluster', '--kubeconfig', cluster.kubeconfig, ...args]);
  const linesOf = async (...args: readonly string[]) => (await check(...args)).stdout.trimEnd().split('\n');

  test('says that the kinds are not installed', async () => {
    const { code, stdout } = await check();
    assert.equal(code, 1);
    assert.match(stdout, /^CustomResourceDefinition apis\.sallyport\.dev: does not exist: .*, install the chart/);
  });

  test('debug', async () => {
    await cluster.apply(readAll('crds'));
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    await cluster.apply(readAll('examples/fleet'));
    process.stderr.write((await check()).stdout);
  });
});
