/**
 * A stand-in for the image `node:24-bookworm-slim`, made without an image registry: Debian by debootstrap, the Node.js that
 * package.json pins, npm. Images are built from it where no registry is reached; it never reaches a finished image of ours.
 */
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import type { Buildah } from './buildah.ts';
import { runCommand } from './command.ts';

const SUITE = 'bookworm';
const PACKAGES = ['ca-certificates', 'nftables', 'nginx-light'];
const NPM = '11';
const NODE = fileOfNode();
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
const VERSION = createHash('sha256')
  .update(JSON.stringify([SUITE, PACKAGES, NPM, manifest.optionalDependencies]))
  .digest('hex')
  .slice(0, 12);

/** The image's name. It is made once; that takes about a minute. */
export async function provideBase(buildah: Buildah, say: (line: string) => void): Promise<string> {
  const tag = `localhost/sallyport-base:${VERSION}`;
  if (await buildah.hasImage(tag)) return tag;
  const begin = performance.now();
  const root = mkdtempSync(join(tmpdir(), 'sallyport-base-'));
  try {
    await fillRoot(root);
    // What this machine trusts when it installs packages, an authority of its network included.
    await buildah.commitFolder(root, { tag, env: { NODE_EXTRA_CA_CERTS: AUTHORITIES } });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  say(`base image with debootstrap: ${Math.round((performance.now() - begin) / 1000)} s`);
  return tag;
}

async function fillRoot(root: string): Promise<void> {
  await runCommand(['debootstrap', '--variant=minbase', `--include=${PACKAGES.join(',')}`, SUITE, root]);
  for (const path of ['var/cache/apt', 'var/lib/apt/lists', 'var/log'])
    await runCommand(['find', join(root, path), '-type', 'f', '-delete']);
  copyFileSync(NODE, join(root, 'usr/local/bin/node'));
  chmodSync(join(root, 'usr/local/bin/node'), 0o755);
  await runCommand([
    'npm',
    'install',
    '--global',
    '--no-audit',
    '--no-fund',
    '--prefix',
    join(root, 'usr/local'),
    `npm@${NPM}`,
  ]);
  if (existsSync(AUTHORITIES)) copyFileSync(AUTHORITIES, join(root, AUTHORITIES));
}

function fileOfNode(): string {
  return join(import.meta.dirname, '..', 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
}
