/** A device-auth service that knows robot-7; answers rarely, since the look-up is cached. */
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import type { Material } from './material.ts';

export async function startDeviceAuth(material: Material, port: number): Promise<Server> {
  const server = createServer(
    { cert: material.deviceAuth.certificate, key: material.deviceAuth.key, ca: material.ca, requestCert: true },
    (request, response) => {
      const deviceId = new URL(request.url ?? '/', 'https://localhost').searchParams.get('deviceId');
      response.writeHead(deviceId === 'robot-7' ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ deviceId }));
    },
  );
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
