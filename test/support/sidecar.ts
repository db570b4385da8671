/** The real program in a process of its own, with a folder of manifests that a test changes while it runs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { findFreePort, LOOPBACK } from '../../src/demo/listening.ts';
import { renderManifests, type Manifest } from './manifests.ts';
import { until } from './until.ts';

/** The bundle that `npm run build` writes; the variable names another one. */
export const PROGRAM = process.env['SCENARIO_PROGRAM'] ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Manifests by file name; text stands as it is; null: the file is removed. */
export type Files = Readonly<Record<string, readonly Manifest[] | string | null>>;

export interface SidecarOptions {
  /** Default: none. */
  readonly manifests?: Files;
  /** Arguments in the place of `--config`, `--namespace` and `--workload-labels`: another source than files. */
  readonly source?: readonly string[];
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Port of the app; absent: every Api has app.url. */
  readonly app?: number;
  /** `HOST[:PORT]` → port on the loopback. */
  readonly resolve?: Readonly<Record<string, number>>;
  readonly mesh?: { readonly chainPem: string; readonly keyPem: string };
  readonly args?: readonly string[];
  /** Of the workload; default `app=fleet`. */
  readonly labels?: string;
  /** `ready` (default) waits for /readyz, `listening` for /livez. */
  readonly until?: 'ready' | 'listening';
}

export type LogLine = Readonly<Record<string, unknown>>;

const isConfigurationRead = (line: LogLine): boolean => String(line['msg']).startsWith('configuration read');

export interface Reply {
  readonly status: number;
  readonly body: string;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Sidecar {
  readonly folder: string;
  readonly port: number;
  readonly #health: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly lines: LogLine[] = [];
  /** Everything that the process has written. */
  output = '';
  #rest = '';

  constructor(folder: string, ports: { readonly clients: number; readonly health: number }, child: ChildProcess) {
    this.folder = folder;
    this.port = ports.clients;
    this.#health = ports.health;
    this.#child = child;
    this.#ended = once(child, 'close').then(([code]) => code as number | null);
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (this.output += chunk));
  }

  #read(chunk: string): void {
    this.output += chunk;
    const parts = (this.#rest + chunk).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const line of parts) if (line.startsWith('{')) this.lines.push(JSON.parse(line) as LogLine);
  }

  /** The first line from `from` on that fits; waits for it. */
  line(what: string, fits: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    return until(`a log line: ${what}`, () => this.lines.slice(from).find(fits));
  }

  /** The line about the request with this id. */
  lineOf(requestId: string): Promise<LogLine> {
    return this.line(`request ${requestId}`, line => line['requestId'] === requestId && 'verdict' in line);
  }

  /** Changes files, and waits until the sidecar has read them. */
  async apply(files: Files): Promise<void> {
    const from = this.lines.length;
    await writeFiles(this.manifests, files);
    await this.line('configuration read', isConfigurationRead, from);
  }

  get manifests(): string {
    return join(this.folder, 'manifests');
  }

  async readyz(): Promise<Reply> {
    return call({ host: LOOPBACK, port: this.#health, path: '/readyz' });
  }

  async livez(): Promise<Reply> {
    return call({ host: LOOPBACK, port: this.#health, path: '/livez' });
  }

  get healthPort(): number {
    return this.#health;
  }

  async metrics(): Promise<string> {
    return (await call({ host: LOOPBACK, port: this.#health, path: '/metrics' })).body;
  }

  /** Sum of a metric’s series whose labels hold all of `labels`. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    let sum = 0;
    for (const line of (await this.metrics()).split('\n')) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (wanted.every(part => line.includes(part))) sum += Number(line.slice(line.lastIndexOf(' ')));
    }
    return sum;
  }

  async status(): Promise<Readonly<Record<string, unknown>>> {
    const { body } = await call({ socketPath: this.adminSocket, path: '/status' });
    return JSON.parse(body) as Record<string, unknown>;
  }

  get adminSocket(): string {
    return join(this.folder, 'admin.sock');
  }

  /** Runs `sallyport COMMAND` against this sidecar’s admin socket. */
  async command(...words: readonly string[]): Promise<CommandResult> {
    const child = spawn(process.execPath, [PROGRAM, ...words, '--admin-socket', this.adminSocket], { env: cleanEnv() });
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    return { code, stdout, stderr };
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The exit code; null: killed. */
  ended(): Promise<number | null> {
    return this.#ended;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends the process, whatever it is doing, and removes its folder. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Another process may take a free port before the sidecar does. */
const ATTEMPTS = 4;

/** @throws Error with the sidecar’s own words when it does not get as far. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  for (let attempt = 1; ; attempt++) {
    const sidecar = await spawnSidecar(options);
    try {
      await waitForStart(sidecar, options.until ?? 'ready', options.source === undefined);
      return sidecar;
    } catch (error) {
      const { output } = sidecar;
      await sidecar.close();
      if (attempt < ATTEMPTS && output.includes('EADDRINUSE')) continue;
      throw new Error(`the sidecar did not start:\n${output}`, { cause: error });
    }
  }
}

async function spawnSidecar(options: SidecarOptions): Promise<Sidecar> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-scenario-'));
  const manifests = join(folder, 'manifests');
  await mkdir(manifests);
  await writeFiles(manifests, options.manifests ?? {});
  if (options.mesh !== undefined) await writeMesh(folder, options.mesh);
  const ports = { clients: await findFreePort(), health: await findFreePort() };
  const child = spawn(process.execPath, [PROGRAM, 'sidecar', ...listArguments(options, folder, ports)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnv(), ...options.env },
  });
  return new Sidecar(folder, ports, child);
}

async function waitForStart(sidecar: Sidecar, state: 'ready' | 'listening', isFolder: boolean): Promise<void> {
  await until('the sidecar to start', async () => {
    if (!sidecar.running) {
      await sidecar.ended(); // so that its last words are here
      throw new Error('the sidecar ended');
    }
    const reply = await (state === 'listening' ? sidecar.livez() : sidecar.readyz());
    return reply.status === 200;
  });
  // What is applied from now on is told apart by its own line.
  if (isFolder) await sidecar.line('the first configuration', isConfigurationRead);
}

function listArguments(
  { app, resolve = {}, mesh, args = [], labels = 'app=fleet', source }: SidecarOptions,
  folder: string,
  ports: { readonly clients: number; readonly health: number },
): string[] {
  return [
    ...(source ?? ['--config', join(folder, 'manifests'), '--namespace', 'shop', '--workload-labels', labels]),
    ...['--listen', `8443=${LOOPBACK}:${ports.clients}`],
    ...(app === undefined ? [] : ['--app', `${LOOPBACK}:${app}`]),
    ...Object.entries(resolve).flatMap(([host, port]) => ['--resolve', `${host}=${LOOPBACK}:${port}`]),
    ...(mesh === undefined
      ? []
      : ['--mesh-certificate', join(folder, 'mesh.crt'), '--mesh-key', join(folder, 'mesh.key')]),
    ...['--health', `${LOOPBACK}:${ports.health}`, '--admin-socket', join(folder, 'admin.sock')],
    ...['--log-permits', '1', ...args],
  ];
}

/** As a deployment tool does it: each file appears whole. */
export async function writeFiles(folder: string, files: Files, mode = 0o600): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    if (content === null) await unlink(path);
    else await writeWhole(path, typeof content === 'string' ? content : renderManifests(content), mode);
  }
}

async function writeWhole(path: string, content: string, mode = 0o600): Promise<void> {
  await writeFile(`${path}.new`, content, { mode });
  await rename(`${path}.new`, path);
}

export async function writeMesh(folder: string, { chainPem, keyPem }: NonNullable<SidecarOptions['mesh']>) {
  await writeWhole(join(folder, 'mesh.crt'), chainPem);
  await writeWhole(join(folder, 'mesh.key'), keyPem);
}

/** The sidecar refuses to start among settings that weaken Node, and settings for another one must not reach this one. */
function cleanEnv(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SALLYPORT_|NODE_)/.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']));
}

interface Target {
  readonly path: string;
  readonly host?: string;
  readonly port?: number;
  readonly socketPath?: string;
}

/** Status 0: nobody answered. */
function call(target: Target): Promise<Reply> {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const nobody = (): void => resolve({ status: 0, body: '' });
  const outgoing = request({ ...target, agent: false, timeout: 5000 }, response => {
    text(response).then(body => resolve({ status: response.statusCode ?? 0, body }), nobody);
  });
  outgoing.on('timeout', () => outgoing.destroy());
  outgoing.on('error', nobody);
  outgoing.end();
  return promise;
}
