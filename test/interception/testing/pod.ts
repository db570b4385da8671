/** A pod on a stage: a network of its own, an app, and the real sidecar with the rights that it has in a pod: none. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SIDECAR_UID } from '../../../src/api/names.ts';
import { type Host, openNetwork } from '../../support/network.ts';
import { type Files, writeFiles } from '../../support/sidecar.ts';
import { until } from '../../support/until.ts';
import type { Outcome, Task } from './client.ts';

export const PROGRAM =
  process.env['SCENARIO_PROGRAM'] ?? fileURLToPath(new URL('../../../dist/main.js', import.meta.url));
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** As the injector writes it: no rights, no way to get some. */
const WITHOUT_RIGHTS = [
  `--reuid=${SIDECAR_UID}`,
  `--regid=${SIDECAR_UID}`,
  '--clear-groups',
  '--bounding-set=-all',
  '--inh-caps=-all',
  '--no-new-privs',
];

export type Status = Readonly<Record<string, unknown>>;

export class Pod {
  readonly host: Host;
  readonly client: Host;
  readonly folder: string;
  /** Of the newest sidecar. */
  lines: Readonly<Record<string, unknown>>[] = [];
  output = '';
  #sidecar: ChildProcess | undefined;
  #apps: ChildProcess[] = [];

  constructor(host: Host, client: Host, folder: string) {
    this.host = host;
    this.client = client;
    this.folder = folder;
  }

  async init(...args: readonly string[]): Promise<void> {
    await this.host.must(process.execPath, [PROGRAM, 'init', ...args]);
  }

  /** Starts an app (app.ts) and waits until it listens. */
  async startApp(...addresses: readonly string[]): Promise<ChildProcess> {
    const app = this.host.spawn(process.execPath, [here('app.ts'), ...addresses]);
    this.#apps.push(app);
    if (app.stdout !== null) await once(app.stdout, 'data');
    return app;
  }

  /** Manifests appear whole. */
  async write(files: Files): Promise<void> {
    const folder = join(this.folder, 'manifests');
    await mkdir(folder, { recursive: true });
    await writeFiles(folder, files, 0o644);
    await chmod(folder, 0o755);
  }

  /** Changes manifests, and waits until a generation of them is in force. */
  async apply(files: Files): Promise<void> {
    const before = (await this.status())['generation'];
    await this.write(files);
    await until('the next generation', async () => (await this.status())['generation'] !== before);
  }

  async startSidecar(
    args: readonly string[],
    state: 'ready' | 'listening' = 'ready',
    program = PROGRAM,
  ): Promise<void> {
    const command = [
      ...[...WITHOUT_RIGHTS, process.execPath, program, 'sidecar', '--config', join(this.folder, 'manifests')],
      ...['--namespace', 'shop', '--workload-labels', 'app=fleet', '--health', '15191'],
      ...['--admin-socket', this.#adminSocket, ...args],
    ];
    this.lines = [];
    this.output = '';
    const sidecar = this.host.spawn('setpriv', command);
    this.#sidecar = sidecar;
    let rest = '';
    const { lines } = this;
    sidecar.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.output += chunk;
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) lines.push(JSON.parse(line) as Record<string, unknown>);
    });
    sidecar.stderr?.setEncoding('utf8').on('data', (chunk: string) => (this.output += chunk));
    await until('the sidecar to start', async () => {
      if (sidecar.exitCode !== null) throw new Error(`the sidecar ended:\n${this.output}`);
      const status = await this.status().catch(() => undefined);
      return status !== undefined && (state === 'listening' || status['ready'] === true);
    });
  }

  async endSidecar(signal: NodeJS.Signals): Promise<void> {
    const sidecar = this.#sidecar;
    if (sidecar === undefined) return;
    // ip and setpriv become the program that they start, so this is the sidecar itself.
    sidecar.kill(signal);
    if (sidecar.exitCode === null && sidecar.signalCode === null) await once(sidecar, 'close');
  }

  get #adminSocket(): string {
    return join(this.folder, 'run', 'admin.sock');
  }

  status(): Promise<Status> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#adminSocket, path: '/status', agent: false }, response => {
        text(response).then(body => resolve(JSON.parse(body) as Status), reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** Text of /metrics, as whoever scrapes from outside gets it. */
  async metrics(): Promise<string> {
    const [outcome] = await this.ask({ kind: 'get', url: `http://${this.host.ipv4}:15191/metrics` });
    return outcome?.body ?? '';
  }

  /** What the client in its own network gets. */
  ask(...tasks: readonly Task[]): Promise<readonly Outcome[]> {
    return this.#perform(this.client, tasks);
  }

  /** The same, all at once. */
  askAtOnce(...tasks: readonly Task[]): Promise<readonly Outcome[]> {
    return this.#perform(this.client, tasks, ['--at-once']);
  }

  /** What a client inside the pod gets. */
  askInside(...tasks: readonly Task[]): Promise<readonly Outcome[]> {
    return this.#perform(this.host, tasks);
  }

  async #perform(host: Host, tasks: readonly Task[], how: readonly string[] = []): Promise<readonly Outcome[]> {
    const words = [...how, ...tasks.map(task => JSON.stringify(task))];
    const out = await host.must(process.execPath, [here('client.ts'), ...words]);
    return JSON.parse(out) as Outcome[];
  }

  /** The same over IPv4 and over IPv6. */
  both(port: number, path = '/'): readonly Task[] {
    return [this.host.ipv4, `[${this.host.ipv6}]`].map(host => ({ kind: 'get', url: `http://${host}:${port}${path}` }));
  }

  async close(): Promise<void> {
    for (const app of this.#apps) app.kill('SIGKILL');
    await this.endSidecar('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Everything ends with the test. */
export async function openPod(t: Pick<TestContext, 'after'>, files: Files = {}): Promise<Pod> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-pod-'));
  const { pod: host, client } = await openNetwork(t);
  const pod = new Pod(host, client, folder);
  t.after(() => pod.close());
  await chmod(folder, 0o755);
  const run = join(folder, 'run');
  await mkdir(run);
  await chown(run, SIDECAR_UID, SIDECAR_UID);
  await pod.write(files);
  return pod;
}
