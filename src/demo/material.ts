/** Everything secret or certified that the demo presents, made afresh for each run and written to its temporary folder. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { INTERNAL_HOST, MESH_IDENTITY } from './app.ts';
import { type Authority, type IssuedCertificate, createAuthority } from './pki.ts';

export const PUBLIC_HOST = 'fleet.example.com';

export type DeviceName = 'robot-7' | 'robot-8' | 'robot-5' | 'revoked' | 'expired' | 'untrusted';

export interface DemoMaterial {
  /** Issues the issuer's, device-auth's and the public certificate. */
  readonly corp: Authority;
  readonly mesh: Authority;
  readonly appCa: Authority;
  readonly devicesCa: Authority;
  readonly servers: Readonly<Record<'issuer' | 'deviceAuth' | 'app' | 'public', IssuedCertificate>>;
  /** What the sidecar presents. */
  readonly sidecar: IssuedCertificate;
  readonly devices: Readonly<Record<DeviceName, IssuedCertificate>>;
}

export function createDemoMaterial(): DemoMaterial {
  const corp = createAuthority({ name: { CN: 'Demo corp root' } });
  const mesh = createAuthority({ name: { CN: 'Demo mesh root' } });
  const appCa = createAuthority({ name: { CN: 'Demo app root' } });
  const devicesCa = createAuthority({ name: { CN: 'Demo device root' } });
  const stranger = createAuthority({ name: { CN: 'Demo device root' } }); // the same name, another key
  const yesterday = new Date(Date.now() - 24 * 3_600_000);
  const serve = (authority: Authority, host: string): IssuedCertificate =>
    authority.issue({ subject: host, san: { dns: [host] }, usages: ['serverAuth'] });
  const revoked = devicesCa.issue({ subject: { CN: 'robot-7' } });
  devicesCa.revoke(revoked);
  return {
    corp,
    mesh,
    appCa,
    devicesCa,
    servers: {
      issuer: serve(corp, 'login.example.com'),
      deviceAuth: serve(corp, 'device-auth.fleet.svc'),
      app: serve(appCa, INTERNAL_HOST),
      public: serve(corp, PUBLIC_HOST),
    },
    sidecar: mesh.issue({ subject: 'fleet sidecar', san: { uri: [MESH_IDENTITY] } }),
    devices: {
      'robot-7': devicesCa.issue({ subject: { CN: 'robot-7' } }),
      'robot-8': devicesCa.issue({ subject: { CN: 'robot-8' } }),
      'robot-5': devicesCa.issue({ subject: { CN: 'robot-5' } }),
      revoked,
      expired: devicesCa.issue({
        subject: { CN: 'robot-7' },
        notBefore: new Date(yesterday.getTime() - 24 * 3_600_000),
        notAfter: yesterday,
      }),
      untrusted: stranger.issue({ subject: { CN: 'robot-7' } }),
    },
  };
}

/** The Secret and the ConfigMaps that examples/fleet refers to. */
export async function writeManifests(folder: string, { servers, corp, appCa, devicesCa }: DemoMaterial): Promise<void> {
  const data = {
    'corp-ca': { 'ca.crt': corp.certificatePem },
    'app-ca': { 'ca.crt': appCa.certificatePem },
    'device-ca': { 'ca.crt': devicesCa.certificatePem, 'crl.pem': devicesCa.crlPem() },
  };
  const maps = Object.entries(data).map(([name, content]) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'shop' },
    data: content,
  }));
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'fleet-tls', namespace: 'shop' },
    stringData: { 'tls.crt': servers.public.chainPem, 'tls.key': servers.public.keyPem },
  };
  // JSON is YAML, so that quoting is nobody's concern.
  const documents = [secret, ...maps].map(object => JSON.stringify(object, undefined, 2));
  await writeFile(join(folder, '90-demo-material.yaml'), `${documents.join('\n---\n')}\n`, { mode: 0o600 });
}

/** What the commands to paste name: `ca.crt`, `mesh.crt`, `devices/robot-7.crt`, `tokens/web.jwt` and so on. */
export async function writeClientFiles(
  folder: string,
  { corp, sidecar, devices }: DemoMaterial,
  tokens: ReadonlyMap<string, string>,
): Promise<void> {
  await Promise.all(['devices', 'tokens'].map(name => mkdir(join(folder, name))));
  const write = (name: string, content: string): Promise<void> =>
    writeFile(join(folder, name), content, { mode: 0o600 });
  await Promise.all([
    write('ca.crt', corp.certificatePem),
    write('mesh.crt', sidecar.chainPem),
    write('mesh.key', sidecar.keyPem),
    ...Object.entries(devices).flatMap(([name, { chainPem, keyPem }]) => [
      write(`devices/${name}.crt`, chainPem),
      write(`devices/${name}.key`, keyPem),
    ]),
    ...[...tokens].map(([name, token]) => write(`tokens/${name}.jwt`, token)),
  ]);
}
