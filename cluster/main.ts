/** `npm run cluster -- …`: a real Kubernetes on this machine, built from this checkout, for tests and for people. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { describeToolEnvironment } from '../test/cluster/support/cluster.ts';
import { openControlPlane } from '../test/cluster/support/control-plane.ts';
import {
  type ClusterFolder,
  listFolders,
  openFolder,
  removeFolder,
  removeStale,
} from '../test/cluster/support/folder.ts';
import { describeEntrance } from '../test/cluster/support/machine.ts';
import { importImages as importAll, installSallyport, SYSTEM } from '../test/cluster/support/installation.ts';
import { type ClusterNode, openNode } from '../test/cluster/support/node.ts';
import { isAlive } from '../test/cluster/support/process-mark.ts';
import { findMissing, listMissingPackages } from '../test/cluster/support/requirements.ts';
import { importImage } from '../test/cluster/support/node-start.ts';
import { buildParts } from './build.ts';
import { IMAGE_NAMES, provideImage } from './images.ts';
import { installMissing } from './install.ts';
import { type Level, listParts, requirePart } from './parts.ts';

const HELP = `npm run cluster -- COMMAND [--name NAME] [--control-plane] [--bare]

  build               builds the programs of a cluster into a cache (once, some minutes)
  up                  starts a cluster with Sallyport and says how to use it
  status              what runs, and what this machine lacks
  kubectl ARGUMENT…   kubectl of that cluster
  helm ARGUMENT…      helm of that cluster
  exec COMMAND…       a command on the node, where pods and Services have their addresses
  image               builds Sallyport’s image and the test apps’, and makes a running node know them
  down                stops it and removes all of it

  --control-plane     without a node: needs no root, no pod ever runs
  --bare              without Sallyport
  --name NAME         several may run side by side (default: sallyport)
`;

const DEFAULT_NAME = 'sallyport';
/** It becomes part of paths, and of names of control groups. */
const NAME = /^[a-z0-9][a-z0-9-]{0,29}$/;
const EXIT = { ok: 0, failed: 1, usage: 64 } as const;

interface Options {
  readonly name: string;
  readonly level: Level;
  /** Without Sallyport. */
  readonly bare: boolean;
}

const say = (line: string): void => void process.stderr.write(`cluster: ${line}\n`);

async function main([command = 'help', ...rest]: readonly string[]): Promise<number> {
  const [own, passed] = ['kubectl', 'helm', 'exec'].includes(command) ? splitOwn(rest) : [rest, []];
  const { values } = parseArgs({
    args: [...own],
    options: { name: { type: 'string' }, 'control-plane': { type: 'boolean' }, bare: { type: 'boolean' } },
  });
  if (values.name !== undefined && !NAME.test(values.name))
    throw new Error('--name takes a-z, 0-9 and -, up to 30 of them');
  const options: Options = {
    name: values.name ?? DEFAULT_NAME,
    level: values['control-plane'] === true ? 'control-plane' : 'node',
    bare: values.bare === true,
  };
  switch (command) {
    case 'build':
      await installMissing(options.level === 'node' ? 'images' : options.level, say);
      await buildParts({ parts: listParts(options.level), say });
      return EXIT.ok;
    case 'image':
      return importImages(options);
    case 'up':
      return up(options);
    case 'down':
      return down(options);
    case 'status':
      return showStatus();
    case 'kubectl':
    case 'helm':
      return runInside(options, () => [requirePart(command), ...passed]);
    case 'exec':
      return runInside(options, folder => [...describeEntrance(folder), ...passed]);
    default:
      process.stdout.write(HELP);
      return command === 'help' ? EXIT.ok : EXIT.usage;
  }
}

/** Our `--name NAME` may stand before what is passed on. */
function splitOwn(args: readonly string[]): [readonly string[], readonly string[]] {
  return args[0] === '--name' ? [args.slice(0, 2), args.slice(2)] : [[], args];
}

async function up({ name, level, bare }: Options): Promise<number> {
  await buildParts({ parts: listParts(level), say });
  const isProtected = level === 'node' && !bare;
  if (isProtected) await installMissing('images', say);
  const missing = findMissing(isProtected ? 'images' : level);
  for (const { problem, fix } of missing) say(`${problem}: ${fix}`);
  if (missing.length > 0) return EXIT.failed;
  const begin = performance.now();
  const { folder, kubeconfig, ...cluster } = await (isProtected
    ? openProtected(name)
    : (level === 'node' ? openNode : openControlPlane)({ name, persistent: true }));
  say(`${name} is up after ${((performance.now() - begin) / 1000).toFixed(1)} s. Its files: ${folder}`);
  say(`stop it with \`npm run cluster -- down${name === DEFAULT_NAME ? '' : ` --name ${name}`}\`; use it with`);
  process.stdout.write(`export KUBECONFIG=${kubeconfig}\n`);
  process.stdout.write(`alias kubectl=${requirePart('kubectl')} helm=${requirePart('helm')}\n`);
  if (isProtected) await sayNext(cluster);
  return EXIT.ok;
}

/** A cluster in which the installation fails stays, so that somebody can look. */
async function openProtected(name: string): Promise<ClusterNode> {
  const node = await openNode({ name, persistent: true });
  await importAll(node, say);
  say('installing Sallyport with its chart');
  await installSallyport(node, { replicas: 2 });
  return node;
}

async function sayNext({ kubectl }: Pick<ClusterNode, 'kubectl'>): Promise<void> {
  const { stdout } = await kubectl(['-n', SYSTEM, 'get', 'pods']);
  say(`Sallyport runs:\n${stdout.trimEnd()}`);
  say('next: kubectl apply -f examples/hello/hello.yaml, then: npm run cluster -- exec curl -si http://10.96.0.80/');
  say('then your app, your policies (examples/fleet) and: kubectl get sallyport -A');
}

function down({ name }: Options): number {
  removeStale();
  const folder = openFolder(name);
  if (folder === undefined) say(`there is no cluster ${name}`);
  else removeFolder(folder);
  return EXIT.ok;
}

function showStatus(): number {
  for (const folder of listFolders()) {
    const { level, owner, processes } = folder.readRecord();
    const running = processes.filter(isAlive).length;
    const whose = owner === undefined ? '' : `, belongs to process ${owner.pid}`;
    process.stdout.write(`${folder.name}: ${level}, ${running} of ${processes.length} processes run${whose}\n`);
    process.stdout.write(`  export KUBECONFIG=${describeToolEnvironment(folder.path)['KUBECONFIG'] ?? ''}\n`);
  }
  for (const level of ['control-plane', 'node'] as const)
    for (const { problem, fix } of findMissing(level)) process.stdout.write(`${level}: ${problem}: ${fix}\n`);
  return EXIT.ok;
}

async function importImages({ name }: Options): Promise<number> {
  const missing = listMissingPackages('images');
  if (missing.length > 0) throw new Error(`${missing.join(', ')} missing: apt-get install ${missing.join(' ')}`);
  const folder = openFolder(name);
  for (const each of IMAGE_NAMES) {
    const image = await provideImage(each, say);
    if (folder?.readRecord().level === 'node') await importImage(describeEntrance(folder), folder.path, image.archive);
    process.stdout.write(`${image.name}\t${image.archive}\n`);
  }
  if (folder === undefined) say(`there is no cluster ${name} that they could be imported into`);
  return EXIT.ok;
}

async function runInside({ name }: Options, prepare: (folder: ClusterFolder) => readonly string[]): Promise<number> {
  const folder = openFolder(name);
  if (folder === undefined) {
    say(`there is no cluster ${name}: \`npm run cluster -- up\` starts one`);
    return EXIT.failed;
  }
  const [command = '', ...args] = prepare(folder);
  const env = { ...process.env, ...describeToolEnvironment(folder.path) };
  const [code] = (await once(spawn(command, args, { stdio: 'inherit', env }), 'exit')) as [number | null];
  return code ?? EXIT.failed;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = EXIT.failed;
}
