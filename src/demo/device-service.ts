/** The demo's device-auth service: says whether a certificate belongs to a device. Answers only who has the mesh certificate. */
import { type Listening, startHttps } from './listening.ts';
import type { IssuedCertificate } from './pki.ts';

/** What it knows: device id → SHA-1 thumbprint, upper-case hex. `broken` devices are answered with 500. */
export interface Registry {
  readonly devices: ReadonlyMap<string, string>;
  readonly broken: ReadonlySet<string>;
}

export interface DeviceService extends Listening {
  /** How often it was asked. */
  calls(): number;
}

export async function startDeviceService(
  { server, meshCa }: { readonly server: IssuedCertificate; readonly meshCa: string },
  registry: Registry,
): Promise<DeviceService> {
  let calls = 0;
  const options = {
    cert: server.chainPem,
    key: server.keyPem,
    ca: meshCa,
    requestCert: true,
    rejectUnauthorized: true,
  };
  const listening = await startHttps(options, (request, response) => {
    calls++;
    const { status, body } = answer(new URL(request.url ?? '/', 'https://device-auth.fleet.svc'), registry);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  return { ...listening, calls: () => calls };
}

function answer({ pathname, searchParams }: URL, { devices, broken }: Registry): { status: number; body: unknown } {
  const deviceId = searchParams.get('deviceId') ?? '';
  const certificateThumbprint = searchParams.get('certificateThumbprint') ?? '';
  if (pathname !== '/check') return { status: 404, body: { error: 'no such page' } };
  if (broken.has(deviceId)) return { status: 500, body: { error: 'the registry does not answer' } };
  if (devices.get(deviceId) !== certificateThumbprint) return { status: 404, body: { error: 'unknown device' } };
  return { status: 200, body: { deviceId, certificateThumbprint, model: 'R2', site: 'hall 4' } };
}
