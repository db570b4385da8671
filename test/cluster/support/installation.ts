/** Sallyport on a node, as its chart installs it: the image of this checkout, the custom resources, the controller. */
import { join } from 'node:path';
import { IMAGE_NAMES, provideImage } from '../../../cluster/images.ts';
import type { Cluster } from './cluster.ts';
import { type Finished } from './processes.ts';

export const SYSTEM = 'sallyport-system';
export const RELEASE = 'sallyport';
const CHART = join(import.meta.dirname, '..', '..', '..', 'charts', 'sallyport');
const WITHIN = '180s';

export interface InstallOptions {
  /** Of the controller. Default 1. */
  readonly replicas?: number;
  /** Of the image `localhost/sallyport`. Default `test`. */
  readonly tag?: string;
  /** Further values, as `--set` takes them. */
  readonly values?: readonly string[];
}

type Tools = Pick<Cluster, 'helm' | 'kubectl'>;
type ImageStore = { readonly importImage: (archive: string) => Promise<void> };

/** Makes the images of this checkout known to a node; they are built if their sources have changed. */
export async function importImages(node: ImageStore, say: (line: string) => void): Promise<void> {
  for (const name of IMAGE_NAMES) await node.importImage((await provideImage(name, say)).archive);
}

/**
 * `helm upgrade --install` and what it waits for: a controller that is ready.
 *
 * @throws Error with Helm's words, and those of the controller if it said something.
 */
export async function installSallyport(node: Tools, options: InstallOptions = {}): Promise<void> {
  const finished = await node.helm(listInstallArguments(options));
  if (finished.code === 0) return;
  throw new Error(`helm failed: ${finished.stderr}${await describeController(node)}`);
}

export function listInstallArguments({ replicas = 1, tag = 'test', values = [] }: InstallOptions): readonly string[] {
  const set = [
    'image.repository=localhost/sallyport',
    ...[`image.tag=${tag}`, 'image.pullPolicy=Never', `controller.replicas=${replicas}`],
    ...values,
  ];
  return [
    ...['upgrade', '--install', RELEASE, CHART, '--namespace', SYSTEM, '--create-namespace'],
    ...set.flatMap(value => ['--set', value]),
    ...['--wait', '--timeout', WITHIN],
  ];
}

/** @throws Error with the words of Helm and of the pod. */
export async function testRelease({ helm }: Tools): Promise<Finished> {
  return helm(['test', RELEASE, '--namespace', SYSTEM, '--logs', '--timeout', '60s']);
}

async function describeController({ kubectl }: Tools): Promise<string> {
  const about = ['--namespace', SYSTEM];
  const pods = await kubectl([...about, 'get', 'pods', '-o', 'wide']);
  const logs = await kubectl([...about, 'logs', '-l', 'app.kubernetes.io/component=controller', '--tail', '30']);
  const events = await kubectl([...about, 'get', 'events', '--sort-by', '.lastTimestamp']);
  return [pods, logs, events].map(({ stdout, stderr }) => `\n${stdout}${stderr}`).join('');
}

/** The images of the sidecars of an app's pods, each once. */
export async function listImages(node: Cluster, namespace: string, app: string): Promise<readonly string[]> {
  const { body } = await node.call('GET', `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`);
  const { items } = body as { items: { spec: { initContainers?: { name: string; image: string }[] } }[] };
  const images = items.flatMap(({ spec }) => spec.initContainers ?? []).filter(({ name }) => name === 'sallyport');
  return [...new Set(images.map(({ image }) => image))];
}
