/** The fleet of examples/fleet on a stage: its issuer, its device-auth service, its app and a sidecar, all of them real. */
import { readdir, readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { createDemoMaterial, type DemoMaterial, type DeviceName } from '../../src/demo/material.ts';
import { type Answer, type Ask, type Connection, openTls, type TlsClient } from './connection.ts';
import { configMap, tlsSecret, type Manifest } from './manifests.ts';
import { answerPlainly, type Behaviour, DeviceAuth, RecordingApp, TestIssuer } from './servers.ts';
import { type Files, type Sidecar, type SidecarOptions, startSidecar } from './sidecar.ts';

const EXAMPLES = new URL('../../examples/fleet/', import.meta.url);
export const MATERIAL_FILE = '90-material.yaml';
export const WEB_CLAIMS = { clientId: 'web-portal', scope: 'ManagementApi profile' };
export const DEVICE = '/v1/devices/robot-7';
export const TELEMETRY = `${DEVICE}/telemetry`;

export async function readExamples(): Promise<Record<string, string>> {
  const names = (await readdir(EXAMPLES)).filter(name => name.endsWith('.yaml'));
  const texts = names.map(async name => [name, await readFile(new URL(name, EXAMPLES), 'utf8')] as const);
  return Object.fromEntries(await Promise.all(texts));
}

/** The Secret and the ConfigMaps that the examples name. */
export const describeMaterial = ({ servers, corp, appCa, devicesCa }: DemoMaterial): readonly Manifest[] => [
  tlsSecret('fleet-tls', servers.public),
  configMap('corp-ca', { 'ca.crt': corp.certificatePem }),
  configMap('app-ca', { 'ca.crt': appCa.certificatePem }),
  configMap('device-ca', { 'ca.crt': devicesCa.certificatePem, 'crl.pem': devicesCa.crlPem() }),
];

export interface FleetOptions {
  /** Instead of, or beside, the files of the example. */
  readonly files?: (material: DemoMaterial) => Files;
  readonly behaviour?: Behaviour;
  readonly sidecar?: Partial<SidecarOptions>;
}

export class Fleet {
  readonly material: DemoMaterial;
  readonly issuer: TestIssuer;
  readonly deviceAuth: DeviceAuth;
  readonly app: RecordingApp;
  readonly sidecar: Sidecar;
  readonly #open = new Set<Connection>();

  constructor(parts: Pick<Fleet, 'material' | 'issuer' | 'deviceAuth' | 'app' | 'sidecar'>) {
    this.material = parts.material;
    this.issuer = parts.issuer;
    this.deviceAuth = parts.deviceAuth;
    this.app = parts.app;
    this.sidecar = parts.sidecar;
  }

  /** Trusts the public certificate; with a device, presents its certificate. */
  tls(device?: DeviceName): TlsClient {
    const { corp, devices } = this.material;
    return { ca: corp.certificatePem, ...(device === undefined ? {} : { certificate: devices[device] }) };
  }

  /** A connection that is closed with the stage at the latest. */
  async connect(client: TlsClient = this.tls()): Promise<Connection> {
    const connection = await openTls(this.sidecar.port, client);
    this.#open.add(connection);
    return connection;
  }

  /** One request on a connection of its own. */
  async ask(ask: Ask, device?: DeviceName): Promise<Answer> {
    const connection = await openTls(this.sidecar.port, this.tls(device));
    try {
      return await connection.ask(ask);
    } finally {
      connection.close();
    }
  }

  webToken(): Promise<string> {
    return this.issuer.mint({ claims: WEB_CLAIMS });
  }

  async close(): Promise<void> {
    for (const connection of this.#open) connection.close();
    await this.sidecar.close();
    await Promise.all([this.app.stop(), this.issuer.stop(), this.deviceAuth.stop()]);
  }
}

/** Everything is ended when the test ends. */
export async function openFleet(t: Pick<TestContext, 'after'>, options: FleetOptions = {}): Promise<Fleet> {
  const material = createDemoMaterial();
  const { servers, mesh } = material;
  const issuer = await new TestIssuer({ server: servers.issuer }).start();
  t.after(() => issuer.stop());
  const deviceAuth = await new DeviceAuth({ server: servers.deviceAuth, clients: mesh.certificatePem }).start();
  t.after(() => deviceAuth.stop());
  deviceAuth.devices.set('robot-7', material.devices['robot-7'].sha1);
  const app = await new RecordingApp(options.behaviour ?? answerPlainly, {
    server: servers.app,
    clients: mesh.certificatePem,
  }).start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({
    manifests: {
      ...(await readExamples()),
      [MATERIAL_FILE]: describeMaterial(material),
      ...options.files?.(material),
    },
    app: app.port,
    mesh: material.sidecar,
    resolve: { 'login.example.com': issuer.port, 'device-auth.fleet.svc:8443': deviceAuth.port },
    ...options.sidecar,
  });
  const fleet = new Fleet({ material, issuer, deviceAuth, app, sidecar });
  t.after(() => fleet.close());
  return fleet;
}
