/**
 * The device-auth service of the scenario: says whether a certificate belongs to a device. DEVICES (JSON: device id →
 * SHA-1 thumbprint, upper-case hex); a device whose thumbprint is `broken` is answered with 500.
 */
import { serveByFiles } from './tls-files.ts';

const devices = new Map(Object.entries(JSON.parse(process.env['DEVICES'] ?? '{}') as Record<string, string>));

function judge({ pathname, searchParams }: URL): { status: number; body: unknown } {
  const deviceId = searchParams.get('deviceId') ?? '';
  const certificateThumbprint = searchParams.get('certificateThumbprint') ?? '';
  if (pathname !== '/check') return { status: 404, body: { error: 'no such page' } };
  if (devices.get(deviceId) === 'broken') return { status: 500, body: { error: 'the registry does not answer' } };
  if (devices.get(deviceId) !== certificateThumbprint) return { status: 404, body: { error: 'unknown device' } };
  return { status: 200, body: { deviceId, certificateThumbprint, model: 'R2', site: 'hall 4' } };
}

serveByFiles((request, response) => {
  const { status, body } = judge(new URL(request.url ?? '/', 'https://device-auth.fleet.svc'));
  console.log(JSON.stringify({ asked: request.url, status }));
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
