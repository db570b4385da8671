/** Makes an image of a folder, as an archive that `ctr images import` takes: one layer, no base, no tool but tar. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './processes.ts';

export interface ScratchImage {
  /** `localhost/pause:1` */
  readonly name: string;
  /** Folder of what the image's root shall hold. */
  readonly root: string;
  readonly entrypoint: readonly string[];
  readonly env?: readonly string[];
  /** `uid` or `uid:gid`; default root. */
  readonly user?: string;
  /** File to write. */
  readonly archive: string;
}

/** Names of Go, which the format takes. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export async function writeScratchImage({
  name,
  root,
  entrypoint,
  env = [],
  user = '',
  archive,
}: ScratchImage): Promise<void> {
  const folder = mkdtempSync(join(dirname(archive), 'image-'));
  const layer = join(folder, 'layer.tar');
  await tar(['--create', '--file', layer, '--owner=0', '--group=0', '--numeric-owner', '--sort=name', '-C', root, '.']);
  const config = {
    ...{ architecture: ARCHITECTURES[process.arch] ?? process.arch, os: 'linux' },
    config: { Entrypoint: entrypoint, Env: env, User: user },
    rootfs: { type: 'layers', diff_ids: [`sha256:${await hashFile(layer)}`] },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }];
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await tar(['--create', '--file', archive, '-C', folder, 'manifest.json', 'config.json', 'layer.tar']);
  rmSync(folder, { recursive: true });
}

async function tar(args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(['tar', ...args]);
  if (code !== 0) throw new Error(`tar failed: ${stderr}`);
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
