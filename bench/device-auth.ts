/** A device-auth service that knows robot-7, and a token endpoint; both answer rarely, since what they say is cached. */
import { createServer, type Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { Material } from './material.ts';

export async function startDeviceAuth(material: Material, port: number): Promise<Server> {
  const server = createServer(
    {
      cert: material.deviceAuth.certificate,
      key: material.deviceAuth.key,
      ca: material.ca,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      if (request.url === '/token') {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({ access_token: 'token-of-the-benchmark', token_type: 'Bearer', expires_in: 86_400 }),
        );
        return;
      }
      if (!(request.socket instanceof TLSSocket && request.socket.authorized)) {
        response.writeHead(401).end();
        return;
      }
      const deviceId = new URL(request.url ?? '/', 'https://localhost').searchParams.get('deviceId');
      response.writeHead(deviceId === 'robot-7' ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ deviceId }));
    },
  );
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
