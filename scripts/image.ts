/**
 * `npm run image`: builds Sallyport's image by the Dockerfile, without Docker and without root's help from a daemon, and
 * writes it as an archive for `docker load` or `ctr images import`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { provideBase } from '../cluster/base-image.ts';
import { openBuildah } from '../cluster/buildah.ts';
import { locateCache } from '../cluster/parts.ts';
import manifest from '../package.json' with { type: 'json' };

const HELP = `npm run image -- [--base IMAGE] [--tag NAME] [--archive FILE]

  --base IMAGE     what NODE_IMAGE of the Dockerfile shall be: Debian with Node.js 24 and npm, from any registry
                   (default: one made here with debootstrap, which needs no image registry)
  --tag NAME       default localhost/sallyport:VERSION
  --archive FILE   default dist-image/sallyport.tar

Needs buildah (and debootstrap without --base). With Docker: docker build -t sallyport .
`;

const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    tag: { type: 'string', default: `localhost/sallyport:${manifest.version}` },
    archive: { type: 'string', default: 'dist-image/sallyport.tar' },
    help: { type: 'boolean' },
  },
});

if (values.help === true) process.stdout.write(HELP);
else await buildImage(values.tag, resolve(values.archive), values.base);

async function buildImage(tag: string, archive: string, base: string | undefined): Promise<void> {
  const buildah = await openBuildah(join(locateCache(), 'images'));
  const args = {
    NODE_IMAGE: base ?? (await provideBase(buildah, line => console.error(line))),
    VERSION: manifest.version,
    REVISION: readRevision(),
  };
  await buildah.build({ tag, context: join(import.meta.dirname, '..'), args });
  mkdirSync(dirname(archive), { recursive: true });
  rmSync(archive, { force: true });
  await buildah.save(tag, archive);
  console.error(`${tag}: ${archive}, ${Math.round(statSync(archive).size / 2 ** 20)} MiB`);
}

function readRevision(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
