/** Says what a machine lacks for a cluster, and how to get it. */
import { spawnSync } from 'node:child_process';
import { accessSync } from 'node:fs';
import { findPart, listParts, type Level } from '../../../cluster/parts.ts';

/** `images`: a node, and what builds the images of its pods. */
export type Need = Level | 'images';

/** Debian packages, each with a file of it: of a node, and of what builds images. */
const NODE_PACKAGES: Readonly<Record<string, string>> = {
  runc: 'runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  nftables: 'nft',
  iproute2: 'ip',
};
const IMAGE_PACKAGES: Readonly<Record<string, string>> = { buildah: 'buildah', debootstrap: 'debootstrap' };

export interface Missing {
  readonly problem: string;
  readonly fix: string;
}

export function findMissing(need: Need): readonly Missing[] {
  const level = need === 'images' ? 'node' : need;
  const missing: Missing[] = [];
  if (process.platform !== 'linux') return [{ problem: `this is ${process.platform}`, fix: 'Use Linux.' }];
  if (level === 'node' && process.getuid?.() !== 0)
    missing.push({ problem: 'a node needs root', fix: 'Run it as root (sudo -E), or use the control plane alone.' });
  const packages = listMissingPackages(need);
  if (packages.length > 0)
    missing.push({
      problem: `${packages.join(', ')} missing`,
      fix: `apt-get install --no-install-recommends ${packages.join(' ')}`,
    });
  const parts = listParts(level).filter(part => findPart(part) === undefined);
  if (parts.length > 0)
    missing.push({
      problem: `${parts.map(part => part.name).join(', ')} not built`,
      fix: `npm run cluster -- build${level === 'node' ? '' : ' --control-plane'} (once, some minutes)`,
    });
  return missing;
}

export function listMissingPackages(need: Need): readonly string[] {
  const needed = {
    ...(need === 'control-plane' ? {} : NODE_PACKAGES),
    ...(need === 'images' ? IMAGE_PACKAGES : {}),
  };
  return Object.entries(needed)
    .filter(([, file]) => !isInstalled(file))
    .map(([name]) => name);
}

function isInstalled(file: string): boolean {
  if (!file.startsWith('/')) return spawnSync(file, ['--version'], { stdio: 'ignore' }).error === undefined;
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}

/** Whether the tests must run: CI says so, and then what is missing is a failure. */
export function isClusterRequired(env: NodeJS.ProcessEnv = process.env): boolean {
  return env['SALLYPORT_CLUSTER'] === 'required';
}

/**
 * The `skip` of a test that needs a cluster: false when it can run, else a sentence, which is printed too.
 *
 * @throws Error where CI requires it and something is missing.
 */
export function skipWithout(need: Need): string | false {
  const missing = findMissing(need);
  if (missing.length === 0) return false;
  const sentence = missing.map(({ problem, fix }) => `${problem}: ${fix}`).join('; ');
  if (isClusterRequired()) throw new Error(`SALLYPORT_CLUSTER=required, but ${sentence}`);
  process.stderr.write(`\nSKIPPED: these tests need a real cluster (${need}). ${sentence}\n\n`);
  return sentence;
}
