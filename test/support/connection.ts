/** A client on one connection, every byte of which the test chooses. Plain or TLS, keep-alive until it is closed. */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Wire } from '../../src/proxy/testing/wire.ts';

export interface Identity {
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface TlsClient {
  /** PEM of the authority that signs the server. */
  readonly ca: string;
  /** SNI; false: none is sent. Default the public host. */
  readonly serverName?: string | false;
  readonly certificate?: Identity;
  readonly options?: ConnectionOptions;
}

export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly host?: string;
  readonly token?: string;
  /** In this order and spelling, after Host. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  /** As it came, without the empty line. */
  readonly head: string;
  readonly body: string;
  /** Values by lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** The reason of a problem document; empty otherwise. */
  readonly reason: string;
}

export const PUBLIC_HOST = 'fleet.example.com';

export function renderAsk({ method = 'GET', path, host = PUBLIC_HOST, token, headers = [], body }: Ask): string {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`;
}

export class Connection {
  readonly wire: Wire;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  async ask(ask: Ask): Promise<Answer> {
    this.wire.send(renderAsk(ask));
    return this.readAnswer(ask.method);
  }

  send(text: string): this {
    this.wire.send(text);
    return this;
  }

  /** The head of the next answer, with an empty body: for streams. */
  async readHead(): Promise<Answer> {
    return describeAnswer(await this.wire.take(/\r\n\r\n/), '');
  }

  /** The next answer as a whole. Interim answers (1xx) are left out. */
  async readAnswer(method = 'GET'): Promise<Answer> {
    const head = await this.wire.take(/\r\n\r\n/);
    const { status, headers } = describeAnswer(head, '');
    if (status >= 100 && status < 200 && status !== 101) return this.readAnswer(method);
    if (method === 'HEAD' || status === 204 || status === 304 || status === 101) return describeAnswer(head, '');
    if (headers.get('transfer-encoding')?.[0] === 'chunked') return describeAnswer(head, await this.#readChunks());
    const length = headers.get('content-length')?.[0];
    return describeAnswer(
      head,
      length === undefined ? await this.wire.takeAll() : await this.readBytes(Number(length)),
    );
  }

  async readBytes(length: number): Promise<string> {
    return length === 0 ? '' : this.wire.take(new RegExp(`^[^]{${length}}`));
  }

  async #readChunks(): Promise<string> {
    for (let body = ''; ;) {
      const size = Number.parseInt(await this.wire.take(/^[0-9a-fA-F]+\r\n/), 16);
      if (size === 0) {
        await this.wire.take(/^(?:[^\r\n]+\r\n)*\r\n/);
        return body;
      }
      body += (await this.readBytes(size + 2)).slice(0, size);
    }
  }

  /** The server's certificate, as SHA-256 in upper-case hex. */
  get serverCertificate(): string {
    const { socket } = this.wire;
    if (!('getPeerX509Certificate' in socket)) return '';
    return (socket as TLSSocket).getPeerX509Certificate()?.fingerprint256.replaceAll(':', '') ?? '';
  }

  close(): void {
    this.wire.socket.destroy();
  }
}

function describeAnswer(head: string, body: string): Answer {
  const [statusLine = '', ...lines] = head.replace(/\r\n\r\n$/, '').split('\r\n');
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(at + 1).trim()]);
  }
  const isProblem = headers.get('content-type')?.[0] === 'application/problem+json';
  const reason = isProblem ? (/"reason":"(\w+)"/.exec(body)?.[1] ?? '') : '';
  return { status: Number(statusLine.slice(9, 12)), head: head.trimEnd(), body, headers, reason };
}

export async function openPlain(port: number): Promise<Connection> {
  const socket = connectPlain({ host: '127.0.0.1', port, noDelay: true });
  return new Connection(await whenOpen(socket, 'connect'));
}

/** Rejects when the handshake is refused. */
export async function openTls(port: number, client: TlsClient): Promise<Connection> {
  const { ca, serverName = PUBLIC_HOST, certificate, options = {} } = client;
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca,
    ...(serverName === false ? {} : { servername: serverName }),
    ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
    ...options,
  });
  return new Connection(await whenOpen(socket, 'secureConnect'));
}

async function whenOpen(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Wire> {
  await new Promise<void>((resolve, reject) => {
    socket.once(event, resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before the connection was made')));
  });
  return new Wire(socket);
}
