/** The programs that a cluster consists of: which Go module each comes from, how it is built, where it is looked for. */
import { createHash } from 'node:crypto';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `control-plane`: an API server with its controllers, no pod ever runs. `node`: one machine more, which runs them. */
export type Level = 'control-plane' | 'node';

export interface Part {
  readonly name: string;
  /** Folder below `cluster/modules`: each project's go.mod of its own, so that versions do not pull each other. */
  readonly module: string;
  /** Import path of the program. */
  readonly package: string;
  readonly level: Level;
  readonly tags?: string;
  /** Go variables that are set at link time. */
  readonly variables?: Readonly<Record<string, string>>;
}

const KUBERNETES_VERSION = '1.36.4';
const [major = '', minor = ''] = KUBERNETES_VERSION.split('.');
const STAMP = 'k8s.io/component-base/version';

/** Without the stamp the server calls itself v0.0.0, and Helm's check of `kubeVersion` fails. */
const VARIABLES = {
  [`${STAMP}.gitVersion`]: `v${KUBERNETES_VERSION}`,
  [`${STAMP}.gitMajor`]: major,
  [`${STAMP}.gitMinor`]: minor,
  [`${STAMP}.gitTreeState`]: 'clean',
  [`${STAMP}.buildDate`]: '1970-01-01T00:00:00Z',
};

const kubernetes = (name: string, level: Level): Part => ({
  name,
  module: 'kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  level,
  variables: VARIABLES,
});

const containerd = (name: string): Part => ({
  name,
  module: 'containerd',
  package: `github.com/containerd/containerd/v2/cmd/${name}`,
  level: 'node',
  tags: 'no_btrfs no_devmapper no_zfs',
});

/** In the order in which they are built: what starts first comes first. */
export const PARTS: readonly Part[] = [
  kubernetes('kube-apiserver', 'control-plane'),
  { name: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3', level: 'control-plane' },
  kubernetes('kubectl', 'control-plane'),
  kubernetes('kube-controller-manager', 'control-plane'),
  kubernetes('kube-scheduler', 'control-plane'),
  { name: 'helm', module: 'helm', package: 'helm.sh/helm/v4/cmd/helm', level: 'control-plane' },
  kubernetes('kubelet', 'node'),
  kubernetes('kube-proxy', 'node'),
  containerd('containerd'),
  containerd('containerd-shim-runc-v2'),
  containerd('ctr'),
  { name: 'coredns', module: 'coredns', package: 'sallyport.dev/cluster/coredns', level: 'node' },
  { name: 'pause', module: 'pause', package: 'sallyport.dev/cluster/pause', level: 'node' },
];

const MODULES = join(import.meta.dirname, 'modules');

export function listParts(level: Level): readonly Part[] {
  return level === 'node' ? PARTS : PARTS.filter(part => part.level === 'control-plane');
}

export function locateModule(part: Part): string {
  return join(MODULES, part.module);
}

/** `${XDG_CACHE_HOME:-~/.cache}/sallyport/cluster` */
export function locateCache(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'sallyport', 'cluster');
}

/** Where the part stands once it is built: a folder per project, named by all that the build depends on. */
export function locateBuilt(part: Part, env: NodeJS.ProcessEnv = process.env): string {
  return join(locateCache(env), `${part.module}-${hashModule(part)}`, part.name);
}

function hashModule({ module }: Part): string {
  const hash = createHash('sha256');
  const folder = join(MODULES, module);
  for (const file of readdirSync(folder).sort()) hash.update(`${file}\0`).update(readFileSync(join(folder, file)));
  const flags = PARTS.filter(part => part.module === module);
  return hash.update(JSON.stringify(flags)).update(process.arch).digest('hex').slice(0, 12);
}

/**
 * The part's file: in the folder that KUBEBUILDER_ASSETS names (as for envtest) if it has one, else built in the cache;
 * undefined when it is in neither.
 */
export function findPart(part: Part, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const assets = env['KUBEBUILDER_ASSETS'];
  const given = assets === undefined || assets === '' ? [] : [join(assets, part.name)];
  return [...given, locateBuilt(part, env)].find(isExecutable);
}

/** @throws Error naming the command that builds it. */
export function requirePart(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const part = PARTS.find(each => each.name === name);
  if (part === undefined) throw new Error(`${name} is no part of a cluster`);
  const file = findPart(part, env);
  if (file === undefined) throw new Error(`${name} is not built: run \`npm run cluster -- build\``);
  return file;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
