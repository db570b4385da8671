/** Images from Dockerfiles without a daemon, in a storage of our own that no other tool on this machine sees. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './command.ts';

export interface BuildOptions {
  readonly tag: string;
  readonly context: string;
  /** Default: the context's `Dockerfile`. */
  readonly dockerfile?: string;
  readonly args?: Readonly<Record<string, string>>;
}

export interface Buildah {
  hasImage(name: string): Promise<boolean>;
  build(options: BuildOptions): Promise<void>;
  /** Makes an image of a folder. */
  commitFolder(
    folder: string,
    options: { readonly tag: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<void>;
  /** Writes an archive as `docker load` and `ctr images import` take it. */
  save(name: string, archive: string): Promise<void>;
}

/** Steps of builds are kept as images without a name, so that the next build can begin where something changed. */
const MANY_IMAGES = 100;

/** Overlay where the file system below can do it, else vfs, which copies every layer. STORAGE_DRIVER overrides. */
export async function openBuildah(folder: string): Promise<Buildah> {
  const given = process.env['STORAGE_DRIVER'];
  for (const driver of given === undefined ? ['overlay', 'vfs'] : [given]) {
    // In a mount namespace of its own: what it mounts, and forgets when it is killed, is gone with it.
    const buildah = ['unshare', '--mount', '--', 'buildah', ...listStorageFlags(folder, driver)];
    const works = await runCommand([...buildah, 'images', '--quiet']).then(
      () => true,
      () => false,
    );
    if (works || driver === 'vfs') return describeBuildah(buildah);
  }
  throw new Error(`buildah cannot use the storage driver ${given ?? ''}`);
}

function listStorageFlags(folder: string, driver: string): readonly string[] {
  const run = join(tmpdir(), `sallyport-buildah-${process.getuid?.() ?? 'user'}`);
  return ['--root', join(folder, `storage-${driver}`), '--runroot', run, '--storage-driver', driver];
}

function describeBuildah(buildah: readonly string[]): Buildah {
  const run = (...args: readonly string[]): Promise<string> => runCommand([...buildah, ...args]);
  return {
    hasImage: name =>
      run('inspect', '--type', 'image', name).then(
        () => true,
        () => false,
      ),
    async build({ tag, context, dockerfile = join(context, 'Dockerfile'), args = {} }) {
      const images = (await run('images', '--all', '--quiet')).split('\n').length;
      if (images > MANY_IMAGES) await run('rmi', '--prune');
      const given = Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
      await run('build', '--isolation', 'chroot', '--layers', '--tag', tag, '--file', dockerfile, ...given, context);
    },
    async commitFolder(folder, { tag, env = {} }) {
      const container = await run('from', 'scratch');
      const variables = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
      await run('copy', '--quiet', container, folder, '/');
      await run('config', ...variables, container);
      await run('commit', '--quiet', container, tag);
      await run('rm', container);
    },
    async save(name, archive) {
      await run('push', '--quiet', name, `docker-archive:${archive}:${name}`);
    },
  };
}
