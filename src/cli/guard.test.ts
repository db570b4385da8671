import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

test('the data path does not start under NODE_OPTIONS; every problem is said, and the exit code is 64', () => {
  const env = { PATH: process.env['PATH'], NODE_OPTIONS: '--no-warnings', NODE_DEBUG: 'timer' };
  const { status, stderr } = spawnSync(process.execPath, [main, 'sidecar'], { env, encoding: 'utf8' });
  assert.equal(status, 64);
  assert.match(
    stderr,
    /^sallyport sidecar: NODE_OPTIONS is set, which can load code or open the inspector; unset it$/m,
  );
  assert.match(stderr, /^sallyport sidecar: NODE_DEBUG is set/m);
});

test('a reader that goes away is no fault', () => {
  const { status, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${main}" --help | true; exit 0`], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  });
  assert.deepEqual([status, stderr], [0, '']);
});
