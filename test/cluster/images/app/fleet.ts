/**
 * The app of the scenario: a careless one that tells everybody what it runs on and where it stands. What it does right: it
 * speaks to nobody without the mesh certificate of its own service account (IDENTITY, a SPIFFE id). Writes a line for every
 * request that it served.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { serveByFiles } from './tls-files.ts';

const INTERNAL = 'fleet.shop.svc';
const LEAKS = {
  server: 'Kestrel',
  'x-powered-by': 'ASP.NET',
  'x-aspnet-version': '4.0.30319',
  'x-aspnetmvc-version': '5.2',
};

/** A stack trace is as much as it says; kept apart so that the table of attempts finds it nowhere else. */
const TRACE = `<h1>SqlException</h1><pre>at Fleet.Files.Read() in C:\\fleet\\Files.cs:42 on ${INTERNAL}</pre>`;

function readPeer({ socket }: IncomingMessage): string {
  return socket instanceof TLSSocket ? (socket.getPeerX509Certificate()?.subjectAltName ?? '') : '';
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '/', headers, socket } = request;
  const saw = { method, path: url, headers, peer: readPeer(request).replace(/^URI:/, '') };
  if (saw.peer !== process.env['IDENTITY']) {
    console.log(JSON.stringify({ stranger: saw.peer }));
    response.writeHead(403, LEAKS).end('not my sidecar\n');
    return;
  }
  if (url !== '/healthz') console.log(JSON.stringify({ ...saw, from: socket.remoteAddress }));
  await request.resume().toArray();
  const path = url.replace(/^\/v1/, '');
  if (path.startsWith('/files/slow')) await sleep(2000);
  if (path === '/files/moved')
    response.writeHead(302, { ...LEAKS, location: `https://${INTERNAL}:8443/v1/files/report` });
  else if (path === '/files/login')
    response.writeHead(200, { ...LEAKS, 'set-cookie': `session=1; Domain=${INTERNAL}; Path=/; Secure` });
  else if (path === '/files/crash') response.writeHead(500, { ...LEAKS, 'content-type': 'text/html' });
  else response.writeHead(200, { ...LEAKS, 'content-type': 'application/json' });
  if (path === '/files/crash') response.end(TRACE);
  else response.end(`${JSON.stringify({ saw, pod: hostname(), next: `https://${INTERNAL}:8443/v1/files/report` })}\n`);
}

serveByFiles((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
