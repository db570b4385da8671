import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SILENT } from '../telemetry/telemetry.ts';
import { createPodLabels, parsePodLabels } from './pod-labels.ts';

test('labels are read as the downward API writes them, and what is no label is left out', () => {
  const text = 'app="fleet"\nempty=""\napp.kubernetes.io/part-of="a_b-c.d"\nbroken\nodd="a\\"b"\n="x"\n__proto__="p"\n';
  const labels = parsePodLabels(text);
  assert.deepEqual(Object.entries(labels), [
    ['app', 'fleet'],
    ['empty', ''],
    ['app.kubernetes.io/part-of', 'a_b-c.d'],
    ['__proto__', 'p'],
  ]);
});

test(
  'a change of the mounted volume is noticed, and a volume that comes late is read',
  { timeout: 10_000 },
  async t => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-pod-'));
    const labels = createPodLabels({ directory, log: SILENT.log, pollMs: 20 });
    t.after(async () => {
      await labels.stop();
      await rm(directory, { recursive: true });
    });
    let wake: () => void = () => undefined;
    labels.start(() => wake());
    const until = async (app: string): Promise<void> => {
      while (labels.current()?.['app'] !== app) await new Promise<void>(resolve => (wake = resolve));
    };
    const write = async (version: string, app: string): Promise<void> => {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, 'labels'), `app="${app}"\n`);
      await symlink(version, join(directory, '..data_tmp'));
      await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    await write('..1', 'one');
    await symlink(join('..data', 'labels'), join(directory, 'labels'));
    await until('one');
    await write('..2', 'two');
    await until('two');
    assert.equal(labels.problem(), undefined);
  },
);
