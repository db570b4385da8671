/** Starts everything that the demo consists of, and ends all of it: issuer, device-auth, app, sidecar, temporary folder. */
import { rmSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, startApp } from './app.ts';
import { TOKENS } from './attempts.ts';
import { startDeviceService } from './device-service.ts';
import { startIssuer } from './issuer.ts';
import { type Listening, LOOPBACK, findFreePort } from './listening.ts';
import { type DemoMaterial, createDemoMaterial, writeClientFiles, writeManifests } from './material.ts';
import { type SidecarProcess, startSidecar } from './sidecar-process.ts';

export interface SceneOptions {
  /** How to start this program again: `[node, script]`. */
  readonly program: readonly string[];
  /** Folder with the manifests of the example. */
  readonly examples: string;
  /** 0: any free one. */
  readonly port: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The sidecar's log, for people; absent: kept for the case that it fails. */
  readonly showLog?: (text: string) => void;
  readonly signal: AbortSignal;
  /** As Io.onExit: for an end that waits for nothing, such as the second Ctrl-C. */
  readonly onExit?: (clean: () => void) => () => void;
}

export interface Scene {
  readonly folder: string;
  readonly ports: Readonly<Record<'sidecar' | 'app' | 'issuer' | 'deviceAuth' | 'health', number>>;
  readonly material: DemoMaterial;
  readonly tokens: ReadonlyMap<string, string>;
  readonly app: App;
  readonly sidecar: SidecarProcess;
  close(): Promise<void>;
}

/** @throws Error with a sentence when the sidecar does not get ready; nothing stays behind then. */
export async function openScene(options: SceneOptions): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-demo-'));
  const forget = options.onExit?.(() => rmSync(folder, { recursive: true, force: true }));
  const removeFolder = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    forget?.();
  };
  const opened: Closable[] = [{ close: removeFolder }];
  try {
    return await populate(options, folder, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

type Closable = Pick<Listening, 'close'>;

async function populate(options: SceneOptions, folder: string, opened: Closable[]): Promise<Scene> {
  const keep = async <C extends Closable>(starting: Promise<C>): Promise<C> => {
    const started = await starting;
    opened.unshift(started);
    return started;
  };
  const material = createDemoMaterial();
  const meshCa = material.mesh.certificatePem;
  const issuer = await keep(startIssuer(material.servers.issuer));
  const deviceAuth = await keep(
    startDeviceService({ server: material.servers.deviceAuth, meshCa }, listDevices(material)),
  );
  const app = await keep(startApp(material.servers.app, meshCa));
  const tokens = new Map(
    await Promise.all(Object.entries(TOKENS).map(async ([name, token]) => [name, await issuer.mint(token)] as const)),
  );
  const manifests = join(folder, 'manifests');
  await cp(options.examples, manifests, { recursive: true });
  await writeManifests(manifests, material);
  await writeClientFiles(folder, material, tokens);
  const ports = {
    issuer: issuer.port,
    deviceAuth: deviceAuth.port,
    app: app.port,
    sidecar: options.port === 0 ? await findFreePort() : options.port,
    health: await findFreePort(),
  };
  const sidecar = await keep(
    startSidecar({ ...options, args: listSidecarArguments(folder, ports), health: ports.health }),
  );
  return { folder, ports, material, tokens, app, sidecar, close: () => closeAll(opened) };
}

function listDevices({ devices }: DemoMaterial): Parameters<typeof startDeviceService>[1] {
  return { devices: new Map([['robot-7', devices['robot-7'].sha1]]), broken: new Set(['robot-5']) };
}

/** The command line of the sidecar, as anybody would type it. */
function listSidecarArguments(folder: string, ports: Scene['ports']): string[] {
  return [
    ...['--source', 'files', '--config', join(folder, 'manifests'), '--namespace', 'shop'],
    ...['--workload-labels', 'app=fleet'],
    ...['--listen', `8443=${LOOPBACK}:${ports.sidecar}`, '--app', `8443=${LOOPBACK}:${ports.app}`],
    ...['--resolve', `login.example.com=${LOOPBACK}:${ports.issuer}`],
    ...['--resolve', `device-auth.fleet.svc:8443=${LOOPBACK}:${ports.deviceAuth}`],
    ...['--mesh-certificate', join(folder, 'mesh.crt'), '--mesh-key', join(folder, 'mesh.key')],
    ...['--health', `${LOOPBACK}:${ports.health}`, '--admin-socket', join(folder, 'admin.sock')],
    ...['--log-permits', '1', '--drain-timeout', '2s'],
  ];
}

/** Newest first; one that cannot be closed does not keep the others open. */
async function closeAll(opened: Closable[]): Promise<void> {
  const failures: unknown[] = [];
  for (const one of opened.splice(0)) {
    await one.close().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, 'something of the demo could not be ended');
}
