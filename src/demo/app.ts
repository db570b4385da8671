/**
 * The demo's app: a careless one. It tells everybody what it runs on and where it stands, and prints stack traces. What it
 * does right: it speaks to nobody without the mesh certificate of its own sidecar.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { type Listening, startHttps } from './listening.ts';
import type { IssuedCertificate } from './pki.ts';

export const MESH_IDENTITY = 'spiffe://demo.local/ns/shop/sa/fleet';
export const INTERNAL_HOST = 'fleet.shop.svc';

/** One request as the app received it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** URI of the certificate that was presented. */
  readonly peer: string;
}

export interface App extends Listening {
  readonly seen: readonly Seen[];
}

const LEAKS = {
  server: 'Kestrel',
  'x-powered-by': 'ASP.NET',
  'x-aspnet-version': '4.0.30319',
  'x-aspnetmvc-version': '5.2',
};

export async function startApp(server: IssuedCertificate, meshCa: string): Promise<App> {
  const seen: Seen[] = [];
  const options = {
    cert: server.chainPem,
    key: server.keyPem,
    ca: meshCa,
    requestCert: true,
    rejectUnauthorized: true,
  };
  const listening = await startHttps(options, (request, response) => {
    const peer = readPeer(request);
    if (!peer.includes(`URI:${MESH_IDENTITY}`)) {
      response.writeHead(403, LEAKS).end('not my sidecar\n');
      return;
    }
    const now = describeRequest(request, peer);
    seen.push(now);
    request.resume().on('end', () => answer(now, response));
  });
  return { ...listening, seen };
}

function readPeer({ socket }: IncomingMessage): string {
  return socket instanceof TLSSocket ? (socket.getPeerX509Certificate()?.subjectAltName ?? '') : '';
}

function describeRequest({ method = '', url = '', headers }: IncomingMessage, peer: string): Seen {
  const flat = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : (value ?? ''),
  ]);
  return {
    method,
    path: url,
    headers: Object.fromEntries(flat) as Record<string, string>,
    peer: peer.replace(/^URI:/, ''),
  };
}

function answer(now: Seen, response: ServerResponse): void {
  const internal = `https://${INTERNAL_HOST}:8443`;
  switch (now.path) {
    case '/v1/files/moved':
      response.writeHead(302, { ...LEAKS, location: `${internal}/v1/files/report` }).end();
      return;
    case '/v1/files/login':
      response
        .writeHead(200, { ...LEAKS, 'set-cookie': `session=1; Domain=${INTERNAL_HOST}; Path=/; Secure` })
        .end('{}');
      return;
    case '/v1/files/crash':
      response.writeHead(500, { ...LEAKS, 'content-type': 'text/html' });
      response.end(
        `<h1>SqlException</h1><pre>at Fleet.Files.Read() in C:\\fleet\\Files.cs:42 on ${INTERNAL_HOST}</pre>`,
      );
      return;
    default: {
      const body = { app: 'fleet', saw: now, next: `${internal}/v1/files/report` };
      response.writeHead(200, { ...LEAKS, 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
    }
  }
}
