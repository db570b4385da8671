import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SILENT, type Log } from '../telemetry/telemetry.ts';
import { openSavedEntries } from './saved-entries.ts';
import { createSavedFile } from './saved-file.ts';
import { createSavedPairs } from './saved-pairs.ts';

async function makeFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-saved-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'state');
}

test('only the owner reads the folder and the file, also where a crash left a draft behind', async context => {
  const folder = await makeFolder(context);
  const path = join(folder, 'a.json');
  const file = createSavedFile(path, SILENT.log);
  await file.save({ a: 1 });
  await writeFile(`${path}.new`, 'left behind', { mode: 0o644 });
  await chmod(`${path}.new`, 0o644);
  await file.save({ a: 2 });
  assert.deepEqual(await file.load(), { a: 2 });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.deepEqual(await readdir(folder), ['a.json']);
});

test('of calls that come while one is being written the last counts', async context => {
  const path = join(await makeFolder(context), 'a.json');
  const file = createSavedFile(path, SILENT.log);
  await Promise.all([1, 2, 3, 4].map(a => file.save({ a })));
  assert.equal(await readFile(path, 'utf8'), '{"a":4}');
});

test('what cannot be written or read is said without its content, and ends nothing', async context => {
  const folder = await makeFolder(context);
  const lines: string[] = [];
  const log: Log = { ...SILENT.log, warn: (fields, message) => void lines.push(JSON.stringify(fields) + message) };
  const path = join(folder, 'a.json');
  await createSavedFile(path, log).save({ a: 1 });
  await writeFile(path, '{"secret": canary');
  assert.equal(await createSavedFile(path, log).load(), undefined);
  await createSavedFile(join(path, 'below-a-file'), log).save({});
  assert.equal(lines.length, 2);
  assert.doesNotMatch(lines.join(), /canary/);
  assert.equal(await createSavedFile(join(folder, 'none'), log).load(), undefined);
  assert.equal(lines.length, 2);
});

test('entries that nothing asks for any more are written no more', async context => {
  const path = join(await makeFolder(context), 'keys.json');
  const first = await openSavedEntries(createSavedFile(path, SILENT.log));
  first.keep('shop/a', { n: 1 });
  first.keep('shop/b', { n: 1 });
  await first.settle();
  const second = await openSavedEntries(createSavedFile(path, SILENT.log));
  assert.deepEqual(second.find('shop/a'), { n: 1 });
  second.keep('shop/c', { n: 2 });
  await second.settle();
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { 'shop/a': { n: 1 }, 'shop/c': { n: 2 } });
});

test('a pair is found again by its credential alone', async context => {
  const pairs = createSavedPairs({ directory: await makeFolder(context), log: SILENT.log });
  await pairs.save('shop/mesh', { certificate: 'c', key: 'k' });
  assert.deepEqual(await pairs.load('shop/mesh'), { certificate: 'c', key: 'k' });
  assert.equal(await pairs.load('shop/other'), undefined);
});
