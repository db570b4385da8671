import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { buildParts } from '../../cluster/build.ts';
import { readGoVersion } from '../../cluster/go-toolchain.ts';
import { PARTS, findPart, listParts, locateBuilt } from '../../cluster/parts.ts';
import { isClusterRequired } from './support/requirements.ts';

/** The smallest part: it depends on nothing. */
const PAUSE = PARTS.filter(({ name }) => name === 'pause');
const [pause] = PAUSE as [(typeof PARTS)[number]];
const skip = readGoVersion() === undefined && !isClusterRequired() ? 'Go is missing' : false;

describe('building the parts of a cluster', { skip }, () => {
  const withCache = async (work: (env: NodeJS.ProcessEnv, built: string) => Promise<void>): Promise<void> => {
    const cache = mkdtempSync(join(tmpdir(), 'sallyport-build-'));
    // Go’s own cache would move along, and Go’s library be compiled anew.
    const GOCACHE = spawnSync('go', ['env', 'GOCACHE'], { encoding: 'utf8' }).stdout.trim();
    const env = { ...process.env, XDG_CACHE_HOME: cache, KUBEBUILDER_ASSETS: '', GOCACHE };
    try {
      await work(env, locateBuilt(pause, env));
    } finally {
      rmSync(cache, { recursive: true });
    }
  };

  test('a part appears in the cache once it is whole, also when two build it at once', () =>
    withCache(async (env, built) => {
      const said: string[] = [];
      const say = (line: string): void => void said.push(line);
      await Promise.all([buildParts({ parts: PAUSE, say, env }), buildParts({ parts: PAUSE, say, env })]);
      assert.deepEqual(readdirSync(dirname(built)), ['pause']);
      assert.match(said.join('\n'), /1\/1 pause: \d+ s/);
    }));

  test('what a killed build left is built anew, and what is built is not', () =>
    withCache(async (env, built) => {
      mkdirSync(dirname(built), { recursive: true });
      writeFileSync(`${built}.partial`, 'half');
      await buildParts({ parts: PAUSE, say: () => undefined, env });
      const child = spawn(built);
      child.kill('SIGTERM');
      await once(child, 'exit');
      const said: string[] = [];
      await buildParts({ parts: PAUSE, say: line => void said.push(line), env });
      assert.deepEqual(said, []);
    }));
});

test('a part in the folder that KUBEBUILDER_ASSETS names comes before one in the cache', () => {
  const assets = mkdtempSync(join(tmpdir(), 'sallyport-assets-'));
  const file = join(assets, 'pause');
  writeFileSync(file, '');
  assert.notEqual(findPart(pause, { KUBEBUILDER_ASSETS: assets }), file, 'not executable');
  chmodSync(file, 0o755);
  assert.equal(findPart(pause, { KUBEBUILDER_ASSETS: assets }), file);
  rmSync(assets, { recursive: true });
});

test('the control plane is a part of the whole', () => {
  const names = listParts('control-plane').map(({ name }) => name);
  assert.deepEqual(names, ['kube-apiserver', 'etcd', 'kubectl', 'kube-controller-manager', 'kube-scheduler', 'helm']);
});
