/** What is in the image, read from its archive: no cluster is needed, only what builds images. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { provideImage } from '../../cluster/images.ts';
import { skipWithout } from './support/requirements.ts';

interface Config {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Env: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
}

describe('the image', { skip: skipWithout('images') }, () => {
  let config: Config;
  let files: readonly { readonly mode: string; readonly owner: string; readonly size: number; readonly path: string }[];

  before(async () => {
    const { archive } = await provideImage('sallyport', line => console.log(line));
    const read = (file: string): Buffer => execFileSync('tar', ['-xOf', archive, file], { maxBuffer: 2 ** 29 });
    const [manifest] = JSON.parse(read('manifest.json').toString()) as { Config: string; Layers: string[] }[];
    config = (JSON.parse(read(manifest?.Config ?? '').toString()) as { config: Config }).config;
    files = (manifest?.Layers ?? []).flatMap(layer =>
      execFileSync('tar', ['-tv', '--numeric-owner'], { input: read(layer), encoding: 'utf8', maxBuffer: 2 ** 24 })
        .trimEnd()
        .split('\n')
        .map(line => line.split(/\s+/))
        .map(([mode = '', owner = '', size, , , path = '']) => ({ mode, owner, size: Number(size), path })),
    );
  });

  test('runs as nobody but its own user', () => {
    assert.equal(config.User, '15190:15190');
  });

  test('starts Node on the bundle, without a launcher and without flags that a reader would have to know', () => {
    assert.deepEqual(config.Entrypoint, ['/usr/local/bin/node', '--max-semi-space-size=8', '/sallyport/main.js']);
  });

  test('inherits nothing of the image that built it', () => {
    assert.deepEqual(config.Env, ['PATH=/usr/local/bin:/usr/sbin']);
    assert.equal(config.Labels['org.opencontainers.image.title'], 'sallyport');
  });

  test('has three programs: node, nft, and sallyport, which needs no shell to start', () => {
    const programs = files
      .filter(({ mode, path }) => /^-..x/.test(mode) && !/\.so[.\d]*$/.test(path))
      .map(({ path }) => path.replace(/^\.?\/?/, '/'));
    assert.deepEqual(programs.sort(), ['/sallyport/main.js', '/usr/local/bin/node', '/usr/sbin/nft']);
  });

  test('has no file that its user may write, and none with a set-user-id bit', () => {
    const writable = files.filter(({ mode, owner }) => mode[8] === 'w' || mode.includes('s') || owner !== '0/0');
    assert.deepEqual(
      writable.filter(({ mode }) => !mode.startsWith('l')),
      [],
    );
  });

  test('tells scanners which Debian packages its libraries come from, with their copyright', () => {
    const names = (pattern: RegExp): (string | undefined)[] =>
      files.flatMap(({ path }) => pattern.exec(path)?.[1] ?? []);
    const packages = names(/var\/lib\/dpkg\/status\.d\/(\S+)$/);
    assert.ok(packages.includes('libc6') && packages.includes('nftables'), packages.join());
    assert.deepEqual(names(/usr\/share\/doc\/([^/]+)\/copyright$/).sort(), packages.sort());
  });
});
