/** The control groups of a node's pods: one below the root of every hierarchy, named after the cluster. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from './process-mark.ts';

const ROOT = '/sys/fs/cgroup';

export function nameControlGroup(cluster: string): string {
  return `/sallyport-${cluster}`;
}

/** The kubelet refuses a root that is missing in any hierarchy. */
export function createControlGroups(cluster: string): void {
  for (const hierarchy of listHierarchies()) mkdirSync(join(hierarchy, nameControlGroup(cluster)), { recursive: true });
  if (!isUnified()) return;
  const controllers = readFileSync(join(ROOT, 'cgroup.controllers'), 'utf8').trim().split(' ');
  const enable = controllers.map(name => `+${name}`).join(' ');
  for (const group of [ROOT, join(ROOT, nameControlGroup(cluster))])
    writeFileSync(join(group, 'cgroup.subtree_control'), enable);
}

/** The processes in them must have been killed; they are given a moment to be gone. */
export function removeControlGroups(cluster: string): void {
  for (const hierarchy of listHierarchies()) removeTree(join(hierarchy, nameControlGroup(cluster)));
}

const TRIES = 250;
const PAUSE_MS = 20;

function isUnified(): boolean {
  return listEntries(ROOT).includes('cgroup.controllers');
}

function listHierarchies(): readonly string[] {
  return isUnified() ? [ROOT] : listFolders(ROOT);
}

/** A control group is removed by rmdir alone: its files are no files. */
function removeTree(group: string): void {
  for (let attempt = 0; attempt < TRIES && existsSync(group); attempt++) {
    for (const child of listFolders(group)) removeTree(child);
    try {
      rmdirSync(group);
    } catch {
      pause(PAUSE_MS); // a process in it has not quite ended
    }
  }
}

function listFolders(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => join(path, entry.name));
  } catch {
    return [];
  }
}

function listEntries(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
