/** Nothing of a cluster outlives the test that opened it, however that ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { until } from '../support/until.ts';
import type { Level } from '../../cluster/parts.ts';
import { type ClusterRecord, listFolders, openFolder, removeStale } from './support/folder.ts';
import { isAlive } from './support/process-mark.ts';
import { skipWithout } from './support/requirements.ts';

const ENDS = {
  'its process is killed': "process.kill(process.pid, 'SIGKILL')",
  'its process ends without closing it': 'process.exit(0)',
  'its process fails': 'setImmediate(() => { throw new Error("failed") })',
} as const;

const OPEN: Readonly<Record<Level, string>> = {
  'control-plane': "import { openControlPlane as open } from './test/cluster/support/control-plane.ts';",
  node: "import { openNode as open } from './test/cluster/support/node.ts';",
};

/** Opens a cluster in a process of its own; its record as it was when the process met its end. */
async function openAndEnd(level: Level, end: string): Promise<ClusterRecord & { readonly path: string }> {
  const script = `${OPEN[level]}
    import { openFolder } from './test/cluster/support/folder.ts';
    import { writeSync } from 'node:fs';
    const { folder: path } = await open();
    writeSync(1, JSON.stringify({ path, ...openFolder(path.split('/').at(-1)).readRecord() }));
    ${end}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return JSON.parse(output) as ClusterRecord & { path: string };
}

describe('a control plane ends when', { skip: skipWithout('control-plane') }, () => {
  for (const [sentence, end] of Object.entries(ENDS))
    test(sentence, async () => {
      const { path, processes, data } = await openAndEnd('control-plane', end);
      assert.equal(processes.length, 4);
      await until('its processes to be gone', () => !processes.some(isAlive));
      removeStale(); // what the next cluster does first
      assert.deepEqual([path, ...data].filter(existsSync), []);
    });
});

describe('a node ends when', { skip: skipWithout('node') }, () => {
  test('its process is killed', async () => {
    const { path, processes } = await openAndEnd('node', ENDS['its process is killed']);
    await until('its processes to be gone', () => !processes.some(isAlive));
    removeStale();
    assert.equal(existsSync(path), false);
    const name = path.split('/').at(-1) ?? '';
    const groups = readdirSync('/sys/fs/cgroup').map(each => join('/sys/fs/cgroup', each, `sallyport-${name}`));
    assert.deepEqual(groups.filter(existsSync), []);
  });
});

test('a cluster that belongs to a living process is left alone', { skip: skipWithout('control-plane') }, async () => {
  const { openControlPlane } = await import('./support/control-plane.ts');
  const cluster = await openControlPlane();
  removeStale();
  const name = cluster.folder.split('/').at(-1) ?? '';
  assert.ok(listFolders().some(folder => folder.name === name));
  assert.equal((await cluster.call('GET', '/readyz')).status, 200);
  await cluster.close();
  assert.equal(openFolder(name), undefined);
});
