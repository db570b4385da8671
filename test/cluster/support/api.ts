/** The few calls to the API server that the cluster makes for itself, as administrator. */
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';

/** As `KubeConnection` of src/kube. */
export interface Connection {
  readonly server: string;
  readonly ca: string;
  readonly clientCertificate: { readonly certificate: string; readonly key: string };
}

export interface ApiAnswer {
  /** 0: no connection. */
  readonly status: number;
  /** JSON, or a string where the answer is none: what came instead, or why nothing came. */
  readonly body: unknown;
}

export type CallApi = (method: string, path: string, body?: unknown) => Promise<ApiAnswer>;

export function createApi(connection: Connection): CallApi {
  return async (method, path, body) => {
    const first = await callOnce(connection, method, path, body);
    // Node now and then takes a whole answer for one that was cut off; what only reads may ask again.
    const isCut = first.status === 0 && method === 'GET' && first.body === 'Error: aborted';
    return isCut ? callOnce(connection, method, path, body) : first;
  };
}

async function callOnce(
  { server, ca, clientCertificate: { certificate, key } }: Connection,
  ...[method, path, body]: Parameters<CallApi>
): Promise<ApiAnswer> {
  const call = request(new URL(path, server), {
    ...{ method, ca, cert: certificate, key, agent: false, timeout: 10_000 },
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
  });
  call.on('timeout', () => call.destroy());
  try {
    call.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: parse(await text(response)) };
  } catch (error) {
    // As text, which says why to whoever finds no object in it.
    return { status: 0, body: String(error) };
  }
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return answer;
  }
}
