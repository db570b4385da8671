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
  const say = (status: number, headers: Readonly<Record<string, string>>, body: string): void => {
    response.writeHead(status, { ...LEAKS, ...headers }).end(body);
  };
  const internal = `https://${INTERNAL}:8443/v1/files/report`;
  switch (path) {
    case '/files/moved':
      return say(302, { location: internal }, '');
    case '/files/login':
      return say(200, { 'set-cookie': `session=1; Domain=${INTERNAL}; Path=/; Secure` }, '{}');
    case '/files/crash':
      return say(500, { 'content-type': 'text/html' }, TRACE);
    default:
      return say(200, { 'content-type': 'application/json' }, JSON.stringify({ saw, pod: hostname(), next: internal }));
  }
}

serveByFiles((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
