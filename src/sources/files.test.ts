import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { SILENT, type Log, type LogFields } from '../telemetry/telemetry.ts';
import { createFilesSource } from './files.ts';
import type { Resources } from './source.ts';

const policy = (name: string, calls: number): string =>
  `apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: ${name}, namespace: shop}
spec:
  request:
  - {name: rate, rateLimit: {calls: ${calls}, period: 60s}}
`;

interface Watched {
  readonly directory: string;
  /** The next resources that fulfil the condition, those already seen included. */
  until(condition: (resources: Resources) => boolean): Promise<Resources>;
  write(name: string, text: string): Promise<void>;
}

async function watchFolder(context: TestContext, files: Readonly<Record<string, string>>): Promise<Watched> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-files-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return watchDirectory(context, directory);
}

async function watchDirectory(context: TestContext, directory: string, log: Log = SILENT.log): Promise<Watched> {
  const source = createFilesSource({ directory, log, settleMs: 5, pollMs: 50 });
  let latest: Resources | undefined;
  let notify: () => void = () => undefined;
  await source.start(resources => {
    latest = resources;
    notify();
  });
  context.after(async () => {
    await source.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    directory,
    async until(condition) {
      for (;;) {
        if (latest !== undefined && condition(latest)) return latest;
        await new Promise<void>(resolve => (notify = resolve));
      }
    },
    write: (name, text) => writeFile(join(directory, name), text),
  };
}

const names = (resources: Resources): string[] => resources.objects.map(({ key, meta }) => `${key}@${meta.generation}`);
const problems = (resources: Resources): string[] => resources.violations.map(({ problem }) => problem);

describe('the files source', { timeout: 20_000 }, () => {
  it('reads a folder before start resolves', async context => {
    const folder = await watchFolder(context, {
      'a.yaml': policy('one', 1),
      'b.json': '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"k":"v"}}',
    });
    const resources = await folder.until(() => true);
    assert.deepEqual(names(resources), ['shop/one@1']);
    assert.equal(resources.complete, true);
    assert.deepEqual(resources.material.secret('default/s')?.get('k'), new TextEncoder().encode('v'));
    assert.match(resources.hash, /^[0-9a-f]{64}$/);
  });

  it('counts a generation when a spec changes, and only then', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) + '---\n' + policy('two', 1) });
    await folder.write('a.yaml', policy('one', 2) + '---\n# the same\n' + policy('two', 1));
    assert.deepEqual(names(await folder.until(r => names(r)[0] !== 'shop/one@1')), ['shop/one@2', 'shop/two@1']);
  });

  it('keeps a file’s last content while its YAML is broken', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1), 'b.yaml': policy('two', 1) });
    const before = await folder.until(() => true);
    await folder.write('b.yaml', 'a: [');
    const broken = await folder.until(r => r.violations.length > 0);
    assert.deepEqual(names(broken), ['shop/one@1', 'shop/two@1']);
    assert.equal(broken.hash, before.hash);
    await folder.write('b.yaml', policy('two', 2));
    assert.deepEqual(names(await folder.until(r => r.violations.length === 0)), ['shop/one@1', 'shop/two@2']);
  });

  it('keeps a bad object’s last good content and takes its neighbours’ new content', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) + '---\n' + policy('two', 1) });
    await folder.write('a.yaml', policy('one', 0) + '---\n' + policy('two', 2));
    const resources = await folder.until(r => r.violations.length > 0);
    assert.deepEqual(names(resources), ['shop/one@1', 'shop/two@2']);
    assert.deepEqual(resources.invalid, []);
  });

  it('names what it keeps at its last good content, and says so in the log', async context => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-files-'));
    const lines: (readonly [message: string, kept: unknown])[] = [];
    const log = { ...SILENT.log, info: (f: LogFields, message: string) => void lines.push([message, f['kept']]) };
    const folder = await watchDirectory(context, directory, log);
    await folder.write('a.yaml', policy('one', 1) + '---\n' + policy('two', 1));
    await folder.write('b.yaml', policy('three', 1));
    const before = await folder.until(r => r.objects.length === 3);
    assert.deepEqual(before.kept, []);
    await folder.write('a.yaml', policy('one', 0) + '---\n' + policy('two', 1));
    assert.deepEqual((await folder.until(r => r.kept.length > 0)).kept, ['AuthPolicy shop/one']);
    assert.deepEqual(lines.at(-1), [
      'configuration read, 1 object kept at its last good content',
      ['AuthPolicy shop/one'],
    ]);
    await folder.write('a.yaml', 'a: [');
    const broken = await folder.until(r => r.kept.length > 1);
    assert.deepEqual(broken.kept, ['AuthPolicy shop/one', 'AuthPolicy shop/two']);
    assert.equal(broken.hash, before.hash);
    assert.equal(lines.at(-1)?.[0], 'configuration read, 2 objects kept at their last good content');
    await folder.write('a.yaml', policy('one', 1) + '---\n' + policy('two', 1));
    assert.deepEqual((await folder.until(r => r.kept.length === 0)).kept, []);
    assert.deepEqual(lines.at(-1), ['configuration read', undefined]);
  });

  it('hands on a bad object without last good content as invalid', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 0) + '---\n' + policy('two', 2) });
    const resources = await folder.until(() => true);
    assert.equal(resources.complete, true);
    assert.deepEqual(names(resources), ['shop/two@1']);
    assert.deepEqual(
      resources.invalid.map(({ kind, namespace, name }) => [kind, namespace, name]),
      [['AuthPolicy', 'shop', 'one']],
    );
  });

  it('serves nothing until every file was readable once', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1), 'b.yaml': 'a: [' });
    const resources = await folder.until(() => true);
    assert.equal(resources.complete, false);
    assert.deepEqual(resources.objects, []);
    await folder.write('b.yaml', policy('two', 1));
    assert.deepEqual(names(await folder.until(r => r.complete)), ['shop/one@1', 'shop/two@1']);
  });

  it('takes an object whose kind or name cannot be told for an unreadable file', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1).replace('AuthPolicy', 'AuthPolcy') });
    assert.equal((await folder.until(() => true)).complete, false);
    await folder.write('a.yaml', policy('one', 1).replace('name: one, ', ''));
    assert.equal((await folder.until(r => problems(r).includes('is missing'))).complete, false);
  });

  it('leaves a new file with broken YAML out while the rest stays in force', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) });
    await folder.write('b.yaml', 'a: [');
    const resources = await folder.until(r => r.violations.length > 0);
    assert.equal(resources.complete, true);
    assert.deepEqual(names(resources), ['shop/one@1']);
  });

  it('forgets the objects of a removed file and counts on when they come back', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1), 'b.yaml': policy('two', 1) });
    await rm(join(folder.directory, 'b.yaml'));
    assert.deepEqual(names(await folder.until(r => r.objects.length === 1)), ['shop/one@1']);
    await folder.write('b.yaml', policy('two', 5));
    assert.deepEqual(names(await folder.until(r => r.objects.length === 2)), ['shop/one@1', 'shop/two@2']);
  });

  it('lets the first of two equal objects stay, by file name', async context => {
    const folder = await watchFolder(context, { 'b.yaml': policy('one', 2), 'a.yaml': policy('one', 1) });
    const resources = await folder.until(() => true);
    assert.equal(resources.objects.length, 1);
    assert.equal(resources.objects[0]?.locate?.('spec')?.file, join(folder.directory, 'a.yaml'));
    assert.equal(resources.violations[0]?.position?.file, join(folder.directory, 'b.yaml'));
  });

  it('keeps everything when the folder vanishes or is emptied, and says so', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) });
    await rm(join(folder.directory, 'a.yaml'));
    const emptied = await folder.until(r => r.violations.length > 0);
    assert.deepEqual(names(emptied), ['shop/one@1']);
    assert.deepEqual(problems(emptied), ['the folder holds no manifests']);
    await rm(folder.directory, { recursive: true });
    const gone = await folder.until(r => problems(r)[0] !== 'the folder holds no manifests');
    assert.deepEqual(problems(gone), ['the folder cannot be read (ENOENT)']);
    assert.deepEqual(names(gone), ['shop/one@1']);
  });

  it('waits for a folder that does not exist yet', async context => {
    const parent = await mkdtemp(join(tmpdir(), 'sallyport-files-'));
    context.after(() => rm(parent, { recursive: true, force: true }));
    const directory = join(parent, 'later');
    const folder = await watchDirectory(context, directory);
    assert.equal((await folder.until(() => true)).complete, false);
    await mkdir(directory);
    await folder.write('a.yaml', policy('one', 1));
    assert.deepEqual(names(await folder.until(r => r.complete)), ['shop/one@1']);
  });

  it('follows the swapped link by which Kubernetes updates a mounted ConfigMap', async context => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-files-'));
    for (const version of ['1', '2']) {
      await mkdir(join(directory, `..v${version}`));
      await writeFile(join(directory, `..v${version}`, 'a.yaml'), policy('one', Number(version)));
    }
    await symlink('..v1', join(directory, '..data'));
    await symlink(join('..data', 'a.yaml'), join(directory, 'a.yaml'));
    const folder = await watchDirectory(context, directory);
    assert.deepEqual(names(await folder.until(() => true)), ['shop/one@1']);
    await symlink('..v2', join(directory, '..next'));
    await rename(join(directory, '..next'), join(directory, '..data'));
    assert.deepEqual(names(await folder.until(r => names(r)[0] === 'shop/one@2')), ['shop/one@2']);
  });

  it('takes a file that an editor replaced by renaming', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) });
    await folder.write('.a.yaml.swp', policy('one', 2));
    await rename(join(folder.directory, '.a.yaml.swp'), join(folder.directory, 'a.yaml'));
    assert.deepEqual(names(await folder.until(r => names(r)[0] === 'shop/one@2')), ['shop/one@2']);
  });

  it('goes on with a pipe in the folder, and names it', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) });
    execFileSync('mkfifo', [join(folder.directory, 'g.yaml')]);
    const told = await folder.until(r => problems(r).length > 0);
    assert.deepEqual(problems(told), ['is no regular file']);
    assert.match(told.violations[0]?.position?.file ?? '', /g\.yaml$/);
    await folder.write('a.yaml', policy('one', 2));
    await folder.until(r => names(r)[0] === 'shop/one@2');
  });

  it('refuses a file of 300,000 documents unparsed, and keeps the others', async context => {
    const folder = await watchFolder(context, { 'a.yaml': policy('one', 1) });
    await folder.write('b.yaml', '---\na: 1\n'.repeat(300_000));
    const told = await folder.until(r => problems(r).length > 0);
    assert.deepEqual(problems(told), ['holds more than 5000 documents']);
    assert.deepEqual(names(told), ['shop/one@1']);
  });
});
