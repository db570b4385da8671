/** The images that pods of a cluster run: ours, built by the Dockerfile of this checkout, and the tests' apps. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { provideBase } from './base-image.ts';
import { type Buildah, openBuildah } from './buildah.ts';
import { holdLock } from './lock.ts';
import { locateCache } from './parts.ts';

export const IMAGE_NAMES = ['sallyport', 'app', 'nginx'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

export interface Image {
  /** As pods name it, with `imagePullPolicy: Never`. */
  readonly name: string;
  /** File for `importImage`. */
  readonly archive: string;
}

const CHECKOUT = join(import.meta.dirname, '..');
const TESTS = join(CHECKOUT, 'test', 'cluster', 'images');

/** Each with its folder and what of it counts. */
const SOURCES: Readonly<Record<ImageName, { readonly context: string; readonly files: readonly string[] }>> = {
  sallyport: {
    context: CHECKOUT,
    files: ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'scripts', 'src'],
  },
  app: { context: join(TESTS, 'app'), files: ['.'] },
  nginx: { context: join(TESTS, 'nginx'), files: ['.'] },
};

/** Archives of other checkouts and older sources are kept, so that tests of several can run in turn. */
const KEPT = 4;

/** The image of the sources as they are now: built, unless an archive of the same sources stands in the cache. */
export async function provideImage(name: ImageName, say: (line: string) => void): Promise<Image> {
  const folder = join(locateCache(), 'images');
  const image: Image = {
    name: `localhost/${name}:test`,
    archive: join(folder, `${name}-${hashSources(name)}.tar`),
  };
  if (existsSync(image.archive)) return image;
  await holdLock(join(folder, '.lock'), async () => {
    if (existsSync(image.archive)) return;
    const begin = performance.now();
    const buildah = await openBuildah(folder);
    await build(buildah, name, image, await provideBase(buildah, say));
    removeOld(folder, name);
    say(`image ${image.name}: ${Math.round((performance.now() - begin) / 1000)} s`);
  });
  return image;
}

async function build(buildah: Buildah, name: ImageName, { name: tag, archive }: Image, base: string): Promise<void> {
  await buildah.build({ tag, context: SOURCES[name].context, args: { NODE_IMAGE: base } });
  const partial = `${archive}.partial`;
  rmSync(partial, { force: true });
  await buildah.save(tag, partial);
  renameSync(partial, archive);
}

function hashSources(name: ImageName): string {
  const { context, files } = SOURCES[name];
  const hash = createHash('sha256');
  for (const file of files.flatMap(each => listFiles(join(context, each)))) {
    hash.update(`${relative(context, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 12);
}

/** Without tests, which .dockerignore leaves out. */
function listFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return /\.test\.ts$/.test(path) ? [] : [path];
  if (path.endsWith('/testing')) return [];
  return readdirSync(path)
    .sort()
    .flatMap(entry => listFiles(join(path, entry)));
}

function removeOld(folder: string, name: ImageName): void {
  const archives = readdirSync(folder)
    .filter(file => file.startsWith(`${name}-`) && file.endsWith('.tar'))
    .map(file => join(folder, file))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const archive of archives.slice(KEPT)) rmSync(archive, { force: true });
}
