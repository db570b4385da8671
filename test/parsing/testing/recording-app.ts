/** An app that accepts as much as Node's own parser can be brought to accept, and keeps what it understood. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Recorded {
  readonly method: string;
  readonly url: string;
  /** Names as sent and values, in order, then trailers in the same way. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface RecordingApp {
  readonly port: number;
  /** Requests that came whole. */
  readonly requests: readonly Recorded[];
  /** Heads that came, whole or not, as `METHOD url`. */
  readonly heads: readonly string[];
  forget(): void;
  stop(): Promise<void>;
}

export async function startRecordingApp(): Promise<RecordingApp> {
  const requests: Recorded[] = [];
  const heads: string[] = [];
  const server = createServer({ insecureHTTPParser: true, joinDuplicateHeaders: true }, (request, response) => {
    heads.push(`${request.method ?? ''} ${request.url ?? ''}`);
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (text: string) => (body += text));
    request.on('end', () => {
      requests.push({ method: request.method ?? '', url: request.url ?? '', fields: fieldsOf(request), body });
      response.end('ok');
    });
    request.on('error', () => undefined);
  });
  // Whatever asks for an upgrade is kept too: it must not have come.
  server.on('upgrade', (request, socket) => {
    heads.push(`UPGRADE ${request.url ?? ''}`);
    socket.destroy();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    heads,
    forget: () => {
      requests.length = 0;
      heads.length = 0;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

function fieldsOf(request: IncomingMessage): [string, string][] {
  const raw = [...request.rawHeaders, ...request.rawTrailers];
  const fields: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) fields.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return fields;
}
