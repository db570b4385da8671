import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findUnsafeSettings } from './guard.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

const UNSAFE = { PATH: process.env['PATH'], NODE_OPTIONS: '--no-warnings', NODE_DEBUG: 'timer' };

for (const command of ['sidecar', 'init', 'controller'])
  test(`${command} does not start under NODE_OPTIONS; every problem is said, and the exit code is 64`, () => {
    const { status, stderr } = spawnSync(process.execPath, [main, command], { env: UNSAFE, encoding: 'utf8' });
    assert.equal(status, 64);
    const sentence = `sallyport ${command}: NODE_OPTIONS is set, which can load code or open the inspector; unset it`;
    assert.ok(stderr.split('\n').includes(sentence), stderr);
    assert.ok(stderr.includes(`sallyport ${command}: NODE_DEBUG is set`), stderr);
  });

test('a command for people starts under NODE_OPTIONS', () => {
  assert.deepEqual(findUnsafeSettings('check', UNSAFE, []), []);
});

test('a reader that goes away is no fault', () => {
  const { status, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${main}" --help | true; exit 0`], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  });
  assert.deepEqual([status, stderr], [0, '']);
});
