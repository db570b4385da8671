/** Starts everything that the demo consists of, and ends all of it: issuer, device-auth, app, sidecar, temporary folder. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { type App, startApp } from './app.ts';
import { TOKENS } from './attempts.ts';
import { startDeviceService } from './device-service.ts';
import { startIssuer } from './issuer.ts';
import { LOOPBACK, findFreePort } from './listening.ts';
import { type DemoMaterial, createDemoMaterial, writeClientFiles, writeManifests } from './material.ts';
import { type SidecarProcess, startSidecar } from './sidecar-process.ts';
import { type Keep, openStage, type StageOptions } from './stage.ts';

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
export const openScene = (options: StageOptions): Promise<Scene> =>
  openStage(options, (folder, keep) => populate(options, folder, keep));

async function populate(options: StageOptions, folder: string, keep: Keep): Promise<Omit<Scene, 'folder' | 'close'>> {
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
  return { ports, material, tokens, app, sidecar };
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
